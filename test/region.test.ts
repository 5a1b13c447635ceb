/** The region of interest: from its files to pixels, and in the model file. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { encodePng } from '#platform';
import { drawingOf, polygonShape, rectangleShape, regionOf, strokeShape } from '../app/region_shapes.ts';
import { RandomStream } from '../src/base/random.ts';
import {
  checkInspects,
  inspectedShare,
  maskPixels,
  type RegionOfInterest,
  type RegionPolygon,
  rasterizeRegion,
  regionMask,
  regionPixels,
} from '../src/data/region.ts';
import { readRegion, regionFromImage } from '../src/data/region_file.ts';
import { parseRegion, regionText } from '../src/data/region_json.ts';
import { readDetector, rewriteDetector, writeDetectorTensors } from '../src/detector/file.ts';
import { useFolder } from './support/command.ts';
import { settings } from './support/model_files.ts';

const folder = useFolder();

const box = (left: number, top: number, right: number, bottom: number): RegionPolygon => [
  [left, top],
  [right, top],
  [right, bottom],
  [left, bottom],
];
const only = (...inspect: RegionPolygon[]): RegionOfInterest => ({ inspect, ignore: [] });

/** Rows of pixels as text. */
function drawn(region: RegionOfInterest, width: number, height: number): string[] {
  const pixels = rasterizeRegion(region, width, height);
  return Array.from({ length: height }, (_, y) =>
    Array.from(pixels.subarray(y * width, (y + 1) * width), (on) => (on ? '#' : '.')).join(''),
  );
}

/** How often a polygon of whole numbers of 1/64 goes around a pixel's centre, exactly. */
function around(polygon: RegionPolygon, i: number, j: number, width: number, height: number): number {
  const [x, y] = [BigInt(64 * (2 * i + 1) * height), BigInt(64 * (2 * j + 1) * width)];
  const corners = polygon.map(
    ([px, py]) => [BigInt(px * 64 * 2 * width * height), BigInt(py * 64 * 2 * width * height)] as const,
  );
  let turns = 0;
  corners.forEach(([x1, y1], k) => {
    const [x0, y0] = corners.at(k - 1) as readonly [bigint, bigint];
    if (y0 <= y === y1 <= y) return;
    // The edge meets the row at or left of the centre.
    const side = (x - x0) * (y1 - y0) - (y - y0) * (x1 - x0);
    if (y1 > y0 ? side >= 0n : side <= 0n) turns += y1 > y0 ? 1 : -1;
  });
  return turns;
}

describe('pixels', () => {
  test('a pixel belongs to a polygon where its centre does; left and upper edges do, others do not', () => {
    expect(drawn(only(box(0.25, 0.25, 0.75, 0.5)), 8, 4)).toEqual([
      '........',
      '..####..',
      '........',
      '........',
    ]);
    // Centres at .125, .375 and so on lie on its edges.
    expect(drawn(only(box(0.125, 0.125, 0.625, 0.625)), 4, 4)).toEqual(['##..', '##..', '....', '....']);
    const halves = [box(0, 0, 0.5, 1), box(0.5, 0, 1, 1)];
    const [left, right] = halves.map((half) => rasterizeRegion(only(half), 7, 3));
    expect([...(left ?? [])].map((on, i) => on + (right?.[i] ?? 0))).toEqual(Array(21).fill(1));
  });

  test('ignored parts are cut out of inspected ones, whatever is drawn first; nothing inspected means all', () => {
    const ignore = [box(0.5, 0, 1, 1)];
    expect(drawn({ inspect: [], ignore }, 4, 1)).toEqual(['##..']);
    expect(drawn({ inspect: [box(0.25, 0, 0.75, 1)], ignore }, 4, 1)).toEqual(['.#..']);
    const mask = regionMask([1, 0, 1, 1], 4, 1);
    expect(drawn({ inspect: [box(0, 0, 0.75, 1)], ignore: [], mask }, 4, 1)).toEqual(['#.#.']);
  });

  test('a polygon that crosses itself is inside where its outline goes around, even twice', () => {
    const twice = [...box(0, 0, 1, 1), [0, 0], ...box(0.25, 0.25, 0.75, 0.75), [0.25, 0.25]] as const;
    expect(inspectedShare(only(twice), 64)).toBe(1);
    const bow: RegionPolygon = [
      [0, 0],
      [1, 1],
      [1, 0],
      [0, 1],
    ];
    expect(drawn(only(bow), 4, 4)).toEqual(['...#', '#.##', '#.##', '...#']);
  });

  test('random polygons have the pixels of exact arithmetic', () => {
    const random = new RandomStream('polygons');
    for (let trial = 0; trial < 60; trial++) {
      const [width, height] = [random.integer(1, 24), random.integer(1, 24)];
      const polygon = Array.from(
        { length: random.integer(3, 9) },
        () => [random.integer(0, 64) / 64, random.integer(0, 64) / 64] as const,
      );
      const expected = Array.from({ length: width * height }, (_, i) =>
        around(polygon, i % width, Math.floor(i / width), width, height) ? 1 : 0,
      );
      expect([...rasterizeRegion(only(polygon), width, height)], JSON.stringify(polygon)).toEqual(expected);
    }
  });

  test('a window of an image has the pixels that the image has there', () => {
    const random = new RandomStream('windows');
    const region = {
      ...only(Array.from({ length: 7 }, () => [random.next(), random.next()] as const)),
      mask: regionMask(
        Array.from({ length: 35 }, () => random.integer(0, 1)),
        7,
        5,
      ),
    };
    const of = { width: 48, height: 30 };
    const all = rasterizeRegion(region, of.width, of.height);
    const window = { x: 13, y: 6, width: 20, height: 15, of };
    const part = rasterizeRegion(region, 20, 15, window);
    for (let y = 0; y < 15; y++)
      for (let x = 0; x < 20; x++) expect(part[y * 20 + x]).toBe(all[(y + 6) * 48 + x + 13]);
  });

  test('masks are stretched by the nearest pixel; their runs keep every pixel', () => {
    const mask = regionMask([0, 255, 0, 0, 1, 1], 3, 2);
    expect(mask.runs).toEqual([1, 1, 2, 2]);
    expect([...maskPixels(mask)]).toEqual([0, 1, 0, 0, 1, 1]);
    expect(drawn({ inspect: [], ignore: [], mask }, 6, 4)).toEqual(['..##..', '..##..', '..####', '..####']);
    expect(drawn({ inspect: [], ignore: [], mask }, 1, 1)).toEqual(['#']);
    expect(regionMask([1, 1], 2, 1).runs).toEqual([0, 2]);
  });

  test('pixels of a size are made once, and a region that inspects nothing is refused', () => {
    const region = only(box(0.1, 0.1, 0.105, 0.105));
    expect(regionPixels(region, 64, 64)).toBe(regionPixels(region, 64, 64));
    expect(() => checkInspects(region, 32)).toThrow('leaves no pixel to inspect at 32 x 32 pixels');
    expect(() => checkInspects(region)).not.toThrow();
  });
});

