/**
 * A table of docs/results.md from finished runs of `aand benchmark`. What a reader must know (title, text,
 * names of the columns, commands) is written by hand in the table's file; the figures come from the runs.
 */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { benchmarkRun } from '../../src/cli/benchmark_tasks.ts';
import { provenance } from '../../src/cli/provenance.ts';
import type { Mode } from '../../src/model/methods.ts';
import { type BenchmarkRow, type BenchmarkRun, benchmarkRows } from '../../src/report/benchmark_table.ts';
import { type MeasuredTable, readTable } from '../figures/sections.ts';
import { mergedRecord, mergedRows } from './kept_table.ts';

/** Runs that make one group of rows. */
export interface Group {
  /** The first cells of its rows. */
  readonly labels: readonly string[];
  /** What `aand benchmark --out` was given. */
  readonly folder: string;
}

const figures = [
  ['image_AUROC', 'image AUROC, %'],
  ['pixel_AUROC', 'pixel AUROC, %'],
  ['AUPRO', 'PRO, %'],
] as const;

/**
 * LABEL=FOLDER, or FIRST|SECOND=FOLDER for more than one column of labels.
 *
 * @throws Error for a text without a label or a folder
 */
export function parseGroup(text: string): Group {
  const at = text.indexOf('=');
  const [label, folder] = [text.slice(0, at), text.slice(at + 1)];
  if (at < 1 || !folder)
    throw new Error(`"${text}" is no LABEL=FOLDER: such as half=results/half, or half|10=results/half-10`);
  return { labels: label.split('|').map((part) => part.trim()), folder };
}

/** What was called, without the places of the folders: they are nobody's business. */
export function collectCommand(table: string, add: boolean): string {
  return `npm run learning -- collect ${add ? '--add ' : ''}${table} LABEL=results/…`;
}

interface Finished {
  readonly run: BenchmarkRun;
  /** The day on which it ended, as YYYY-MM-DD. */
  readonly day: string;
}

const folders = (path: string) =>
  readdirSync(path)
    .filter((name) => statSync(join(path, name)).isDirectory())
    .sort();

/** FOLDER/CATEGORY/MODE/seedN, as `aand benchmark` lays its runs out; those that are whole. */
function finishedRuns(folder: string): Finished[] {
  return folders(folder).flatMap((category) =>
    folders(join(folder, category)).flatMap((mode) =>
      folders(join(folder, category, mode)).flatMap((name): Finished[] => {
        const out = join(folder, category, mode, name);
        const seed = Number(/^seed(\d+)$/.exec(name)?.[1]);
        let text: string;
        try {
          text = readFileSync(join(out, 'metrics.json'), 'utf8');
        } catch {
          return [];
        }
        return [
          {
            run: benchmarkRun({ category, mode: mode as Mode, seed }, JSON.parse(text)),
            day: statSync(join(out, 'metrics.json')).mtime.toISOString().slice(0, 10),
          },
        ];
      }),
    ),
  );
}

function tableRow(labels: readonly string[], { category, mode, seeds, cells }: BenchmarkRow) {
  const values = figures.map(([key]) => {
    const { mean, deviation } = cells[key] ?? { mean: null, deviation: null };
    return mean === null
      ? null
      : { mean: 100 * mean, deviation: deviation === null ? null : 100 * deviation };
  });
  return [...labels, `${category}, ${mode}`, `${seeds.length}`, ...values];
}

/** How figures come into a table. */
export interface CollectOptions {
  /** What was called, for the record. */
  readonly command: string;
  /** Keeps the rows of other labels, products and modes; otherwise the table has the new rows alone. */
  readonly add?: boolean;
}

/**
 * The table with the figures of the groups' runs: a row per category and mode of each group, mean and
 * deviation over the seeds that are whole.
 *
 * @throws Error where a group has no finished run, or groups have other numbers of labels than the first
 */
export function collect(
  known: MeasuredTable,
  groups: readonly Group[],
  { command, add = false }: CollectOptions,
): MeasuredTable {
  const count = groups[0]?.labels.length ?? 0;
  const odd = groups.find(({ labels }) => labels.length !== count);
  if (odd) throw new Error(`${odd.labels.join('|')} has ${odd.labels.length} labels, others have ${count}`);
  const names = known.heads.slice(0, count);
  if (names.length < count)
    throw new Error(`"heads" of the table names ${names.length} columns of labels, the groups have ${count}`);
  const runs = groups.map(({ labels, folder }) => {
    const finished = finishedRuns(folder);
    if (!finished.length) throw new Error(`${folder} (${labels.join('|')}) has no finished run`);
    return { labels, finished };
  });
  const all = runs.flatMap(({ finished }) => finished);
  const adapters = [...new Set(all.map(({ run }) => run.adapter))].sort();
  const { note } = known.record;
  const heads = [...names, 'product, mode', 'seeds', ...figures.map(([, head]) => head)];
  if (add && JSON.stringify(heads) !== JSON.stringify(known.heads))
    throw new Error(`rows with ${heads.length} columns do not go into a table of ${known.heads.join(', ')}`);
  const rows = runs.flatMap(({ labels, finished }) =>
    benchmarkRows(finished.map(({ run }) => run))
      .filter(({ seeds }) => seeds.length)
      .map((row) => tableRow(labels, row)),
  );
  const days = all.map(({ day }) => day).sort();
  const made = {
    ...provenance(command, adapters.join('; ')),
    date: days.at(-1) as string,
    load: null,
    ...(note !== undefined && { note }),
  };
  return {
    ...known,
    heads,
    rows: add ? mergedRows(known.rows, rows, count + 1) : rows,
    record: add ? mergedRecord(known.record, made) : made,
  };
}

/** Reads the table's file, puts the figures in and writes it again; returns the number of rows. */
export function collectInto(path: string, groups: readonly Group[], options: CollectOptions): number {
  const table = collect(readTable(path), groups, options);
  writeFileSync(path, `${JSON.stringify(table, null, 2)}\n`);
  return table.rows.length;
}
