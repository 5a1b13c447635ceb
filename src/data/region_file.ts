/** The region of interest from a file: polygons as JSON, or an image whose white part is inspected. */

import { decodeImage, readBytes } from '#platform';
import { InvalidArgumentError } from '../base/errors.ts';
import { isImagePath } from './files.ts';
import { type RegionOfInterest, regionMask } from './region.ts';
import { mostRuns, parseRegion } from './region_json.ts';

/**
 * A region from an image: what is brighter than half of its largest grey is inspected. So a mask of 0 and 255
 * and one of 0 and 1 say the same.
 *
 * @param name names the image in errors
 * @throws InvalidArgumentError where the image is black, or has no areas; Error on an image that cannot be
 *   decoded
 */
export async function regionFromImage(bytes: Uint8Array, name: string): Promise<RegionOfInterest> {
  const { width, height, data } = await decodeImage(bytes, name, 1);
  const largest = data.reduce((a, b) => Math.max(a, b), 0);
  if (!largest)
    throw new InvalidArgumentError(
      `${name}: the mask is black, so nothing would be inspected: paint what is to be inspected white`,
    );
  const mask = regionMask(
    data.map((value) => (2 * value > largest ? 1 : 0)),
    width,
    height,
  );
  if (mask.runs.length > mostRuns)
    throw new InvalidArgumentError(
      `${name}: the mask changes between white and black ${mask.runs.length} times, more than ${mostRuns}: ` +
        'it looks like a photograph. Paint plain areas, or save it smaller',
    );
  return { inspect: [], ignore: [], mask };
}

/**
 * Reads a region from a file: an image (white = inspected), or JSON as {@link parseRegion} takes it.
 *
 * @throws Error naming the file and what is wrong with it
 */
export async function readRegion(path: string): Promise<RegionOfInterest> {
  const bytes = await readBytes(path);
  return isImagePath(path) ? regionFromImage(bytes, path) : regionFromText(bytes, path);
}

/**
 * A region from the bytes of a JSON file.
 *
 * @throws InvalidArgumentError as {@link parseRegion}
 */
export function regionFromText(bytes: Uint8Array, name: string): RegionOfInterest {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new InvalidArgumentError(
      `${name}: neither an image (png, jpg, bmp, webp, tif) nor JSON: a region of interest is one of them`,
    );
  }
  return parseRegion(text, name);
}
