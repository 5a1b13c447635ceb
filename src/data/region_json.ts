/** The region of interest as JSON: what a file says, and what a model file holds. */

import * as v from 'valibot';
import { InvalidArgumentError } from '../base/errors.ts';
import { isRecord, parseJson } from '../weights/json.ts';
import type { RegionMask, RegionOfInterest, RegionPolygon } from './region.ts';

/** Points that a region has at most, of all its polygons. */
export const mostPoints = 20_000;
const mostPolygons = 5000;
/** Runs of a mask that is not made of areas would swell the model file. */
export const mostRuns = 200_000;
const longestSide = 2 ** 16;
/** Objects and lists inside of each other. */
const deepest = 6;
/** Places are written with so many decimals: a hundredth of a pixel of an image of 1000. */
const decimals = 5;

const length = v.pipe(
  v.number('must be a number of pixels'),
  v.safeInteger('must be a whole number of pixels'),
  v.minValue(1, 'must be at least 1 pixel'),
  v.maxValue(longestSide, `must be at most ${longestSide} pixels`),
);

const point = v.pipe(
  v.custom<readonly unknown[]>(
    (value) => Array.isArray(value) && value.length === 2 && value.every(Number.isFinite),
    'must be a point of two numbers, [x, y]',
  ),
  v.transform(([x, y]): readonly [number, number] => [x as number, y as number]),
);

const polygons = v.pipe(
  v.array(
    v.pipe(
      v.array(point, 'must be a list of points, such as [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]'),
      v.minLength(3, 'needs at least three points'),
    ),
    'must be a list of polygons, each a list of points',
  ),
  v.maxLength(mostPolygons, `has more than ${mostPolygons} polygons`),
);

const record = v.custom<Record<string, unknown>>(isRecord, 'must be an object');

const mask = v.pipe(
  record,
  v.strictObject({
    width: length,
    height: length,
    runs: v.pipe(
      v.array(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
      v.maxLength(mostRuns, `has more than ${mostRuns} runs`),
    ),
  }),
  v.check(
    ({ width, height, runs }) => runs.reduce((sum, run) => sum + run, 0) === width * height,
    'its runs must add up to width x height',
  ),
);

const fields = { inspect: v.optional(polygons, []), ignore: v.optional(polygons, []) };

/** What is wrong with the places of polygons; undefined where they lie in the image. */
function strayPoint(
  { inspect, ignore }: Pick<RegionOfInterest, 'inspect' | 'ignore'>,
  [width, height]: readonly [number, number],
  advice: string,
): string | undefined {
  for (const [name, list] of Object.entries({ inspect, ignore }))
    for (const [i, polygon] of list.entries())
      for (const [j, [x, y]] of polygon.entries())
        if (!(x >= 0 && x <= width && y >= 0 && y <= height))
          return (
            `point ${j + 1} of polygon ${i + 1} in '${name}' is [${x}, ${y}], outside of the image: x must ` +
            `be 0 to ${width}, y 0 to ${height}${advice}`
          );
  return undefined;
}

function checkPolygons(region: Pick<RegionOfInterest, 'inspect' | 'ignore'>): string | undefined {
  const points = [...region.inspect, ...region.ignore].reduce((sum, polygon) => sum + polygon.length, 0);
  return points > mostPoints ? `it has ${points} points, more than ${mostPoints}` : undefined;
}

/** The region of a model file, as its settings hold it. */
export const regionSchema = v.pipe(
  record,
  v.object({ ...fields, mask: v.exactOptional(mask) }),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    const wrong = checkPolygons(dataset.value) ?? strayPoint(dataset.value, [1, 1], '');
    if (wrong) addIssue({ message: wrong });
  }),
  v.transform((value): RegionOfInterest => value),
);

/** Polygons of a file: in shares of the image, or in pixels where it says of which size. */
const fileSchema = v.pipe(
  record,
  v.strictObject({
    ...fields,
    width: v.exactOptional(length),
    height: v.exactOptional(length),
    mask: v.exactOptional(mask),
  }),
);

/**
 * Reads a region from JSON: `inspect` and `ignore` are lists of polygons, each a list of points [x, y].
 * Places are shares of the image, 0 to 1; with `width` and `height` they are pixels of an image of that size.
 *
 * @param what names the text in errors
 * @throws InvalidArgumentError that says where the text is wrong, and what was expected
 */
export function parseRegion(json: string, what: string): RegionOfInterest {
  const refuse = (message: string): never => {
    throw new InvalidArgumentError(`${what}: ${message}`);
  };
  let value: unknown;
  try {
    value = parseJson(json, deepest);
  } catch (error) {
    return refuse(`it is no JSON of a region (${(error as Error).message})`);
  }
  const result = v.safeParse(fileSchema, value, { abortEarly: true });
  if (!result.success) {
    const [issue] = result.issues;
    const path = v.getDotPath(issue);
    const known = "'inspect', 'ignore', 'width' and 'height'";
    if (issue.type === 'strict_object' && path)
      return refuse(`'${path.slice(0, 100)}' is no field of a region: there are ${known}`);
    return refuse(`${path ? `'${path.slice(0, 100)}'` : 'a region'} ${issue.message.slice(0, 300)}`);
  }
  const { inspect, ignore, mask: shape, width, height } = result.output;
  if ((width === undefined) !== (height === undefined))
    return refuse("'width' and 'height' belong together: give both for places in pixels, none for shares");
  const size = [width ?? 1, height ?? 1] as const;
  const advice = width === undefined ? "; for places in pixels give 'width' and 'height' of the image" : '';
  const wrong = checkPolygons({ inspect, ignore }) ?? strayPoint({ inspect, ignore }, size, advice);
  if (wrong) return refuse(wrong);
  if (!inspect.length && !ignore.length && !shape)
    return refuse("it has no polygon: 'inspect' or 'ignore' needs one");
  const shares = (list: readonly RegionPolygon[]) =>
    list.map((polygon) => polygon.map(([x, y]) => [x / size[0], y / size[1]] as const));
  return { inspect: shares(inspect), ignore: shares(ignore), ...(shape && { mask: shape as RegionMask }) };
}

/** A place as it is written: the nearest of 100,000 in each direction. */
export function roundedShare(value: number): number {
  return Number(Math.min(1, Math.max(0, value)).toFixed(decimals));
}

/** A region as the text of a file that {@link parseRegion} reads: a polygon in each line. */
export function regionText({ inspect, ignore, mask: shape }: RegionOfInterest): string {
  const list = (polygons: readonly RegionPolygon[]) =>
    polygons.length
      ? `[\n${polygons.map((polygon) => `    ${JSON.stringify(polygon)}`).join(',\n')}\n  ]`
      : '[]';
  const parts = [`"inspect": ${list(inspect)}`, `"ignore": ${list(ignore)}`];
  if (shape) parts.push(`"mask": ${JSON.stringify(shape)}`);
  return `{\n  ${parts.join(',\n  ')}\n}\n`;
}
