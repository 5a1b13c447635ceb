/**
 * The region of interest: which part of every image is inspected. It is kept as polygons and a mask in shares
 * of the image, and becomes pixels by one rule that gives the same bits everywhere: no canvas draws it, and
 * its arithmetic is the +, -, *, / and rounding of doubles.
 */

import { InvalidArgumentError } from '../base/errors.ts';

/** A place: x and y as shares of the image's width and height, 0 to 1, from the top left corner. */
export type RegionPoint = readonly [x: number, y: number];

/** A closed polygon; the last point is joined to the first. */
export type RegionPolygon = readonly RegionPoint[];

/** A mask of a size of its own, which is stretched over the image. */
export interface RegionMask {
  readonly width: number;
  readonly height: number;
  /**
   * Lengths of runs of equal pixels, row by row: first pixels that are left out (0 where the first pixel is
   * inspected), then inspected ones, and so on in turn. Their sum is width x height.
   */
  readonly runs: readonly number[];
}

/**
 * Which part of an image is inspected: what lies in one of the `inspect` polygons (everywhere where there are
 * none), and in the mask where there is one, and in none of the `ignore` polygons.
 *
 * Places are shares of the image, so a region goes through resizing as the image does: models see images
 * stretched to a square. Images that are cut into tiles have the region of the whole image.
 */
export interface RegionOfInterest {
  readonly inspect: readonly RegionPolygon[];
  readonly ignore: readonly RegionPolygon[];
  readonly mask?: RegionMask | undefined;
}

/** A part of an image in its pixels. */
export interface RegionWindow {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** Size of the whole image, in pixels. */
  readonly of: { readonly width: number; readonly height: number };
}

const whole: RegionWindow = { x: 0, y: 0, width: 1, height: 1, of: { width: 1, height: 1 } };

/** One axis of a window that `count` pixels are laid over. */
class Axis {
  readonly #start: number;
  readonly #length: number;
  readonly #whole: number;
  readonly #count: number;

  constructor(start: number, length: number, whole: number, count: number) {
    this.#start = start;
    this.#length = length;
    this.#whole = whole;
    this.#count = count;
  }

