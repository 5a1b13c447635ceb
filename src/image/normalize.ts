/** The way of an image into the network (method, 3.2): resized, then normalised per channel. */
import { InvalidArgumentError } from '../base/errors.ts';
import { checkImage, type Image, type ImageInput } from './image.ts';
import { resizeBicubic } from './resize.ts';

export const imagenetMean = [0.485, 0.456, 0.406] as const;
export const imagenetDeviation = [0.229, 0.224, 0.225] as const;

/** (value / 255 - mean) / deviation for each byte value and channel, [256, 3]. */
export function normalizationTable(): Float32Array {
  return Float32Array.from(
    { length: 256 * 3 },
    (_, i) =>
      (Math.floor(i / 3) / 255 - (imagenetMean[i % 3] as number)) / (imagenetDeviation[i % 3] as number),
  );
}

/** (value / 255 - mean) / deviation per channel, NHWC. */
export function normalize(image: Image): Float32Array {
  const values = new Float32Array(image.width * image.height * 3);
  const table = normalizationTable();
  for (let i = 0; i < values.length; i++)
    values[i] = table[(image.data[i] as number) * 3 + (i % 3)] as number;
  return values;
}

/** The inverse of {@link normalize}, rounded to 8 bits. */
export function denormalize(values: Float32Array, width: number, height: number): Image {
  const data = Uint8Array.from(values, (value, i) =>
    Math.round(
      255 *
        Math.min(
          1,
          Math.max(0, value * (imagenetDeviation[i % 3] as number) + (imagenetMean[i % 3] as number)),
        ),
    ),
  );
  return { width, height, channels: 3, data };
}

/**
 * An RGB image as the network takes it: [size, size, 3], bicubic with Pillow's antialiasing, normalised.
 *
 * @throws Error on an image whose values, size and channels do not fit together
 */
export function preprocess(image: ImageInput, size: number): { image: Image; values: Float32Array } {
  if (!Number.isSafeInteger(size) || size < 1)
    throw new InvalidArgumentError(`the size is ${size}, expected a whole number of at least 1`);
  const resized = resizeBicubic(checkImage(image), size, size);
  return { image: resized, values: normalize(resized) };
}

/** Images of one batch, one after the other. */
export function stack(images: readonly Float32Array[]): Float32Array {
  const size = images[0]?.length ?? 0;
  const result = new Float32Array(size * images.length);
  images.forEach((values, i) => {
    result.set(values, i * size);
  });
  return result;
}
