/** What a day in the factory does to photographs, in steps of known size: to see what it costs a detector. */

import type { RandomStream } from '../base/random.ts';
import { type Change, inPlace, turned } from '../image/changes.ts';

/**
 * Sizes of each corruption at the strengths 0 (none) to 4. Whether a factor or its inverse is taken, and the
 * direction of a move, is drawn for each image.
 */
export const corruptions = {
  /** Factor of all values. */
  brightness: { unit: 'times', sizes: [1, 1.1, 1.2, 1.35, 1.5] },
  /** Factor of the distance from mid grey. */
  contrast: { unit: 'times', sizes: [1, 1.1, 1.2, 1.35, 1.5] },
  /** Factor of red, and its inverse of blue: a warmer or a colder lamp. */
  'white balance': { unit: 'times', sizes: [1, 1.05, 1.1, 1.2, 1.3] },
  /** Standard deviation of a Gaussian in pixels of the resized image. */
  blur: { unit: 'pixels', sizes: [0, 0.5, 1, 1.5, 2] },
  /** Standard deviation in steps of 8 bits, in each colour by itself. */
  noise: { unit: 'of 255', sizes: [0, 3, 6, 10, 16] },
  /** Per cent of the side, along both sides; beyond the edge the edge itself is repeated. */
  shift: { unit: '% of the side', sizes: [0, 1, 2, 4, 8] },
  /** Degrees about the middle. */
  rotation: { unit: 'degrees', sizes: [0, 1, 2, 5, 10] },
} as const;

export type Corruption = keyof typeof corruptions;
export const corruptionNames = Object.keys(corruptions) as readonly Corruption[];
/** None to strong. */
export const strengths = [0, 1, 2, 3, 4] as const;
export type Strength = (typeof strengths)[number];

/**
 * The change of an image of this side, for `changeImage` and `moveMask`.
 *
 * @param random the stream of this image, which draws the directions
 */
export function corruptionOf(
  name: Corruption,
  strength: Strength,
  side: number,
  random: RandomStream,
): Change {
  const size = corruptions[name].sizes[strength];
  // Both are drawn whatever is wanted, so that every corruption turns the same way in an image.
  const [first, second] = [random.next() < 0.5 ? 1 : -1, random.next() < 0.5 ? 1 : -1] as const;
  if (strength === 0) return {};
  const factor = first === 1 ? size : 1 / size;
  const pixels = (size / 100) * side;
  switch (name) {
    case 'brightness':
      return { gains: [factor, factor, factor] };
    case 'contrast':
      return { contrast: factor };
    case 'white balance':
      return { gains: [factor, 1, 1 / factor] };
    case 'blur':
      return { blur: size };
    case 'noise':
      return { noise: size };
    case 'shift':
      return { placement: { ...inPlace, x: first * pixels, y: second * pixels } };
    case 'rotation':
      return { placement: { ...inPlace, ...turned(first * size) } };
  }
}
