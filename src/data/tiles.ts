/**
 * Tiles: images larger than the model's are cut into overlapping squares of native pixels, each seen like an image of its own,
 * and their maps are blended where they overlap.
 */
import type { Image } from './image.ts';

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
  if (!Number.isInteger(size) || size < 32) throw new Error(`a tile needs at least 32 pixels, not ${size}`);
  if (size > largestTile) throw new Error(`a tile has at most ${largestTile} pixels a side, not ${size}`);
  if (!Number.isInteger(overlap) || overlap < 0 || overlap > size / 2)
    throw new Error(`the overlap must lie between 0 and half a tile (${size / 2} pixels), not ${overlap}`);
}

/** Starts along one axis: evenly spread, the last one ends at the edge. */
function starts(length: number, { size, overlap }: Tiling): number[] {
  if (length <= size) return [0];
  const count = Math.ceil((length - overlap) / (size - overlap));
  return Array.from({ length: count }, (_, i) => Math.round((i * (length - size)) / (count - 1)));
}

/** Tiles that cover an image, row by row; an image smaller than a tile is one tile. */
export function tileGrid(width: number, height: number, tiling: Tiling): Tile[] {
  checkTiling(tiling);
  const [w, h] = [Math.min(width, tiling.size), Math.min(height, tiling.size)];
  return starts(height, tiling).flatMap((y) => starts(width, tiling).map((x) => ({ x, y, width: w, height: h })));
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

/** Weight of position i of a tile's side: rises from the edges, so that neighbours fade into each other. */
function ramp(i: number, length: number, overlap: number): number {
  const fromEdge = Math.min(i + 0.5, length - i - 0.5);
  return overlap > 0 ? Math.min(1, fromEdge / overlap) : 1;
}

export interface ValueMap {
  readonly width: number;
  readonly height: number;
  readonly values: Float32Array;
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
  const width = Math.max(1, Math.round(image.width * scale));
  const height = Math.max(1, Math.round(image.height * scale));
  const values = new Float64Array(width * height);
  const weights = new Float64Array(width * height);
  const overlap = tiling.overlap * scale;
  tileGrid(image.width, image.height, tiling).forEach((tile, index) => {
    const map = maps[index];
    if (map?.length !== side * side) throw new Error(`tile ${index} has no map of ${side}x${side}`);
    const [x0, y0] = [Math.round(tile.x * scale), Math.round(tile.y * scale)];
    const [x1, y1] = [Math.round((tile.x + tile.width) * scale), Math.round((tile.y + tile.height) * scale)];
    const [w, h] = [Math.min(x1, width) - x0, Math.min(y1, height) - y0];
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
        const weight = ramp(x, w, overlap) * ramp(y, h, overlap);
        const i = (y0 + y) * width + x0 + x;
        values[i] = (values[i] as number) + value * weight;
        weights[i] = (weights[i] as number) + weight;
      }
    }
  });
  return { width, height, values: Float32Array.from(values, (sum, i) => sum / (weights[i] as number)) };
}