describe('files', () => {
  test('polygons in pixels and in shares mean the same', () => {
    const shares = parseRegion('{"inspect": [[[0.25, 0], [0.75, 0], [0.5, 1]]]}', 'a.json');
    const pixels = parseRegion(
      '{"width": 400, "height": 200, "inspect": [[[100, 0], [300, 0], [200, 200]]], "ignore": []}',
      'b.json',
    );
    expect(pixels).toEqual(shares);
    expect(shares).toEqual({
      inspect: [
        [
          [0.25, 0],
          [0.75, 0],
          [0.5, 1],
        ],
      ],
      ignore: [],
    });
  });

  test.each<[string, string]>([
    ['{"inspect": [[[0, 0], [1, 0]]]}', "x.json: 'inspect.0' needs at least three points"],
    ['{"inspect": [[0, 0], [1, 0], [1, 1]]}', "x.json: 'inspect.0.0' must be a point of two numbers, [x, y]"],
    ['{"inspect": {}}', "x.json: 'inspect' must be a list of polygons"],
    ['{"ignore": [[[0, 0], [1, 0], [1, 40]]]}', "point 3 of polygon 1 in 'ignore' is [1, 40], outside"],
    ['{"ignore": [[[0, 0], [1, 0], [1, 40]]]}', "for places in pixels give 'width' and 'height'"],
    ['{"width": 9, "height": 9, "ignore": [[[0, 0], [1, 0], [1, 40]]]}', 'x must be 0 to 9, y 0 to 9'],
    ['{"width": 9, "ignore": [[[0, 0], [1, 0], [1, 1]]]}', "'width' and 'height' belong together"],
    ['{"width": 0.5, "height": 1, "ignore": []}', "'width' must be a whole number of pixels"],
    ['{"polygons": []}', "'polygons' is no field of a region: there are 'inspect', 'ignore'"],
    ['{}', "it has no polygon: 'inspect' or 'ignore' needs one"],
    ['[]', 'x.json: a region must be an object'],
    ['{"inspect": [', 'x.json: it is no JSON of a region'],
    ['{"mask": {"width": 2, "height": 2, "runs": [3]}}', "'mask' its runs must add up to width x height"],
  ])('%s is refused with what is wrong', (json, message) => {
    expect(() => parseRegion(json, 'x.json')).toThrow(message);
  });

  test('a mask of 0 and 255, one of 0 and 1, and a grey one say the same', async () => {
    const white = [0, 1, 1, 0, 1, 0];
    const png = (values: number[]) =>
      encodePng({
        width: 3,
        height: 2,
        channels: 3,
        data: Uint8Array.from(values.flatMap((v) => [v, v, v])),
      });
    const expected = { inspect: [], ignore: [], mask: { width: 3, height: 2, runs: [1, 2, 1, 1, 1] } };
    expect(await regionFromImage(await png(white.map((v) => 255 * v)), 'a.png')).toEqual(expected);
    expect(await regionFromImage(await png(white), 'b.png')).toEqual(expected);
    expect(await regionFromImage(await png(white.map((v) => 60 + 140 * v)), 'c.png')).toEqual(expected);
    await expect(regionFromImage(await png([0, 0, 0, 0, 0, 0]), 'd.png')).rejects.toThrow(
      'd.png: the mask is black, so nothing would be inspected',
    );
    writeFileSync(join(folder, 'mask.png'), await png(white.map((v) => 255 * v)));
    expect(await readRegion(join(folder, 'mask.png'))).toEqual(expected);
    writeFileSync(join(folder, 'region.json'), '{"ignore": [[[0, 0], [1, 0], [1, 1]]]}');
    expect((await readRegion(join(folder, 'region.json'))).ignore).toHaveLength(1);
    writeFileSync(join(folder, 'other.bin'), Uint8Array.of(255, 254, 0, 1));
    await expect(readRegion(join(folder, 'other.bin'))).rejects.toThrow('neither an image');
  });
});