  /** Twice the pixels' number times the centre of pixel `i` in the image's pixels: a whole number. */
  #centre(i: number): number {
    return 2 * this.#start * this.#count + (2 * i + 1) * this.#length;
  }

  /** The first pixel whose centre does not lie before `share` of the image, from 0 to the count. */
  first(share: number): number {
    const at = ((share * this.#whole - this.#start) * this.#count) / this.#length;
    return Math.min(this.#count, Math.max(0, Math.ceil(at - 0.5)));
  }

  /** The centre of pixel `i` as a share of the image. */
  share(i: number): number {
    return this.#centre(i) / (2 * this.#count * this.#whole);
  }

  /** Which of `samples` that are spread over the image the centre of pixel `i` lies in. */
  sample(i: number, samples: number): number {
    const at = Math.floor((this.#centre(i) * samples) / (2 * this.#count * this.#whole));
    return Math.min(samples - 1, Math.max(0, at));
  }
}

/**
 * Writes a value where the centre of a pixel lies in a polygon: what its outline goes around, in either
 * direction. A centre on a left or upper edge is inside, on a right or lower one outside.
 */
function paint(
  pixels: Uint8Array,
  polygon: RegionPolygon,
  columns: Axis,
  rows: Axis,
  { width, height }: { readonly width: number; readonly height: number },
  value: 0 | 1,
): void {
  const heights = polygon.map(([, y]) => y);
  const top = rows.first(heights.reduce((a, b) => Math.min(a, b)));
  const bottom = Math.min(height, rows.first(heights.reduce((a, b) => Math.max(a, b))) + 1);
  // How often the outline goes down more than up, left of a pixel; as differences of neighbours.
  const turns = new Int32Array(width + 1);
  for (let row = top; row < bottom; row++) {
    const y = rows.share(row);
    let [from, to] = [width, 0];
    let [x0, y0] = polygon.at(-1) as RegionPoint;
    for (const [x1, y1] of polygon) {
      if (y0 <= y !== y1 <= y) {
        const column = columns.first(x0 + ((y - y0) * (x1 - x0)) / (y1 - y0));
        turns[column] = (turns[column] as number) + (y1 > y0 ? 1 : -1);
        from = Math.min(from, column);
        to = Math.max(to, column);
      }
      [x0, y0] = [x1, y1];
    }
    let around = 0;
    for (let column = from; column <= to; column++) {
      around += turns[column] as number;
      turns[column] = 0;
      if (around && column < width) pixels[row * width + column] = value;
    }
  }
}

/** The values of a mask, 0/1 [height, width]. */
export function maskPixels({ width, height, runs }: RegionMask): Uint8Array {
  const pixels = new Uint8Array(width * height);
  let at = 0;
  runs.forEach((length, i) => {
    if (i % 2) pixels.fill(1, at, at + length);
    at += length;
  });
  return pixels;
}

/** A mask of pixels that are inspected where they are not 0, [height, width]. */
export function regionMask(pixels: ArrayLike<number>, width: number, height: number): RegionMask {
  const runs: number[] = [];
  let [value, length] = [0, 0];
  for (let i = 0; i < pixels.length; i++) {
    const here = pixels[i] ? 1 : 0;
    if (here !== value) {
      runs.push(length);
      [value, length] = [here, 0];
    }
    length++;
  }
  runs.push(length);
  return { width, height, runs };
}

/**
 * The region in pixels. A pixel belongs to a polygon where its centre does; of a mask it takes the value at
 * its centre, as Pillow's nearest rule does.
 *
 * @param window the part of the image that the pixels are laid over; all of it where it is left out
 * @returns 1 where the image is inspected, else 0, [height, width]; the same bits in Node and in browsers
 */
export function rasterizeRegion(
  { inspect, ignore, mask }: RegionOfInterest,
  width: number,
  height: number,
  window: RegionWindow = whole,
): Uint8Array<ArrayBuffer> {
  const columns = new Axis(window.x, window.width, window.of.width, width);
  const rows = new Axis(window.y, window.height, window.of.height, height);
  const size = { width, height };
  const pixels = new Uint8Array(width * height);
  if (inspect.length) for (const polygon of inspect) paint(pixels, polygon, columns, rows, size, 1);
  else pixels.fill(1);
  if (mask) {
    const values = maskPixels(mask);
    const from = Uint32Array.from({ length: width }, (_, i) => columns.sample(i, mask.width));
    for (let y = 0; y < height; y++) {
      const start = rows.sample(y, mask.height) * mask.width;
      for (let x = 0; x < width; x++) if (!values[start + (from[x] as number)]) pixels[y * width + x] = 0;
    }
  }
  for (const polygon of ignore) paint(pixels, polygon, columns, rows, size, 0);
  return pixels;
}

/** Sizes whose pixels are kept per region. */
const keptSizes = 4;
const kept = new WeakMap<RegionOfInterest, Map<string, Uint8Array<ArrayBuffer>>>();

/** As {@link rasterizeRegion} of the whole image; the pixels are shared, nobody may change them. */
export function regionPixels(
  region: RegionOfInterest,
  width: number,
  height: number,
): Uint8Array<ArrayBuffer> {
  const sizes = kept.get(region) ?? new Map<string, Uint8Array<ArrayBuffer>>();
  kept.set(region, sizes);
  const size = `${width} ${height}`;
  const known = sizes.get(size);
  if (known) return known;
  const pixels = rasterizeRegion(region, width, height);
  const [oldest] = sizes.keys();
  if (oldest !== undefined && sizes.size >= keptSizes) sizes.delete(oldest);
  sizes.set(size, pixels);
  return pixels;
}

/** Share of the image that is inspected, counted at so many pixels a side. */
export function inspectedShare(region: RegionOfInterest, side: number): number {
  const pixels = regionPixels(region, side, side);
  return pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
}

/** Pixels a side that a region of images in tiles is looked at with: no image is that small. */
const sideOfTiled = 2048;

/**
 * A region that leaves nothing to inspect would call everything good.
 *
 * @param side of the images that the model sees; undefined for images that are cut into tiles
 * @throws InvalidArgumentError
 */
export function checkInspects(region: RegionOfInterest, side: number = sideOfTiled): void {
  if (regionPixels(region, side, side).includes(1)) return;
  throw new InvalidArgumentError(
    `the region of interest leaves no pixel to inspect at ${side} x ${side} pixels: draw it larger, or ` +
      'ignore less',
  );
}
