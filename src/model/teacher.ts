/**
 * What a teacher is: a frozen network that gives a pyramid of features. Everything else of a detector takes
 * its shapes from here: amplification, bottleneck, decoder, training inputs and forecasts.
 */

import type { Tensor } from '../engine/graph/tensor.ts';
import type { Between, ResidualDesign } from './residual.ts';
import type { Scope } from './scope.ts';

/** One level of a feature pyramid. */
export interface Level {
  /** Side of the image over the side of the feature grid. */
  readonly stride: number;
  readonly channels: number;
}

/** The bottleneck and the decoder that learn to rebuild a teacher's levels. */
export interface StudentDesign extends ResidualDesign {
  /** Residual blocks of the bottleneck (method, 3.5). */
  readonly bottleneckBlocks: number;
  /** Residual blocks of the decoder's stages, coarsest level first (method, 3.6). */
  readonly blocks: readonly [number, number, number];
}

/** A network architecture that can teach: it gives three levels of features, finest first. */
export interface Teacher {
  /** As options, model files and messages call it. */
  readonly name: string;
  /** Each level has twice the stride of the one before it. */
  readonly levels: readonly [Level, Level, Level];
  readonly student: StudentDesign;
  /**
   * Records the network.
   *
   * @param images [N,S,S,3], normalised; S a multiple of 32
   * @param between given what each part gives: the stem, then each block. A teacher that does not call it
   *   cannot be learned block by block
   * @returns features per level [N, S / stride, S / stride, channels], all >= 0
   */
  features(scope: Scope, images: Tensor, between?: Between): Tensor[];
}

/** The embedding of the bottleneck has this much of the coarsest level's stride, and of its channels. */
export const embeddingScale = 2;

/** The coarsest grid of any detector, its embedding, is at most this much smaller than the image. */
const largestStride = 32;
const largestImageSize = 8192;

/** @throws Error on a side that does not divide into feature grids, or is too large for any device */
export function checkImageSize(size: number): void {
  if (!Number.isInteger(size) || size < largestStride || size % largestStride)
    throw new Error(`image size ${size} is not a multiple of 32 (the coarsest features are 1/32 of it)`);
  if (size > largestImageSize)
    throw new Error(
      `image size ${size} is larger than ${largestImageSize}; tiles (--tile) see large images in parts`,
    );
}

/** Side of a level's feature grid for images of `size` pixels. */
export function gridSide({ stride }: Level, size: number): number {
  return size / stride;
}

/** Shapes [side, side, channels] of one image's features, finest first. */
export function featureShapes({ levels }: Teacher, size: number): [number, number, number][] {
  return levels.map((level) => [gridSide(level, size), gridSide(level, size), level.channels]);
}

/**
 * Checks what a detector needs of a teacher.
 *
 * @throws Error naming the teacher and the level
 */
export function checkTeacher({ name, levels, student }: Teacher): void {
  const refuse = (problem: string): never => {
    throw new Error(`backbone '${name}': ${problem}`);
  };
  if (!/^[a-z0-9][a-z0-9_.-]{0,59}$/i.test(name)) refuse('its name is not plain letters, digits, _, . and -');
  if (levels.length !== 3) refuse(`it has ${levels.length} levels, a detector needs 3`);
  for (const [i, { stride, channels }] of levels.entries()) {
    const before = levels[i - 1];
    if (before && stride !== 2 * before.stride)
      refuse(
        `level ${i + 1} has stride ${stride}, expected twice that of the level before, ${2 * before.stride}`,
      );
    // The positional encoding of the gate has sine and cosine of x and of y.
    const unit = 4 * student.expansion;
    if (!Number.isInteger(channels) || channels < unit || channels % unit)
      refuse(`level ${i + 1} has ${channels} channels, expected a multiple of ${unit}`);
  }
  const embedding = embeddingScale * (levels[2] as Level).stride;
  if (!Number.isInteger(embedding) || embedding < 1 || largestStride % embedding)
    refuse(
      `its coarsest stride is ${embedding / embeddingScale}, expected a divisor of ${largestStride / 2}`,
    );
}
