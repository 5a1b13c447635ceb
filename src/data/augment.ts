/**
 * Changed copies of training images, by what keeps this product normal: copies of few images, for a person
 * declares it, or every image anew in every epoch. Everything is drawn from counter-based streams, and has
 * the same bytes everywhere.
 */

import { RandomStream } from '../base/random.ts';
import { type Change, changeImage, inPlace, moveMask, type Placement, turned } from '../image/changes.ts';
import type { Image } from '../image/image.ts';
import type { TrainingImages } from './training_images.ts';

/** What may change without making a good image defective. */
export const augmentations = [
  'flips',
  'rotations',
  'shifts',
  'light',
  'tilts',
  'brightness',
  'contrast',
  'white-balance',
  'blur',
  'noise',
] as const;
/** A kind of change of a photograph that shows the same good part. */
export type Augmentation = (typeof augmentations)[number];

/**
 * What another day does to the same camera and the same part: `--robust`. No good image becomes a defective
 * one by it, unless the product's colour or place is what is inspected.
 */
export const robustChanges: readonly Augmentation[] = [
  'shifts',
  'tilts',
  'brightness',
  'contrast',
  'white-balance',
  'blur',
  'noise',
];

/** Copies are made until there are so many images, and at least one of each. */
export const augmentedCount = 64;

/** The largest changes; each is drawn evenly up to them, in both directions. */
export const ranges = {
  /** Of `shifts`, as a share of the side. */
  shift: 0.05,
  /** Of `light`: of contrast as a share, of brightness in steps of 8 bits. */
  lightContrast: 0.15,
  lightBrightness: 12,
  /** Degrees. */
  tilt: 5,
  /** Factors, and their inverses. */
  brightness: 1.25,
  contrast: 1.25,
  /** Factor of red, and its inverse of blue. */
  whiteBalance: 1.1,
  /** Standard deviations, in pixels and in steps of 8 bits; half of the images have none. */
  blur: 1,
  noise: 6,
} as const;

/** A number from 0 to 1 as one from -most to most. */
function spread(number: number, most: number): number {
  return -most + 2 * most * number;
}

/** A factor from 1/most to most; `half` of the numbers from 0 to 1 make it smaller. */
function factor(number: number, most: number): number {
  const signed = (2 * number - 1) * (most - 1);
  return signed < 0 ? 1 / (1 - signed) : 1 + signed;
}

/** Draws numbers from 0 to 1. */
function numbers<const Name extends string>(
  random: RandomStream,
  ...names: readonly Name[]
): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, random.next()])) as Record<Name, number>;
}

function placementOf(
  kinds: readonly Augmentation[],
  side: number,
  drawn: Record<'flip' | 'turn' | 'quarter' | 'x' | 'y', number>,
): Placement {
  let { cosine, sine } = inPlace;
  if (kinds.includes('rotations')) {
    // Half of an angle from -45 to 45 degrees by its tangent, then quarter turns.
    const t = (2 * drawn.turn - 1) * 0.41421356;
    [cosine, sine] = [(1 - t * t) / (1 + t * t), (2 * t) / (1 + t * t)];
    for (let i = 0; i < Math.floor(4 * drawn.quarter); i++) [cosine, sine] = [-sine, cosine];
  } else if (kinds.includes('tilts')) ({ cosine, sine } = turned((2 * drawn.turn - 1) * ranges.tilt));
  const moved = kinds.includes('shifts') ? 2 * ranges.shift * side : 0;
  return {
    cosine,
    sine,
    flip: kinds.includes('flips') && drawn.flip < 0.5 ? -1 : 1,
    x: (drawn.x - 0.5) * moved,
    y: (drawn.y - 0.5) * moved,
  };
}

/** Draws a change of an image of this side. */
export function drawChange(kinds: readonly Augmentation[], side: number, random: RandomStream): Change {
  // All numbers are drawn whatever is wanted, so that one kind does not move another one's numbers.
  const drawn = numbers(random, 'flip', 'turn', 'quarter', 'x', 'y');
  const light = numbers(random, 'contrast', 'brightness');
  const day = numbers(random, 'brightness', 'contrast', 'white', 'blur', 'noise');
  const has = (kind: Augmentation) => kinds.includes(kind);
  const red = has('white-balance') ? factor(day.white, ranges.whiteBalance) : 1;
  const gain = has('brightness') ? factor(day.brightness, ranges.brightness) : 1;
  const soft = has('light') ? 1 + spread(light.contrast, ranges.lightContrast) : 1;
  return {
    placement: placementOf(kinds, side, drawn),
    gains: [gain * red, gain, gain / red],
    contrast: soft * (has('contrast') ? factor(day.contrast, ranges.contrast) : 1),
    offset: has('light') ? spread(light.brightness, ranges.lightBrightness) : 0,
    blur: has('blur') ? Math.max(0, 2 * day.blur - 1) * ranges.blur : 0,
    noise: has('noise') ? Math.max(0, 2 * day.noise - 1) * ranges.noise : 0,
  };
}

/** A changed copy of a square image and of its 0/1 mask. */
export function augment(
  image: Image,
  mask: Uint8Array | undefined,
  kinds: readonly Augmentation[],
  random: RandomStream,
): { readonly image: Image; readonly mask: Uint8Array | undefined } {
  const change = drawChange(kinds, image.width, random);
  return {
    image: changeImage(image, change, random),
    mask: mask && moveMask(mask, image, change.placement),
  };
}

/** Training images with changed copies behind them; the same seed gives the same copies. */
export function augmentTraining(
  data: TrainingImages,
  kinds: readonly Augmentation[],
  seed: number,
): TrainingImages {
  const count = data.images.length;
  const copies = Math.max(1, Math.ceil(augmentedCount / count) - 1);
  const made = Array.from({ length: copies * count }, (_, i) => {
    const [item, copy] = [i % count, Math.floor(i / count)];
    const random = new RandomStream(seed, 'augment', item, copy);
    return augment(data.images[item] as Image, data.foregrounds?.[item], kinds, random);
  });
  return {
    ...data,
    images: [...data.images, ...made.map(({ image }) => image)],
    paths: [...data.paths, ...made.map((_, i) => data.paths[i % count] as string)],
    foregrounds: data.foregrounds && [...data.foregrounds, ...made.map(({ mask }) => mask as Uint8Array)],
  };
}
