/**
 * Tiles. An image larger than the model's is cut into overlapping squares of native pixels. Each is seen like
 * an image of its own, and their maps are blended where they overlap.
 */
import { InvalidArgumentError } from '../base/errors.ts';
import type { ImageBands } from '../image/bands.ts';
import type { Image } from '../image/image.ts';

/** How an image is cut into square tiles that overlap; sizes in pixels. */
export interface Tiling {
  /** Side of a tile in pixels of the image. */
  readonly size: number;
  /** Pixels that neighbours share at least. */
  readonly overlap: number;
}

export interface Tile {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const largestTile = 32768;

/** @throws Error where the overlap leaves no step between tiles */
export function checkTiling({ size, overlap }: Tiling): void {
  if (!Number.isInteger(size) || size < 32)
    throw new InvalidArgumentError(`a tile needs at least 32 pixels, not ${size}`);
  if (size > largestTile)
    throw new InvalidArgumentError(`a tile has at most ${largestTile} pixels a side, not ${size}`);
  if (!Number.isInteger(overlap) || overlap < 0 || overlap > size / 2)
    throw new InvalidArgumentError(
      `the overlap must lie between 0 and half a tile (${size / 2} pixels), not ${overlap}`,
    );
}

/** Where the tiles of one axis start: evenly spread, the last one ends at the edge. */
function starts(length: number, { size, overlap }: Tiling): number[] {
  if (length <= size) return [0];
  const count = Math.ceil((length - overlap) / (size - overlap));
  return Array.from({ length: count }, (_, i) => Math.round((i * (length - size)) / (count - 1)));
}

/** Tiles that cover an image, row by row; an image smaller than a tile is one tile. */
export function tileGrid(width: number, height: number, tiling: Tiling): Tile[] {
  checkTiling(tiling);
  const [w, h] = [Math.min(width, tiling.size), Math.min(height, tiling.size)];
  return starts(height, tiling).flatMap((y) =>
    starts(width, tiling).map((x) => ({ x, y, width: w, height: h })),
  );
}

export function crop(image: Image, { x, y, width, height }: Tile): Image {
  const { channels } = image;
  const data = new Uint8Array(width * height * channels);
  for (let row = 0; row < height; row++) {
    const start = ((y + row) * image.width + x) * channels;
    data.set(image.data.subarray(start, start + width * channels), row * width * channels);
  }
  return { width, height, channels, data };
}

/**
 * Weight of position i along a tile's side. It rises from both edges, so that neighbours fade into each
 * other.
 */
function ramp(i: number, length: number, overlap: number): number {
  const fromEdge = Math.min(i + 0.5, length - i - 0.5);
  return overlap > 0 ? Math.min(1, fromEdge / overlap) : 1;
}

/** The tiles of an image with their pixels, in the grid's order. */
export async function* readTiles(
  bands: ImageBands,
  tiling: Tiling,
): AsyncGenerator<{ tile: Tile; image: Image }> {
  let top = -1;
  let band: Image | undefined;
  for (const tile of tileGrid(bands.width, bands.height, tiling)) {
    if (!band || tile.y !== top) {
      band = await bands.rows(tile.y, tile.height);
      top = tile.y;
    }
    yield { tile, image: crop(band, { ...tile, y: 0 }) };
  }
}

export interface ValueMap {
  readonly width: number;
  readonly height: number;
  readonly values: Float32Array;
}

/** Largest number of values in a map. A larger map is reduced. */
const mostMapValues = 2 ** 26;

/**
 * Blends the maps of an image's tiles as they come, in the grid's order. Only the rows that later tiles still
 * change are kept as sums. A map of more than 2^26 values is reduced by the smallest whole number that brings
 * it below. Each of its values is then the largest of a square, so that no peak is lost.
 */
export class TileBlender {
  readonly #tiles: readonly Tile[];
  readonly #scale: number;
  readonly #side: number;
  readonly #overlap: number;
  readonly #width: number;
  readonly #height: number;
  readonly #reduction: number;
  readonly #result: ValueMap;
  /** Sums of the rows from #top on. */
  readonly #values: Float64Array;
  readonly #weights: Float64Array;
  readonly #rows: number;
  #top = 0;
  #next = 0;

