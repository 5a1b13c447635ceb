/**
 * Data sets with defective images among the good ones, to see what they cost. The training folders get a
 * seeded share of the test set's defects; those of the largest share are taken from the test set of all, so
 * that every share is judged by the same images.
 */
import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { spread } from '../../src/base/lists.ts';
import { RandomStream } from '../../src/base/random.ts';
import type { Dataset, Sample } from '../../src/data/dataset.ts';
import { openDataset } from '../../src/data/open.ts';

export interface DirtyOptions {
  readonly out: string;
  /** Shares of the training images that are defective, 0 to below 1. */
  readonly shares: readonly number[];
  readonly seed: number;
  /** Good training images; undefined: all. */
  readonly limit?: number | undefined;
}

/** One made data set. */
export interface DirtySet {
  /** The data set's folder: its category has the original's name. */
  readonly folder: string;
  readonly share: number;
  readonly good: number;
  readonly defective: number;
  readonly tested: number;
}

function link(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  symlinkSync(resolve(from), to);
}

/** Defective images so that they are `share` of all. */
function defectsFor(good: number, share: number): number {
  return Math.round((share * good) / (1 - share));
}

/** The folder of a share, such as dirty-05 for 5 %: a data set with one category, which keeps its name. */
export function dirtyFolder(share: number): string {
  return `dirty-${(100 * share).toFixed(0).padStart(2, '0')}`;
}

/** Writes a category in MVTec AD's layout, as links. */
export function writeCategory(
  folder: string,
  good: readonly Sample[],
  added: readonly Sample[],
  test: readonly Sample[],
): void {
  for (const { path } of good) link(path, join(folder, 'train/good', basename(path)));
  // In the middle of the sorted list: nothing may depend on where they stand.
  for (const { path, defect } of added) link(path, join(folder, 'train/good', `${defect}-${basename(path)}`));
  for (const { path, defect, maskPath, stem } of test) {
    link(path, join(folder, 'test', defect, basename(path)));
    if (maskPath) link(maskPath, join(folder, 'ground_truth', defect, `${stem}_mask${extname(maskPath)}`));
  }
}

/** The images of a data set in a random order that the seed decides. */
function shuffled(samples: readonly Sample[], seed: number): Sample[] {
  const order = new RandomStream(seed, 'defects among good images').sample(samples.length, samples.length);
  return [...order].map((i) => samples[i] as Sample);
}

function makeSets(dataset: Dataset, { out, shares, seed, limit }: DirtyOptions): DirtySet[] {
  const good = limit ? spread(dataset.train, limit) : dataset.train;
  const defective = shuffled(
    dataset.test.filter(({ defect }) => defect !== 'good'),
    seed,
  );
  const most = defectsFor(good.length, Math.max(...shares));
  if (most >= defective.length)
    throw new Error(
      `${dataset.name} has ${defective.length} defective images, the largest share takes ${most}: ask for ` +
        'smaller shares, or limit the good images',
    );
  const held = new Set(defective.slice(0, most));
  const test = dataset.test.filter((sample) => !held.has(sample));
  return shares.map((share) => {
    const added = defective.slice(0, defectsFor(good.length, share));
    const folder = join(out, dirtyFolder(share));
    writeCategory(join(folder, dataset.name), good, added, test);
    return { folder, share, good: good.length, defective: added.length, tested: test.length };
  });
}

/**
 * Writes a data set per share below `out`, as links.
 *
 * @param category a category with defects in any layout
 * @throws Error where there are too few defects, or a set is there already
 */
export async function makeDirtySets(category: string, options: DirtyOptions): Promise<DirtySet[]> {
  const there = options.shares.map(dirtyFolder).filter((name) => existsSync(join(options.out, name)));
  if (there.length) throw new Error(`${options.out} has ${there.join(', ')} already: delete them first`);
  return makeSets(await openDataset(category), options);
}
