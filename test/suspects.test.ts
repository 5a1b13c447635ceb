/** Suspects among training images: distances against float64, the ranking, lists of images to leave out. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { randomWeights } from '../bench/support/random_weights.ts';
import { RandomStream } from '../src/base/random.ts';
import type { Dataset, Sample } from '../src/data/dataset.ts';
import { withoutListed } from '../src/data/leave_out.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { suspectSheet } from '../src/eval/suspect_sheet.ts';
import { clearOutliers, suspectCount } from '../src/session/suspects.ts';
import { findSuspects, nearestImages, rankedSuspects, suspicionsOf } from '../src/train/suspects.ts';
import { picture, sample, tinyTeacher } from './support/tiny_teacher.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

function randomRows(count: number, seed: string): Float32Array {
  const random = new RandomStream(seed);
  return Float32Array.from({ length: count }, () => random.uniform(-1, 1));
}

const words = (lists: readonly (readonly Float32Array[])[]) =>
  lists.flat().map((values) => [...new Uint32Array(values.buffer, values.byteOffset, values.length)]);

describe('distances to other images', () => {
  const [images, rows, channels] = [11, 9, 6];
  const values = randomRows(images * rows * channels, 'suspects');

  /** In float64: distances of a row to the nearest row of each other image, smallest first. */
  function reference(image: number, row: number): number[] {
    const at = (i: number, r: number, c: number) => values[(i * rows + r) * channels + c] as number;
    const distance = (other: number, r: number) => {
      let sum = 0;
      for (let c = 0; c < channels; c++) sum += (at(image, row, c) - at(other, r, c)) ** 2;
      return Math.sqrt(sum);
    };
    const toOthers = Array.from({ length: images }, (_, other) =>
      other === image ? [] : [Math.min(...Array.from({ length: rows }, (_, r) => distance(other, r)))],
    );
    return toOthers.flat().sort((a, b) => a - b);
  }

  test('are those of a float64 computation, the image itself left out', async () => {
    const found = await nearestImages(engine, { values, rows, channels });
    expect(found).toHaveLength(images);
    let error = 0;
    for (const [image, nearest] of found.entries()) {
      expect(nearest).toHaveLength(3);
      for (let row = 0; row < rows; row++)
        for (const [k, distances] of nearest.entries())
          error = Math.max(
            error,
            Math.abs((distances[row] as number) - (reference(image, row)[k] as number)),
          );
    }
    expect(error).toBeLessThan(5e-7);
  });

  test('have the same bits in any number of parts', async () => {
    const whole = await nearestImages(engine, { values, rows, channels });
    const cut = await nearestImages(engine, { values, rows, channels }, { imagesPerPart: 4 });
    expect(words(cut)).toEqual(words(whole));
  });

  test('of two images are those to each other', async () => {
    const two = values.slice(0, 2 * rows * channels);
    const [first, second] = await nearestImages(engine, { values: two, rows, channels });
    expect([first?.length, second?.length]).toEqual([1, 1]);
    expect(Math.min(...(first?.[0] ?? []))).toBe(Math.min(...(second?.[0] ?? [])));
  });

  test('end at a raised signal', async () => {
    const signal = AbortSignal.abort();
    await expect(nearestImages(engine, { values, rows, channels }, { signal })).rejects.toThrow(
      'interrupted',
    );
  });
});

describe('scores', () => {
  // Three images of 2 x 2 patches, each with the distances to its three nearest others.
  const nearest = [
    [
      [1, 1, 1, 1],
      [2, 2, 2, 2],
      [3, 3, 3, 3],
    ],
    [
      [1, 1, 1, 5],
      [1, 1, 1, 6],
      [1, 1, 1, 7],
    ],
    [
      [0, 0, 0, 9],
      [0, 0, 0, 0],
      [0, 0, 0, 0],
    ],
  ].map((image) => image.map((row) => Float32Array.from(row)));

  test('are the largest mean of three distances, above the own mean of the image', () => {
    const found = suspicionsOf(nearest, 4);
    expect(found.map(({ score }) => score)).toEqual([0, 6 - 9 / 4, 3 - 3 / 4]);
    expect([...(found[1]?.map ?? [])]).toEqual([-1.25, -1.25, -1.25, 3.75]);
    expect(found[1]?.side).toBe(2);
    expect(rankedSuspects(found)).toEqual([1, 2, 0]);
  });

  test('follow the form', () => {
    const scores = (form: Parameters<typeof suspicionsOf>[2]) =>
      suspicionsOf(nearest, 4, form).map(({ score }) => score);
    expect(scores({ neighbours: [1], off: 'nothing', patches: 1 })).toEqual([1, 5, 9]);
    expect(scores({ neighbours: [2], off: 'nothing', patches: 2 })).toEqual([2, 3.5, 0]);
    // Medians of the nearest: 1, 1, 1, 5.
    expect(scores({ neighbours: [1], off: 'position', patches: 1 })).toEqual([0, 0, 4]);
  });

  test('that are equal keep the order of the images', () => {
    expect(rankedSuspects([{ score: 1 }, { score: 2 }, { score: 1 }, { score: 2 }])).toEqual([1, 3, 0, 2]);
  });

  test('that stand out clearly are counted', () => {
    const usual = [1, 1.1, 0.9, 1.05, 0.95, 1, 1.02, 0.98];
    expect(clearOutliers(usual)).toBe(0);
    expect(clearOutliers([5, 4, ...usual])).toBe(2);
  });

  test('a share is a number of images, and never all of them', () => {
    expect([suspectCount(0.1, 356), suspectCount(0.1, 4), suspectCount(0.5, 3)]).toEqual([36, 0, 2]);
    expect(() => suspectCount(0.99, 10)).toThrow('--drop-suspects 0.99 leaves out all of the 10 good images');
  });
});

