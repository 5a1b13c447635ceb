/**
 * What defects among the good images cost, and what the remedy gives back: results of `aand benchmark` on the
 * sets of `dirty`, as a section of docs/results.md.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import type { Provenance } from '../../src/bench/provenance.ts';
import type { MeasuredTable } from '../figures/sections.ts';
import { statistic } from './statistic.ts';

const results = v.object({
  note: v.string(),
  runs: v.array(
    v.object({
      category: v.string(),
      mode: v.string(),
      seed: v.number(),
      metrics: v.record(v.string(), v.nullable(v.number())),
      adapter: v.string(),
    }),
  ),
});

/** One benchmark of a set: `CATEGORY-SHARE` as it is, `CATEGORY-SHARE-drop-PERCENT` with the remedy. */
interface Benchmark extends v.InferOutput<typeof results> {
  readonly category: string;
  /** Per cent of the training images that are defective, and that are left out. */
  readonly dirty: number;
  readonly dropped: number;
}

const folderName = /^(.+?)-(\d+)(?:-drop-(\d+))?$/;

function readBenchmarks(folder: string): Benchmark[] {
  return readdirSync(folder)
    .sort()
    .flatMap((name) => {
      const [, category, dirty, dropped] = folderName.exec(name) ?? [];
      if (category === undefined) return [];
      let text: string;
      try {
        text = readFileSync(join(folder, name, 'results.json'), 'utf8');
      } catch {
        // The benchmark has not begun.
        return [];
      }
      const { note, runs } = v.parse(results, JSON.parse(text));
      return [{ category, dirty: Number(dirty), dropped: Number(dropped ?? 0), note, runs }];
    });
}

const metrics = ['image_AUROC', 'pixel_AUROC', 'AUPRO'] as const;

/** Benchmarks of one set as one; where a seed of a mode is in two of them, the later one counts. */
function joined(benchmarks: readonly Benchmark[]): Benchmark[] {
  const sets = new Map<string, Benchmark>();
  for (const benchmark of benchmarks) {
    const { category, dirty, dropped, runs } = benchmark;
    const key = `${category}-${dirty}-${dropped}`;
    const replaced = new Set(runs.map(({ mode, seed }) => `${mode} ${seed}`));
    const earlier = (sets.get(key)?.runs ?? []).filter(({ mode, seed }) => !replaced.has(`${mode} ${seed}`));
    sets.set(key, { ...benchmark, runs: [...earlier, ...runs] });
  }
  return [...sets.values()];
}

/**
 * The table of all benchmarks in some folders, whatever is missing left out. Seeds of one set may lie in
 * several of them.
 *
 * @throws Error where there is none, or one that is none
 */
export function dirtySection(folders: readonly string[], record: Provenance): MeasuredTable {
  const benchmarks = joined(folders.flatMap(readBenchmarks));
  if (!benchmarks.some(({ runs }) => runs.length))
    throw new Error(
      `${folders.join(', ')} has no folder such as screw-10 or screw-10-drop-15 with a results.json`,
    );
  const sets = benchmarks.flatMap(({ runs, ...set }) =>
    [...new Set(runs.map(({ mode }) => mode))].map((mode) => ({
      ...set,
      mode,
      runs: runs.filter((run) => run.mode === mode),
    })),
  );
  const of = (set: (typeof sets)[number], metric: string) =>
    set.runs.flatMap(({ metrics: all }) => all[metric] ?? []).map((value) => 100 * value);
  /** Mean over some seeds: sets are compared by the seeds that both have. */
  const imageOf = ({ runs }: (typeof sets)[number], seeds: readonly number[]) =>
    statistic(
      runs
        .filter(({ seed }) => seeds.includes(seed))
        .flatMap(({ metrics: all }) => all.image_AUROC ?? [])
        .map((value) => 100 * value),
    )?.mean ?? Number.NaN;
  const lostFrom = (clean: (typeof sets)[number], set: (typeof sets)[number]) => {
    const both = clean.runs
      .map(({ seed }) => seed)
      .filter((seed) => set.runs.some((run) => run.seed === seed));
    return imageOf(clean, both) - imageOf(set, both);
  };
  const rows = sets
    .sort(
      (a, b) =>
        a.category.localeCompare(b.category) ||
        a.mode.localeCompare(b.mode) ||
        a.dirty - b.dirty ||
        a.dropped - b.dropped,
    )
    .map((set) => {
      const clean = sets.find(
        ({ category, mode, dirty, dropped }) =>
          category === set.category && mode === set.mode && !dirty && !dropped,
      );
      const lost = clean && (set.dirty || set.dropped) ? lostFrom(clean, set) : Number.NaN;
      return [
        set.category,
        set.mode,
        `${set.dirty}`,
        set.dropped ? `${set.dropped}` : '-',
        `${set.runs.length}`,
        ...metrics.map((metric) => statistic(of(set, metric))),
        Number.isNaN(lost) ? '-' : lost.toFixed(1),
      ];
    });
  const adapters = [...new Set(benchmarks.flatMap(({ runs }) => runs.map(({ adapter }) => adapter)))];
  // Without the number of runs and the share that is left out: the table has both.
  const settings = new Set(
    benchmarks.map(({ note }) => note.replace(/^\d+ of \d+ runs\. /, '').replace(/(, without|;).*$/, '')),
  );
  return {
    record: { ...record, load: null, driver: adapters.sort().join('; ') },
    order: 30,
    title: 'Defects among the good images, before and after',
    about: [
      'The sets are those of `npm run learning -- dirty`: so many per cent of the training images are ' +
        'defective, and all sets of a category are tested with the same images. Left out: the share that ' +
        '`--drop-suspects` leaves out of the training images. Lost: points of image AUROC ' +
        'below the clean set with nothing left out, in the means over the seeds that both have; below zero ' +
        'is a gain.',
      `Settings: ${[...settings].join('; ')}.`,
    ],
    digits: 1,
    heads: [
      'category',
      'mode',
      'defective, %',
      'left out, %',
      'seeds',
      'image AUROC',
      'pixel AUROC',
      'PRO',
      'lost',
    ],
    rows,
    commands: [],
  };
}