  /**
   * @param side of a tile's map
   * @param scale pixels of the result per pixel of the image
   */
  constructor(
    image: { readonly width: number; readonly height: number },
    tiling: Tiling,
    side: number,
    scale: number,
    limit: number = mostMapValues,
  ) {
    this.#tiles = tileGrid(image.width, image.height, tiling);
    this.#side = side;
    this.#scale = scale;
    this.#overlap = tiling.overlap * scale;
    this.#width = Math.max(1, Math.round(image.width * scale));
    this.#height = Math.max(1, Math.round(image.height * scale));
    let reduction = 1;
    while (Math.ceil(this.#width / reduction) * Math.ceil(this.#height / reduction) > limit) reduction++;
    this.#reduction = reduction;
    const [width, height] = [Math.ceil(this.#width / reduction), Math.ceil(this.#height / reduction)];
    this.#result = { width, height, values: new Float32Array(width * height).fill(Number.NEGATIVE_INFINITY) };
    // Rounding may give a tile one row more than its size.
    this.#rows = Math.min(this.#height, Math.ceil((this.#tiles[0] as Tile).height * scale) + 1);
    this.#values = new Float64Array(this.#width * this.#rows);
    this.#weights = new Float64Array(this.#width * this.#rows);
  }

  /** Adds the map [side, side] of the next tile. */
  add(map: Float32Array): void {
    const [side, scale, width] = [this.#side, this.#scale, this.#width];
    const tile = this.#tiles[this.#next];
    if (!tile || map.length !== side * side)
      throw new InvalidArgumentError(`tile ${this.#next} has no map of ${side}x${side}`);
    this.#next++;
    const [x0, y0] = [Math.round(tile.x * scale), Math.round(tile.y * scale)];
    const [x1, y1] = [Math.round((tile.x + tile.width) * scale), Math.round((tile.y + tile.height) * scale)];
    const [w, h] = [Math.min(x1, width) - x0, Math.min(y1, this.#height) - y0];
    this.#flush(y0);
    for (let y = 0; y < h; y++) {
      const sy = Math.min(Math.max(((y + 0.5) * side) / h - 0.5, 0), side - 1);
      const [top, fy] = [Math.floor(sy), sy % 1];
      const bottom = Math.min(top + 1, side - 1);
      for (let x = 0; x < w; x++) {
        const sx = Math.min(Math.max(((x + 0.5) * side) / w - 0.5, 0), side - 1);
        const [left, fx] = [Math.floor(sx), sx % 1];
        const right = Math.min(left + 1, side - 1);
        const at = (row: number, column: number) => map[row * side + column] as number;
        const value =
          (at(top, left) * (1 - fx) + at(top, right) * fx) * (1 - fy) +
          (at(bottom, left) * (1 - fx) + at(bottom, right) * fx) * fy;
        const weight = ramp(x, w, this.#overlap) * ramp(y, h, this.#overlap);
        const i = (y0 - this.#top + y) * width + x0 + x;
        this.#values[i] = (this.#values[i] as number) + value * weight;
        this.#weights[i] = (this.#weights[i] as number) + weight;
      }
    }
  }

  /** Writes the rows before `end`, which no tile changes any more. */
  #flush(end: number): void {
    const width = this.#width;
    const count = Math.min(end, this.#height) - this.#top;
    if (count <= 0) return;
    const { values, width: reducedWidth } = this.#result;
    for (let y = 0; y < count; y++) {
      const row = Math.floor((this.#top + y) / this.#reduction) * reducedWidth;
      for (let x = 0; x < width; x++) {
        const i = y * width + x;
        const at = row + Math.floor(x / this.#reduction);
        values[at] = Math.max(
          values[at] as number,
          (this.#values[i] as number) / (this.#weights[i] as number),
        );
      }
    }
    for (const sums of [this.#values, this.#weights]) {
      sums.copyWithin(0, count * width);
      sums.fill(0, Math.max(0, sums.length - count * width));
    }
    this.#top += count;
  }

  /** The map of the whole image, after all tiles were added. */
  finish(): ValueMap {
    if (this.#next < this.#tiles.length)
      throw new InvalidArgumentError(`tile ${this.#next} has no map of ${this.#side}x${this.#side}`);
    this.#flush(this.#height);
    return this.#result;
  }
}

/**
 * Blends the maps of an image's tiles.
 *
 * @param maps one [side, side] map per tile, in the grid's order
 * @param scale pixels of the result per pixel of the image
 * @returns the map of the whole image, at `scale` times its size
 */
export function blendTiles(
  image: { readonly width: number; readonly height: number },
  tiling: Tiling,
  maps: readonly Float32Array[],
  side: number,
  scale: number,
): ValueMap {
  const blender = new TileBlender(image, tiling, side, scale);
  for (const map of maps) blender.add(map);
  return blender.finish();
}
