/** A category by however its path is spelled, and splits by the names of files. */
import { cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Dataset } from '../src/data/dataset.ts';
import { foregroundRuleFor } from '../src/data/foreground.ts';
import { openDataset } from '../src/data/open.ts';
import { splitByName } from '../src/data/split.ts';
import type { Image } from '../src/image/image.ts';
import { writeImage, writeMvtec, writeMvtec3d, writeVisa } from './support/layouts.ts';

const folder = mkdtempSync(join(tmpdir(), 'aand-labels-'));
const path = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeAll(async () => {
  await writeMvtec(path('mvtec'), 'washer');
  await writeVisa(path('visa'), 'candle');
  await writeMvtec3d(path('mvtec3d'), 'bagel');
});

const tiny: Image = { width: 8, height: 8, channels: 3, data: new Uint8Array(192).fill(90) };
/** A copy of a data set to change. */
function copy(of: string, name: string): string {
  cpSync(path(of), path(name), { recursive: true });
  return path(name);
}

describe('the same input gives the same category', () => {
  test('however the path is spelled', async () => {
    const root = copy('mvtec/washer', 'spellings/hazelnut');
    symlinkSync(root, path('spellings/link'));
    mkdirSync(path('spellings/x'));
    const expected = foregroundRuleFor('mvtec', 'hazelnut');
    expect(expected.kind).toBe('threshold');
    const here = process.cwd();
    try {
      process.chdir(root);
      const spellings: [string, string?][] = [
        ['.'],
        ['./'],
        ['.//'],
        ['../hazelnut'],
        ['../hazelnut/'],
        ['../hazelnut/.'],
        ['../x/../hazelnut'],
        ['../link'],
        [root],
        [`${root}///`],
        ['test/..'],
        ['train/good/../..'],
        ['..', 'hazelnut'],
        ['..', './hazelnut/'],
        ['..', 'x/../hazelnut'],
        ['.', '.'],
      ];
      for (const [spelled, category] of spellings) {
        const dataset = await openDataset(spelled, category === undefined ? {} : { category });
        expect(dataset.name, `${spelled} ${category}`).toBe('hazelnut');
        expect(
          dataset.train.map(({ stem }) => stem),
          spelled,
        ).toEqual(['000', '001', '002', '003', '004', '005']);
        expect(foregroundRuleFor(dataset.format, dataset.name)).toEqual(expected);
      }
    } finally {
      process.chdir(here);
    }
  });

  test('VisA: from inside, by a link to the category, by a link elsewhere', async () => {
    const root = copy('visa', 'linked');
    symlinkSync(join(root, 'candle'), join(root, 'same'));
    renameSync(join(root, 'candle'), path('moved'));
    symlinkSync(path('moved'), join(root, 'candle'));
    const there = await openDataset(join(root, 'candle'));
    expect([there.name, there.train.length]).toEqual(['candle', 6]);
    const here = process.cwd();
    try {
      process.chdir(path('visa/candle'));
      const inside = await openDataset('.');
      expect([inside.name, inside.format, inside.train.length]).toEqual(['candle', 'visa', 6]);
    } finally {
      process.chdir(here);
    }
  });
});

describe('splits go by the names of files', () => {
  const files = (count: number, prefix = '') =>
    Array.from({ length: count }, (_, i) => ({ path: `${prefix}${String(i).padStart(4, '0')}.png` }));
  const drawn = (list: { path: string }[], seed = 0, share = 0.2) =>
    splitByName(list, share, seed, 'split').drawn.map(({ path }) => path.replace(/^.*\//, ''));

  test('the share is about what was asked for, in the order of the list, and others for other seeds', () => {
    for (const [seed, share] of [
      [0, 0.2],
      [1, 0.2],
      [0, 0.1],
      [0, 0.5],
    ] as const) {
      // Within four standard deviations.
      const { length } = drawn(files(2000), seed, share);
      expect(Math.abs(length / 2000 - share)).toBeLessThan(4 * Math.sqrt((share * (1 - share)) / 2000));
    }
    const [one, other] = [drawn(files(200), 0), drawn(files(200), 1)];
    expect(one).toEqual(one.toSorted());
    expect(one).not.toEqual(other);
    const { drawn: a, rest } = splitByName(files(50), 0.2, 0, 'split');
    expect([...a, ...rest].map(({ path }) => path).sort()).toEqual(files(50).map(({ path }) => path));
  });

  test('images that are added or taken away move no other one', () => {
    const all = files(300);
    const before = new Set(drawn(all));
    for (const kept of [all.slice(0, 299), all.slice(100), all.filter((_, i) => i % 2)])
      expect(drawn(kept)).toEqual(kept.map(({ path }) => path).filter((path) => before.has(path)));
    expect(drawn(files(300, 'other/folder/'))).toEqual([...before]);
  });

  test('one image stays on each side; what was trained on is never tested because of a new image', () => {
    for (let seed = 0; seed < 200; seed++) {
      let trained: string[] = [];
      for (let count = 2; count < 12; count++) {
        const { drawn, rest } = splitByName(files(count), 0.2, seed, 'split');
        expect(drawn.length && rest.length).toBeTruthy();
        const tested = drawn.map(({ path }) => path);
        if (rest.length > 1) expect(trained.filter((path) => tested.includes(path))).toEqual([]);
        trained = rest.length > 1 ? rest.map(({ path }) => path) : [];
      }
    }
  });

  test('a folder: a new photograph moves no other one', async () => {
    const root = path('growing');
    for (let i = 0; i < 12; i++) await writeImage(join(root, `good/${i}.png`), tiny);
    await writeImage(join(root, 'bad/0.png'), tiny);
    const before = await openDataset(root);
    for (let i = 12; i < 18; i++) await writeImage(join(root, `good/${i}.png`), tiny);
    const after = await openDataset(root);
    const paths = (samples: Dataset['train']) => samples.map(({ path }) => path);
    expect(paths(after.train)).toEqual(expect.arrayContaining(paths(before.train)));
    expect(paths(after.test)).toEqual(expect.arrayContaining(paths(before.test)));
    const moved = path('grown and moved');
    renameSync(root, moved);
    renameSync(join(moved, 'good'), join(moved, 'normal'));
    expect((await openDataset(moved)).train.map(({ stem }) => stem)).toEqual(
      after.train.map(({ stem }) => stem),
    );
  });
});
