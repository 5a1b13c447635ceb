/**
 * Changed copies of few training images, by what keeps this product normal: a person declares it. Everything
 * is computed by +, -, * and / alone and drawn from counter-based streams, so that copies have the same bytes
 * everywhere.
 */

import { RandomStream } from '../base/random.ts';
import type { Image } from '../image/image.ts';
import type { TrainingImages } from './training_images.ts';

/** What may change without making a good image defective. */
export const augmentations = ['flips', 'rotations', 'shifts', 'light'] as const;
export type Augmentation = (typeof augmentations)[number];

/** Copies are made until there are so many images, and at least one of each. */
export const augmentedCount = 64;
/** Largest shift, as a share of the side. */
const shift = 0.05;
/** Largest change of contrast, as a share, and of brightness, in steps of 8 bits. */
const contrast = 0.15;
const brightness = 12;

/** Where a pixel of a copy comes from: x' = a x + b y + c, about the middle of the image. */
interface Placement {
  readonly cosine: number;
  readonly sine: number;
  readonly flip: 1 | -1;
  readonly x: number;
  readonly y: number;
}

function drawPlacement(kinds: readonly Augmentation[], side: number, random: RandomStream): Placement {
  // All numbers are drawn whatever is wanted, so that one kind does not move another one's numbers.
  const [flip, half, quarter, x, y] = Array.from({ length: 5 }, () => random.next()) as [
    number,
    number,
    number,
    number,
    number,
  ];
  // Half of an angle from -45 to 45 degrees by its tangent: no sine, which platforms round differently.
  const t = kinds.includes('rotations') ? (2 * half - 1) * 0.41421356 : 0;
  let [cosine, sine] = [(1 - t * t) / (1 + t * t), (2 * t) / (1 + t * t)];
  const turns = kinds.includes('rotations') ? Math.floor(4 * quarter) : 0;
  for (let i = 0; i < turns; i++) [cosine, sine] = [-sine, cosine];
  const moved = kinds.includes('shifts') ? 2 * shift * side : 0;
  return {
    cosine,
    sine,
    flip: kinds.includes('flips') && flip < 0.5 ? -1 : 1,
    x: (x - 0.5) * moved,
    y: (y - 0.5) * moved,
  };
}

/** The place in the original of the middle of a pixel of the copy; beyond the edge the edge itself. */
function origin(p: Placement, x: number, y: number, side: number): readonly [x: number, y: number] {
  const middle = (side - 1) / 2;
  const [dx, dy] = [(x - middle) * p.flip, y - middle];
  const inside = (value: number) => Math.min(side - 1, Math.max(0, value + middle));
  return [inside(p.cosine * dx - p.sine * dy + p.x), inside(p.sine * dx + p.cosine * dy + p.y)];
}

/** A changed copy of a square image and of its 0/1 mask. */
export function augment(
  image: Image,
  mask: Uint8Array | undefined,
  kinds: readonly Augmentation[],
  random: RandomStream,
): { readonly image: Image; readonly mask: Uint8Array | undefined } {
  const { width: side, channels, data } = image;
  const placement = drawPlacement(kinds, side, random);
  const light = kinds.includes('light');
  const [gain, offset] = [random.uniform(-contrast, contrast), random.uniform(-brightness, brightness)];
  const copy = new Uint8Array(data.length);
  const copiedMask = mask && new Uint8Array(mask.length);
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) {
      const [fromX, fromY] = origin(placement, x, y, side);
      const [left, top] = [Math.floor(fromX), Math.floor(fromY)];
      const [right, bottom] = [Math.min(side - 1, left + 1), Math.min(side - 1, top + 1)];
      const [u, w] = [fromX - left, fromY - top];
      const at = (row: number, column: number, c: number) =>
        data[(row * side + column) * channels + c] as number;
      for (let c = 0; c < channels; c++) {
        const upper = at(top, left, c) * (1 - u) + at(top, right, c) * u;
        const lower = at(bottom, left, c) * (1 - u) + at(bottom, right, c) * u;
        const value = upper * (1 - w) + lower * w;
        const lit = light ? (value - 128) * (1 + gain) + 128 + offset : value;
        copy[(y * side + x) * channels + c] = Math.min(255, Math.max(0, Math.round(lit)));
      }
      if (mask && copiedMask)
        copiedMask[y * side + x] = mask[Math.round(fromY) * side + Math.round(fromX)] as number;
    }
  return { image: { ...image, data: copy }, mask: copiedMask };
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