describe('drawings', () => {
  test('become a region whose file reads back as itself, with the same pixels', () => {
    const size = { width: 300, height: 200 };
    const path = Array.from({ length: 50 }, (_, i) => [0.1 + i / 70, 0.5 + 0.3 * Math.sin(i / 6)] as const);
    const shapes = [
      rectangleShape('inspect', [0.9, 0.8], [0.123456789, 0.1]),
      polygonShape('inspect', [
        [0, 0],
        [0.2, 0],
        [0.1, 0.3],
      ]),
      strokeShape('ignore', path, 12, size),
      strokeShape('ignore', [[0.05, 0.05]], 5, size),
    ].flatMap((shape) => shape ?? []);
    expect(shapes.map(({ polygons }) => polygons.length)).toEqual([1, 1, expect.any(Number), 1]);
    const region = regionOf({ shapes }) as RegionOfInterest;
    const read = parseRegion(regionText(region), 'saved');
    expect(read).toEqual(region);
    expect(rasterizeRegion(read, 97, 61)).toEqual(rasterizeRegion(region, 97, 61));
    expect(regionOf(drawingOf(region))).toEqual(region);
  });

  test('a stroke is round on the picture and as wide as its brush', () => {
    const size = { width: 200, height: 100 };
    const stroke = strokeShape(
      'inspect',
      [
        [0.25, 0.5],
        [0.5, 0.5],
        [0.75, 0.5],
      ],
      10,
      size,
    );
    expect(stroke?.polygons).toHaveLength(1);
    const region = regionOf({ shapes: stroke ? [stroke] : [] }) as RegionOfInterest;
    const pixels = rasterizeRegion(region, 200, 100);
    const at = (x: number, y: number) => pixels[y * 200 + x];
    expect([at(100, 41), at(100, 58), at(100, 39), at(100, 61)]).toEqual([1, 1, 0, 0]);
    expect([at(41, 50), at(39, 50), at(158, 50), at(160, 50), at(42, 42)]).toEqual([1, 0, 1, 0, 0]);
  });

  test('a rectangle without an area and a polygon of two points are nothing', () => {
    expect(rectangleShape('inspect', [0.2, 0.2], [0.2, 0.9])).toBeUndefined();
    expect(
      polygonShape('inspect', [
        [0, 0],
        [1, 1],
      ]),
    ).toBeUndefined();
    expect(strokeShape('inspect', [], 3, { width: 9, height: 9 })).toBeUndefined();
    expect(regionOf({ shapes: [] })).toBeUndefined();
  });
});

describe('the model file', () => {
  const tiny = new Map([['x', { shape: [1], values: new Float32Array(1) }]]);
  const region: RegionOfInterest = {
    inspect: [box(0.1, 0.2, 0.7, 0.9)],
    ignore: [box(0.3, 0.3, 0.4, 0.4)],
    mask: regionMask([1, 1, 0, 1], 2, 2),
  };

  test('keeps a region, in a format that older programs refuse; without one it is as before', async () => {
    const bytes = await writeDetectorTensors(tiny, { ...settings, region });
    const file = await readDetector(bytes, 'm');
    expect(file.settings.region).toEqual(region);
    expect(file.metadata.format).toBe('aand-webgpu/3');
    const { region: _, ...without } = file.settings;
    const back = await readDetector(await rewriteDetector(file, without), 'm');
    expect(back.metadata.format).toBe('aand-webgpu/2');
    expect(back.settings).toEqual(settings);
  });

  test.each<[string, unknown, string]>([
    ['places outside of the image', { inspect: [box(0, 0, 1, 2)] }, 'outside of the image'],
    ['nothing to inspect', { ignore: [box(0, 0, 1, 1)] }, 'leaves no pixel to inspect at 32 x 32'],
    ['a mask of another length', { mask: { width: 3, height: 1, runs: [1] } }, 'must add up'],
    ['no object', [], 'must be an object'],
  ])('%s is refused', async (_, wrong, message) => {
    const bytes = await writeDetectorTensors(tiny, { ...settings, region: wrong as RegionOfInterest });
    await expect(readDetector(bytes, 'm')).rejects.toThrow(message);
  });
});
