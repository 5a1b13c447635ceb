/** Decoded images: what they are, and the check of those that come from outside. */
import { InvalidImageError } from '../base/errors.ts';

/** 8-bit pixels, interleaved: 3 channels RGB or 1 channel grey. */
export interface Image {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  readonly data: Uint8Array;
}

/** What an image file is; sizes after EXIF rotation. */
export interface ImageFacts {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  /** Bits per channel. */
  readonly depth: number;
  readonly format: string;
  /** The smallest and the largest value that were found, of files with more than 8 bits. */
  readonly range?: readonly [low: number, high: number];
}

/** The pixels of a canvas (`getImageData`): 4 channels RGBA. */
export interface CanvasPixels {
  readonly width: number;
  readonly height: number;
  readonly channels?: 4 | undefined;
  readonly data: Uint8Array | Uint8ClampedArray;
}

/** What calls of the library take as an image. */
export type ImageInput =
  | (Omit<Image, 'data'> & { readonly data: Uint8Array | Uint8ClampedArray })
  | CanvasPixels;

/** What a value is, for errors: the name of its class, for arrays of other realms too. */
export function kindOf(value: unknown): string {
  const kind = Object.prototype.toString.call(value).slice(8, -1);
  if (kind === 'Object') return 'an object';
  return kind === 'Null' || kind === 'Undefined' ? kind.toLowerCase() : kind;
}

function rgbOf(data: Uint8Array, what: string): Uint8Array {
  const rgb = new Uint8Array((data.length / 4) * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    // A canvas multiplies colours by alpha: this pixel's are rounded or lost.
    if (data[from + 3] !== 255)
      throw new InvalidImageError(
        `${what}: pixel ${from / 4} is not opaque (alpha ${data[from + 3]}), so its colours are not ` +
          'known exactly: draw it on an opaque background, or give RGB (decodeImage reads files so)',
      );
    rgb[to] = data[from] as number;
    rgb[to + 1] = data[from + 1] as number;
    rgb[to + 2] = data[from + 2] as number;
  }
  return rgb;
}

/**
 * Checks an image that comes from outside. Opaque pixels of a canvas become RGB; other values are not copied.
 *
 * @param what names it in errors
 * @param channels the numbers of channels that the caller takes
 * @throws Error that says what was expected and what was found
 */
export function checkImage(value: unknown, what = 'the image', channels: readonly (1 | 3)[] = [3]): Image {
  if (typeof value !== 'object' || value === null || !('data' in value))
    throw new InvalidImageError(
      `${what} is ${typeof value === 'string' ? `a text ('${value.slice(0, 80)}')` : kindOf(value)}, ` +
        'not an image: expected { width, height, channels, data } as decodeImage gives it for the bytes ' +
        'of a file',
    );
  const image = value as Partial<Record<keyof Image, unknown>>;
  const { width, height, data } = image;
  for (const [name, size] of Object.entries({ width, height }))
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 1)
      throw new InvalidImageError(`${what}: its ${name} is ${size}, expected a whole number of at least 1`);
  const found =
    image.channels ?? (kindOf(value) === 'ImageData' || kindOf(data) === 'Uint8ClampedArray' ? 4 : undefined);
  const canvas = found === 4 && channels.includes(3);
  if (!canvas && !(channels as readonly unknown[]).includes(found))
    throw new InvalidImageError(`${what}: it has ${found} channels, expected ${channels.join(' or ')}`);
  const kind = kindOf(data);
  if (kind !== 'Uint8Array' && kind !== 'Uint8ClampedArray')
    throw new InvalidImageError(
      `${what}: its data are of type ${kind}, expected 8-bit values (0 to 255) as Uint8Array or ` +
        'Uint8ClampedArray',
    );
  const { buffer, byteOffset, length } = data as Uint8Array;
  const expected = (width as number) * (height as number) * (found as number);
  if (length !== expected)
    throw new InvalidImageError(
      `${what}: its data have ${length} values, expected ${expected} (${width} x ${height} pixels x ` +
        `${found} channels)`,
    );
  // A plain Uint8Array: slices of a Buffer would share its memory.
  const bytes = new Uint8Array(buffer, byteOffset, length);
  const size = { width: width as number, height: height as number };
  return canvas
    ? { ...size, channels: 3, data: rgbOf(bytes, what) }
    : { ...size, channels: found as 1 | 3, data: bytes };
}

/** A list of images, each checked. */
export function checkImages(values: unknown, what = 'image'): Image[] {
  if (!Array.isArray(values)) throw new InvalidImageError(`expected a list of images, not ${kindOf(values)}`);
  return Array.from(values, (value, i) => checkImage(value, `${what} ${i + 1} of ${values.length}`));
}