describe('ranking of images', () => {
  test('finds planted defects, two of them alike', async () => {
    const teacher = await randomWeights(engine, tinyTeacher);
    const planted = [3, 8];
    const images = Array.from({ length: 12 }, (_, i) => picture(i, 64, planted.includes(i)));
    const seen: string[] = [];
    const found = await findSuspects({
      engine,
      images,
      imageSize: 64,
      backbone: tinyTeacher,
      teacher,
      teacherName: 'tiny',
      onFeatures: (done, total) => seen.push(`features ${done}/${total}`),
      onCompared: (done, total) => seen.push(`compared ${done}/${total}`),
    });
    expect(rankedSuspects(found).slice(0, 2).sort()).toEqual(planted);
    expect(seen).toEqual(['features 8/12', 'features 12/12', 'compared 8/12', 'compared 12/12']);
    // The square lies at 8 to 19 of 64 pixels: in the first two of four patches a side.
    const { map, side } = found[3] as (typeof found)[number];
    const peak = map.indexOf(Math.max(...map));
    expect([side, peak % side < 2, Math.floor(peak / side) < 2]).toEqual([4, true, true]);
  });

  test('needs three images', async () => {
    const teacher = await randomWeights(engine, tinyTeacher);
    const images = [picture(0, 64), picture(1, 64)];
    const o = { engine, images, imageSize: 64, backbone: tinyTeacher, teacher, teacherName: 'tiny' };
    await expect(findSuspects(o)).rejects.toThrow(
      '2 images cannot be compared with each other, 3 are needed',
    );
  });
});

describe('the sheet', () => {
  test('has two pictures of each image, and the strangest spot enlarged', () => {
    const image = picture(1, 96, true);
    const map = new Float32Array(16).fill(-1);
    map[0] = 2;
    const sheet = suspectSheet([{ image, labels: ['1: 2.00', '001.png'], map, side: 4 }], 'screw');
    // Two cells of 220 pixels with gaps of 8.
    expect(sheet.width).toBe(8 + 2 * 228);
    const at = (x: number, y: number) => [...sheet.data.subarray((y * sheet.width + x) * 3).subarray(0, 3)];
    // Of the left picture, 220 for 96 pixels, the outline is green; the right one shows pixels 0 to 28: the
    // white square at 8 to 19 lies in its middle.
    const greens = Array.from({ length: 220 }, (_, x) => at(8 + x, 23 + 10)).filter(
      ([r, g, b]) => r === 70 && g === 230 && b === 120,
    );
    expect(greens.length).toBeGreaterThan(0);
    expect(at(8 + 228 + 105, 23 + 105)).toEqual([255, 255, 255]);
    expect(at(8 + 228 + 215, 23 + 215)[0]).toBeLessThan(200);
  });
});

describe('a list of images to leave out', () => {
  const named = (name: string): Sample => ({
    ...sample(name, 'good'),
    path: `/data/./screw/train/good/${name}.png`,
  });
  const dataset: Dataset = {
    name: 'screw',
    format: 'mvtec',
    folder: '/data/screw/',
    train: ['000', '001', '002'].map(named),
    validation: [named('v00')],
    test: [],
    warnings: [],
  };
  const rest = async (text: string) => {
    const { train, validation, leftOut } = await withoutListed(dataset, text, 'list.txt');
    return [train, validation, leftOut].map((list) => list?.map(({ stem }) => stem).join());
  };

  test('names images from the folder on or absolutely; comments and blanks do not count', async () => {
    const text = '\uFEFF# suspects\r\n\r\ntrain/good/001.png  \r\n/data/screw/train/good/v00.png\n';
    expect(await rest(text)).toEqual(['000,002', '', '001,v00']);
    expect(await rest('')).toEqual(['000,001,002', 'v00', '']);
    expect(await rest('./train//good/000.png\ntrain/good/000.png')).toEqual(['001,002', 'v00', '000']);
  });

  test('is refused where it names another file, or all of them', async () => {
    await expect(rest('train/good/001.png\ntrain/good/003.png')).rejects.toThrow(
      'list.txt names train/good/003.png, which is no training image of screw; they are named from ' +
        '/data/screw/ on, such as train/good/000.png',
    );
    await expect(rest('train/good/000.png\ntrain/good/001.png\ntrain/good/002.png')).rejects.toThrow(
      'list.txt names all 3 training images: none is left',
    );
  });
});
