/** Synthetic anomalies (method, 3.10): a changed texture blended into a good image under a Perlin mask. */

import type { RandomStream } from '../base/random.ts';
import type { Image } from '../image/image.ts';
import { imagenetDeviation, imagenetMean } from '../image/normalize.ts';
import { resizeBilinear } from '../image/resize.ts';
import { perlinMask } from './perlin.ts';
import { augmentTexture } from './texture_operations.ts';

/** Gives textures by index; a folder of photographs or the procedural source. */
export interface TextureSource {
  readonly name: string;
  readonly count: number;
  /** Tells these textures from others: a resumed training must have the same. */
  readonly digest: string;
  /** 8-bit RGB of any size. */
  texture(index: number): Image | Promise<Image>;
}

const cleanShare = 0.2;
const strongestBlend = 0.8;

export interface SyntheticSample {
  /** Normalised image [size, size, 3]. */
  readonly values: Float32Array;
  /** 0/1 [size, size]; all zero for a clean image. */
  readonly mask: Float32Array;
}

/**
 * @param values a normalised good image [size, size, 3]; not changed
 * @param foreground 0/1 [size, size], or undefined for everywhere
 */
export async function synthesizeAnomaly(
  values: Float32Array,
  size: number,
  foreground: ArrayLike<number> | undefined,
  textures: TextureSource,
  random: RandomStream,
): Promise<SyntheticSample> {
  const original = await textures.texture(random.integer(0, textures.count - 1));
  const texture = augmentTexture(resizeBilinear(original, size, size), random);
  const mask = perlinMask(size, foreground, random);
  const keep = strongestBlend * random.next();
  if (random.next() < cleanShare) return { values, mask: new Float32Array(size * size) };
  const result = new Float32Array(values);
  for (let p = 0; p < mask.length; p++) {
    if (!mask[p]) continue;
    for (let c = 0; c < 3; c++) {
      const i = p * 3 + c;
      const t =
        ((texture.data[i] as number) / 255 - (imagenetMean[c] as number)) / (imagenetDeviation[c] as number);
      result[i] = (1 - keep) * t + keep * (values[i] as number);
    }
  }
  return { values: result, mask };
}
