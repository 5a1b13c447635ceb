/** EXIF's orientation: found in an EXIF block, applied to pixels. */
import type { Stored } from './stored.ts';

const orientationTag = 0x0112;

/** The orientation in a block of EXIF data (a TIFF header and its first directory); 1 where there is none. */
export function exifOrientation(block: Uint8Array): number {
  // Some writers put the introduction "Exif" of JPEG into other containers too.
  const start = block[0] === 0x45 && block[1] === 0x78 ? 6 : 0;
  const view = new DataView(block.buffer, block.byteOffset + start, Math.max(block.length - start, 0));
  if (view.byteLength < 14) return 1;
  const little = view.getUint16(0) === 0x4949;
  if (!little && view.getUint16(0) !== 0x4d4d) return 1;
  const directory = view.getUint32(4, little);
  if (directory + 2 > view.byteLength) return 1;
  const entries = view.getUint16(directory, little);
  for (let i = 0; i < entries; i++) {
    const entry = directory + 2 + 12 * i;
    if (entry + 12 > view.byteLength) return 1;
    if (view.getUint16(entry, little) !== orientationTag) continue;
    const value = view.getUint16(entry + 8, little);
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

/** The image turned upright; 1 is upright, 2 to 8 as EXIF numbers them. */
export function upright(image: Stored, orientation: number): Stored {
  if (orientation === 1) return image;
  const { width: w, height: h, channels, data } = image;
  const [width, height] = orientation > 4 ? [h, w] : [w, h];
  const turned = new (data.constructor as new (length: number) => Stored['data'])(data.length);
  // Where the first pixel lies in the source, and the steps to its right and lower neighbours.
  const right = orientation > 4 ? w : 1;
  const down = orientation > 4 ? 1 : w;
  const mirrored = [2, 3, 7, 8].includes(orientation);
  const overturned = [3, 4, 6, 7].includes(orientation);
  const lastRight = orientation > 4 ? overturned : mirrored;
  const lastDown = orientation > 4 ? mirrored : overturned;
  const stepX = (lastRight ? -right : right) * channels;
  const stepY = (lastDown ? -down : down) * channels;
  const origin = ((lastRight ? width - 1 : 0) * right + (lastDown ? height - 1 : 0) * down) * channels;
  let target = 0;
  for (let y = 0; y < height; y++) {
    let source = origin + y * stepY;
    for (let x = 0; x < width; x++, source += stepX)
      for (let c = 0; c < channels; c++) turned[target++] = data[source + c] as number;
  }
  return { width, height, channels, data: turned };
}
