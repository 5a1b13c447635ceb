/** Heat maps as pixels and as shapes, for whoever shows them; `canvas.ts` draws them. */
import { InvalidArgumentError } from '../base/errors.ts';
import { type ColourMapName, colourTable } from './colour_maps.ts';
import type { Scale } from './marks.ts';
import { type Calibration, normalizeScore } from './thresholds.ts';

/** Values over an image, row by row. */
export interface MapValues {
  /** [height, width]. */
  readonly map: Float32Array;
  readonly width: number;
  readonly height: number;
  /** 1 where the image is inspected, else 0; undefined: everywhere. Other places are dark. */
  readonly inspected?: Uint8Array | undefined;
}

/** What is not inspected is dark. */
const notInspected = Uint8Array.of(12, 16, 20);

/** A detector's scale, as far as colours need it. */
export type MapScale = Pick<Scale, 'map'>;

/** The scale that the colours follow: without a limit the range of the map itself. */
export function coloursOf({ map }: Pick<MapValues, 'map'>, scale: MapScale | null): Calibration {
  if (scale) return scale.map;
  const largest = map.reduce((a, b) => Math.max(a, b), 1e-6);
  return { threshold: largest / 2, min: 0, max: largest, rule: 'the range of this map' };
}

/**
 * Values in colours; what is not inspected is dark.
 *
 * @param level 0 to 1 of a value; what lies outside is cut
 * @returns RGBA, all opaque, as ImageData takes it
 */
export function colourPixels(
  { map, inspected }: Pick<MapValues, 'map' | 'inspected'>,
  colours: ColourMapName,
  level: (value: number) => number,
): Uint8ClampedArray<ArrayBuffer> {
  const table = colourTable(colours);
  const data = new Uint8ClampedArray(map.length * 4);
  for (let i = 0; i < map.length; i++) {
    const step = Math.round(255 * Math.min(1, Math.max(0, level(map[i] as number))));
    const [from, at] = inspected && !inspected[i] ? [notInspected, 0] : [table, step * 3];
    data[i * 4] = from[at] as number;
    data[i * 4 + 1] = from[at + 1] as number;
    data[i * 4 + 2] = from[at + 2] as number;
    data[i * 4 + 3] = 255;
  }
  return data;
}

/**
 * A map in the colours of its detector's scale, in the map's own size: 0.5, the limit, is always the middle
 * colour.
 *
 * @param scale that of the detector; null: the range of the map itself
 * @returns RGBA; `new ImageData(data, width, height)` shows it
 */
export function heatPixels(
  input: MapValues,
  scale: MapScale | null,
  colours: ColourMapName = 'jet',
): { readonly width: number; readonly height: number; readonly data: Uint8ClampedArray<ArrayBuffer> } {
  const { width, height } = input;
  const followed = coloursOf(input, scale);
  return { width, height, data: colourPixels(input, colours, (value) => normalizeScore(value, followed)) };
}

/** A closed line along the borders of pixels: x and y of its corners, in pixels from the top left corner. */
export type Outline = readonly (readonly [x: number, y: number])[];

// Right, down, left, up; what is marked lies at the right hand.
const steps = [
  [1, 0],
  [0, 1],
  [-1, 0],
  [0, -1],
] as const;

/**
 * The outlines of what a mask marks: outer borders clockwise, borders of holes the other way. Pixels that
 * touch at a corner alone have outlines of their own.
 *
 * @param mask 0/1 [height, width]
 * @throws InvalidArgumentError where the mask has another size
 */
export function outlinesOf(mask: Uint8Array, width: number, height: number): Outline[] {
  if (mask.length !== width * height)
    throw new InvalidArgumentError(
      `a mask of ${mask.length} pixels is not ${width} x ${height} pixels large`,
    );
  const on = (x: number, y: number) =>
    x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x] !== 0;
  /** Whether the border that begins at a corner in this direction has marked pixels at its right alone. */
  const isBorder = (x: number, y: number, direction: number) => {
    const right = [on(x, y), on(x - 1, y), on(x - 1, y - 1), on(x, y - 1)];
    return right[direction] === true && right[(direction + 3) % 4] === false;
  };
  const seen = new Set<number>();
  const key = (x: number, y: number, direction: number) => (y * (width + 1) + x) * 4 + direction;
  const outlines: Outline[] = [];
  for (let top = 0; top < height; top++)
    for (let left = 0; left < width; left++) {
      if (!isBorder(left, top, 0) || seen.has(key(left, top, 0))) continue;
      const corners: [number, number][] = [];
      let [x, y, direction] = [left, top, 0];
      do {
        seen.add(key(x, y, direction));
        const [dx, dy] = steps[direction] as (typeof steps)[number];
        [x, y] = [x + dx, y + dy];
        // The sharpest turn to the right first: pixels that touch at a corner stay apart.
        const next = [1, 0, 3]
          .map((turn) => (direction + turn) % 4)
          .find((to) => isBorder(x, y, to)) as number;
        if (next !== direction) corners.push([x, y]);
        direction = next;
      } while (x !== left || y !== top || direction !== 0);
      outlines.push(corners);
    }
  return outlines;
}
