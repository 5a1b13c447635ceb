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

/** An anomaly by itself: the pixels that it changes. */
export interface DrawnAnomaly {
  /** 0/1 [size, size]; all zero for a clean image. */
  readonly mask: Float32Array;
  /** Places of the changed pixels in the image, ascending. */
  readonly places: Uint32Array;
  /** Their normalised values [places, 3]. */
  readonly values: Float32Array;
}

/**
 * @param valueAt the normalised value at a place of a good image [size, size, 3]
 * @param foreground 0/1 [size, size], or undefined for everywhere
 */
export async function drawAnomaly(
  valueAt: (index: number) => number,
  size: number,
  foreground: ArrayLike<number> | undefined,
  textures: TextureSource,
  random: RandomStream,
): Promise<DrawnAnomaly> {
  const original = await textures.texture(random.integer(0, textures.count - 1));
  const texture = augmentTexture(resizeBilinear(original, size, size), random);
  const mask = perlinMask(size, foreground, random);
  const keep = strongestBlend * random.next();
  if (random.next() < cleanShare)
    return { mask: mask.fill(0), places: new Uint32Array(0), values: new Float32Array(0) };
  const places = new Uint32Array(mask.reduce((count, value) => count + (value ? 1 : 0), 0));
  const values = new Float32Array(3 * places.length);
  let found = 0;
  for (let p = 0; p < mask.length; p++) {
    if (!mask[p]) continue;
    for (let c = 0; c < 3; c++) {
      const i = p * 3 + c;
      const t =
        ((texture.data[i] as number) / 255 - (imagenetMean[c] as number)) / (imagenetDeviation[c] as number);
      values[3 * found + c] = (1 - keep) * t + keep * valueAt(i);
    }
    places[found++] = p;
  }
  return { mask, places, values };
}

/**
 * A good image with an anomaly.
 *
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
  const drawn = await drawAnomaly((i) => values[i] as number, size, foreground, textures, random);
  const result = new Float32Array(values);
  drawn.places.forEach((place, i) => {
    result.set(drawn.values.subarray(3 * i, 3 * i + 3), 3 * place);
  });
  return { values: result, mask: drawn.mask };
}
