import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeDirtySets } from '../bench/learning/dirty.ts';
import { dirtySection } from '../bench/learning/dirty_table.ts';

let folder: string;
const name = (i: number) => `${`${i}`.padStart(3, '0')}.png`;
const write = (...parts: string[]) => {
  const path = join(folder, 'source/screw', ...parts);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, parts.join('/'));
};
const files = (path: string): string[] =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1))
    .sort();

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirty-'));
  for (let i = 0; i < 18; i++) write('train/good', name(i));
  for (let i = 0; i < 4; i++) write('test/good', name(i));
  for (const kind of ['cut', 'hole'])
    for (let i = 0; i < 5; i++) {
      write('test', kind, name(i));
      write('ground_truth', kind, name(i).replace('.png', '_mask.png'));
    }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('data sets with defects among the good images', () => {
  it('have the asked share, and one test set for all shares', async () => {
    const out = join(folder, 'made');
    const made = await makeDirtySets(join(folder, 'source/screw'), { out, shares: [0, 0.1, 0.25], seed: 3 });
    expect(made.map(({ good, defective, tested }) => [good, defective, tested])).toEqual([
      [18, 0, 8],
      [18, 2, 8],
      [18, 6, 8],
    ]);
    const of = (share: string) => files(join(out, share, 'screw'));
    const train = (share: string) => of(share).filter((path) => path.startsWith('train/'));
    const test = (share: string) => of(share).filter((path) => !path.startsWith('train/'));
    expect(train('dirty-00')).toHaveLength(18);
    expect(train('dirty-10')).toHaveLength(20);
    expect(train('dirty-25').filter((path) => train('dirty-10').includes(path))).toEqual(train('dirty-10'));
    expect(test('dirty-10')).toEqual(test('dirty-00'));
    expect(test('dirty-25')).toEqual(test('dirty-00'));
    // No defect is both learned from and tested, and every tested one has its mask.
    const learned = train('dirty-25').flatMap((path) => /good\/(cut|hole)-(.*)$/.exec(path)?.slice(1) ?? []);
    const tested = test('dirty-25').flatMap((path) => /^test\/(cut|hole)\/(.*)$/.exec(path)?.slice(1) ?? []);
    expect(new Set([...pairs(learned), ...pairs(tested)]).size).toBe(10);
    for (const pair of pairs(tested))
      expect(test('dirty-25')).toContain(`ground_truth/${pair.replace('.png', '_mask.png')}`);
    expect(readFileSync(join(out, 'dirty-10/screw/test/good/000.png'), 'utf8')).toBe('test/good/000.png');
  });

  it('are drawn anew by another seed, and alike by the same', async () => {
    const drawn = async (out: string, seed: number) => {
      await makeDirtySets(join(folder, 'source/screw'), { out: join(folder, out), shares: [0.25], seed });
      return files(join(folder, out, 'dirty-25/screw/train')).join();
    };
    const first = await drawn('a', 0);
    expect(await drawn('b', 0)).toBe(first);
    expect(await drawn('c', 1)).not.toBe(first);
  });

  it('refuses shares that take all defects, and a set that is there', async () => {
    const source = join(folder, 'source/screw');
    await expect(makeDirtySets(source, { out: join(folder, 'd'), shares: [0.4], seed: 0 })).rejects.toThrow(
      'screw has 10 defective images, the largest share takes 12',
    );
    await expect(makeDirtySets(source, { out: join(folder, 'a'), shares: [0.25], seed: 0 })).rejects.toThrow(
      'has dirty-25 already',
    );
  });
});

describe('the table of benchmarks on such sets', () => {
  const record = { command: '-', date: '-', commit: '-', machine: '-', driver: '-', node: null, load: null };
  const benchmarkIn = (place: string, first: number, name: string, mode: string, ...aurocs: number[]) => {
    const runs = aurocs.map((image_AUROC, i) => ({
      ...{ category: 'screw', mode, seed: first + i, adapter: 'a device' },
      metrics: { image_AUROC, pixel_AUROC: 0.9, AUPRO: null },
    }));
    const path = join(folder, place, name);
    mkdirSync(path, { recursive: true });
    const note = `${runs.length} of 3 runs. resnet18, epochs 5,10${name.includes('drop') ? ', without' : ''}; x.`;
    writeFileSync(join(path, 'results.json'), JSON.stringify({ note, rows: [], runs }));
  };

  const benchmark = (name: string, mode: string, ...aurocs: number[]) =>
    benchmarkIn('benchmarks', 0, name, mode, ...aurocs);

  it('has means, deviations and the points that were lost', () => {
    benchmark('screw-10-drop-15', 'aand', 0.78, 0.76);
    benchmark('screw-10', 'aand', 0.7);
    benchmark('screw-00', 'aand', 0.8, 0.76);
    mkdirSync(join(folder, 'benchmarks/screw-20'));
    const { rows, about, record: made } = dirtySection([join(folder, 'benchmarks')], record);
    const mean = (value: number, deviation: number | null) => ({
      mean: expect.closeTo(value, 9),
      deviation: deviation === null ? null : expect.closeTo(deviation, 9),
    });
    const root = Math.SQRT2;
    expect(rows).toEqual([
      ['screw', 'aand', '0', '-', '2', mean(78, 2 * root), mean(90, 0), null, '-'],
      // One seed of the two: 80 of the clean set, not 78.
      ['screw', 'aand', '10', '-', '1', mean(70, null), mean(90, null), null, '10.0'],
      ['screw', 'aand', '10', '15', '2', mean(77, root), mean(90, 0), null, '1.0'],
    ]);
    expect(about[1]).toBe('Settings: resnet18, epochs 5,10.');
    expect(made.driver).toBe('a device');
  });

  it('joins seeds of one set from several folders; a seed that is in two is that of the later one', () => {
    benchmarkIn('later', 1, 'screw-10', 'aand', 0.9, 0.8);
    benchmarkIn('latest', 2, 'screw-10', 'aand', 0.71);
    const places = ['benchmarks', 'later', 'latest'].map((name) => join(folder, name));
    const row = dirtySection(places, record).rows.find(([, , dirty, left]) => dirty === '10' && left === '-');
    expect(row?.[4]).toBe('3');
    expect(row?.[5]).toMatchObject({ mean: expect.closeTo((70 + 90 + 71) / 3, 9) });
    // The clean set has the seeds 0 and 1 alone: 78 against 80.
    expect(row?.at(-1)).toBe('-2.0');
  });

  it('is refused where there is no benchmark', () => {
    mkdirSync(join(folder, 'none'));
    expect(() => dirtySection([join(folder, 'none')], record)).toThrow('has no folder such as screw-10');
  });
});

function pairs(list: readonly string[]): string[] {
  return list.flatMap((kind, i) => (i % 2 ? [] : [`${kind}/${list[i + 1]}`]));
}
