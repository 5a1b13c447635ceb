import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeDirtySets } from '../bench/learning/dirty.ts';

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

function pairs(list: readonly string[]): string[] {
  return list.flatMap((kind, i) => (i % 2 ? [] : [`${kind}/${list[i + 1]}`]));
}
