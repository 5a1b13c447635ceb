/**
 * What decoders give: the values of a file as they are stored, before rotation and before they become 8-bit
 * RGB or grey.
 */

/**
 * Interleaved values: grey or RGB, with alpha (2 or 4 channels) only where it was asked for. More than 8
 * bits fill 16.
 */
export interface Stored {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 2 | 3 | 4;
  readonly data: Uint8Array | Uint16Array;
}

/** What the header of an image file says. */
export interface Header {
  readonly format: 'png' | 'jpeg' | 'bmp' | 'webp' | 'tiff';
  /** Size as stored, before rotation. */
  readonly width: number;
  readonly height: number;
  /** Channels as stored, alpha counted; a palette counts as its colours. */
  readonly channels: number;
  /** Bits per channel as stored. */
  readonly depth: number;
  /** EXIF's orientation, 1 to 8. */
  readonly orientation: number;
}

/**
 * Values of 16 bits below this come from a camera of 12 bits or fewer, and their upper 8 bits are nearly
 * black.
 */
export const smallestOfSixteen = 4096;

/** The largest image that is decoded as a whole: 16383 x 16383 pixels. */
export const pixelLimit = 0x3fff ** 2;

/**
 * Refuses sizes that are not possible, or that cannot come from so few bytes, before memory is taken for
 * them.
 *
 * @param available bytes of compressed data, @param expansion how many bytes one of them can become at most
 */
export function checkSize(
  width: number,
  height: number,
  bytesPerPixel = 0,
  available = 0,
  expansion = 1,
): void {
  if (!(width > 0 && height > 0)) throw new Error(`its header says ${width}x${height} pixels`);
  if (width * height > pixelLimit)
    throw new Error(
      `its header says ${width}x${height} pixels: more than ${pixelLimit} are not decoded at once`,
    );
  if (width * height * bytesPerPixel > available * expansion + 64)
    throw new Error(`the file is truncated: ${available} bytes cannot hold ${width}x${height} pixels`);
}

/** Grey of an RGB value as Pillow computes it (ITU-R 601-2 in 16 bits). */
export function luma(r: number, g: number, b: number): number {
  return (19595 * r + 38470 * g + 7471 * b + 0x8000) >> 16;
}

/** RGB of CMYK without a profile, as Pillow computes it: (255 - K) - C * (255 - K) / 255. */
export function cmykToRgb(cmyk: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((cmyk.length / 4) * 3);
  for (let i = 0, o = 0; i < cmyk.length; i += 4) {
    const rest = 255 - (cmyk[i + 3] as number);
    for (let c = 0; c < 3; c++) {
      const scaled = (cmyk[i + c] as number) * rest + 128;
      rgb[o++] = Math.max(rest - (((scaled >> 8) + scaled) >> 8), 0);
    }
  }
  return rgb;
}

/** The first `wanted` of the `channels` values of each pixel. */
export function firstChannels<T extends Uint8Array | Uint16Array>(
  data: T,
  channels: number,
  wanted: Stored['channels'],
): T {
  if (channels === wanted) return data;
  const count = Math.floor(data.length / channels);
  const picked = new (data.constructor as new (length: number) => T)(count * wanted);
  for (let i = 0; i < count; i++)
    for (let c = 0; c < wanted; c++) picked[i * wanted + c] = data[i * channels + c] as number;
  return picked;
}
