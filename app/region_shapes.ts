/** What a person draws as a region of interest: shapes in order, and the polygons that they become. */
import { InvalidArgumentError } from '../src/base/errors.ts';
import type { RegionMask, RegionOfInterest, RegionPoint, RegionPolygon } from '../src/data/region.ts';
import { mostPoints, roundedShare } from '../src/data/region_json.ts';

/** Whether a shape is inspected or ignored. */
export type ShapeKind = 'inspect' | 'ignore';

/** A rectangle, a polygon, or the stroke of a brush, which is many polygons. */
export interface Shape {
  readonly kind: ShapeKind;
  readonly form: 'rectangle' | 'polygon' | 'stroke';
  readonly polygons: readonly RegionPolygon[];
}

/** What is drawn: shapes, and a mask from a file. */
export interface Drawing {
  readonly shapes: readonly Shape[];
  readonly mask?: RegionMask | undefined;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** Corners of a brush's round end. */
const corners = 12;
/** A stroke leaves its path by at most this share of its radius. */
const straightened = 0.15;

const rounded = (polygon: RegionPolygon): RegionPolygon =>
  polygon.map(([x, y]) => [roundedShare(x), roundedShare(y)] as const);

/** The rectangle between two corners; undefined where it has no area. */
export function rectangleShape(kind: ShapeKind, a: RegionPoint, b: RegionPoint): Shape | undefined {
  const [left, right] = [Math.min(a[0], b[0]), Math.max(a[0], b[0])].map(roundedShare) as [number, number];
  const [top, bottom] = [Math.min(a[1], b[1]), Math.max(a[1], b[1])].map(roundedShare) as [number, number];
  if (left === right || top === bottom) return undefined;
  const polygon = [
    [left, top],
    [right, top],
    [right, bottom],
    [left, bottom],
  ] as const;
  return { kind, form: 'rectangle', polygons: [polygon] };
}

/** A polygon of points; undefined for fewer than three. */
export function polygonShape(kind: ShapeKind, points: readonly RegionPoint[]): Shape | undefined {
  return points.length < 3 ? undefined : { kind, form: 'polygon', polygons: [rounded(points)] };
}

/** Distance of a point from the line between two others, in pixels. */
function distanceFrom([x, y]: RegionPoint, [ax, ay]: RegionPoint, [bx, by]: RegionPoint): number {
  const [dx, dy] = [bx - ax, by - ay];
  const length = dx * dx + dy * dy;
  const along = length ? Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / length)) : 0;
  return Math.hypot(x - ax - along * dx, y - ay - along * dy);
}

/** A path with as few points as stay within a distance of all (Douglas and Peucker). */
function simplified(path: readonly RegionPoint[], within: number): RegionPoint[] {
  const [first, last] = [path[0] as RegionPoint, path.at(-1) as RegionPoint];
  let [farthest, distance] = [0, within];
  for (let i = 1; i < path.length - 1; i++) {
    const here = distanceFrom(path[i] as RegionPoint, first, last);
    if (here > distance) [farthest, distance] = [i, here];
  }
  if (!farthest) return path.length === 1 ? [first] : [first, last];
  return [
    ...simplified(path.slice(0, farthest + 1), within).slice(0, -1),
    ...simplified(path.slice(farthest), within),
  ];
}

/** What a round brush covers on a straight way, in pixels. */
function capsule([ax, ay]: RegionPoint, [bx, by]: RegionPoint, radius: number): RegionPolygon {
  const ahead = Math.atan2(by - ay, bx - ax);
  const end = (x: number, y: number, from: number) =>
    Array.from({ length: corners + 1 }, (_, i): RegionPoint => {
      const angle = from + (Math.PI * i) / corners;
      return [x + radius * Math.cos(angle), y + radius * Math.sin(angle)];
    });
  return [...end(bx, by, ahead - Math.PI / 2), ...end(ax, ay, ahead + Math.PI / 2)];
}

/**
 * The stroke of a round brush.
 *
 * @param path in shares of the picture
 * @param radius in pixels of the picture, as its size
 */
export function strokeShape(
  kind: ShapeKind,
  path: readonly RegionPoint[],
  radius: number,
  { width, height }: Size,
): Shape | undefined {
  if (!path.length) return undefined;
  const pixels = path.map(([x, y]): RegionPoint => [x * width, y * height]);
  const points = simplified(pixels, straightened * radius);
  const ways = points.slice(1).map((point, i) => [points[i] as RegionPoint, point] as const);
  const [only] = points as [RegionPoint];
  const polygons = (ways.length ? ways : [[only, only] as const]).map(([a, b]) =>
    rounded(capsule(a, b, radius).map(([x, y]): RegionPoint => [x / width, y / height])),
  );
  return { kind, form: 'stroke', polygons };
}

/** The region that is drawn; undefined where nothing is. */
export function regionOf({ shapes, mask }: Drawing): RegionOfInterest | undefined {
  if (!shapes.length && !mask) return undefined;
  const of = (wanted: ShapeKind) => shapes.flatMap(({ kind, polygons }) => (kind === wanted ? polygons : []));
  return { inspect: of('inspect'), ignore: of('ignore'), ...(mask && { mask }) };
}

/** A region as a drawing, each polygon a shape. */
export function drawingOf(region: RegionOfInterest | undefined): Drawing {
  const shapes = (kind: ShapeKind) =>
    (region?.[kind] ?? []).map((polygon): Shape => ({ kind, form: 'polygon', polygons: [polygon] }));
  return { shapes: [...shapes('inspect'), ...shapes('ignore')], mask: region?.mask };
}

/** @throws InvalidArgumentError where a drawing has too many points to be kept */
export function checkDrawing({ shapes }: Drawing): void {
  const points = shapes.flatMap(({ polygons }) => polygons).reduce((sum, polygon) => sum + polygon.length, 0);
  if (points > mostPoints)
    throw new InvalidArgumentError('The drawing is too fine. Use a larger brush or fewer strokes.');
}
