/**
 * What a detector from few photographs finds: subsets of a category's good images as links, the trainings on
 * them as commands, and the table of what they gave.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { RandomStream } from '../../src/base/random.ts';
import type { Provenance } from '../../src/bench/provenance.ts';
import type { Augmentation } from '../../src/data/augment.ts';
import type { Dataset } from '../../src/data/dataset.ts';
import { openDataset } from '../../src/data/open.ts';
import { holdOutLeast, holdOutShare, paperSchedule } from '../../src/session/training_defaults.ts';
import type { MeasuredTable } from '../figures/sections.ts';
import { writeCategory } from './dirty.ts';
import { statistic } from './statistic.ts';

/** How a subset is trained. */
export const fewKinds = ['100 epochs', 'adaptive', 'with copies', 'patchcore'] as const;
export type FewKind = (typeof fewKinds)[number];

export interface FewOptions {
  readonly out: string;
  readonly counts: readonly number[];
  readonly seeds: readonly number[];
  /** What may differ between this product's good parts. */
  readonly augment: readonly Augmentation[];
  /** Further options of every training, such as the teacher. */
  readonly options: readonly string[];
}

/** One training: its folder, and the arguments of `aand`. */
export interface FewRun {
  readonly out: string;
  readonly args: readonly string[];
}

const folderOf = (kind: FewKind) => kind.replaceAll(' ', '-');

/** The options of a training; the threshold comes from good images alone, as without a test set. */
function optionsOf(kind: FewKind, count: number, augment: readonly Augmentation[]): string[] {
  const schedule = kind === '100 epochs' ? ['--epochs', `${paperSchedule.epochs}`] : [];
  const held = count >= holdOutLeast ? `${holdOutShare}` : '0';
  const own = kind === '100 epochs' || count >= holdOutLeast;
  return [
    ...['--mode', kind === 'patchcore' ? 'patchcore' : 'aand', '--threshold', 'max'],
    ...schedule,
    ...(own ? ['--hold-out', held] : []),
    ...(kind === 'with copies' && augment.length ? ['--augment', `${augment}`] : []),
  ];
}

/** A subset per number and seed; of one seed a smaller one is part of a larger one. */
function makeSubset(dataset: Dataset, folder: string, count: number, seed: number): void {
  if (existsSync(folder)) return;
  const { train } = dataset;
  if (count > train.length)
    throw new Error(`${dataset.name} has ${train.length} good images to learn from, ${count} are asked for`);
  const order = new RandomStream(seed, 'few photographs').sample(train.length, train.length);
  const chosen = new Set(order.subarray(0, count));
  writeCategory(
    folder,
    train.filter((_, i) => chosen.has(i)),
    [],
    dataset.test,
  );
}

/**
 * Writes the subsets below `out/data`, as links, and lists the trainings, seed by seed and count by count: a
 * list that is cut off has whole rows.
 *
 * @param category a category with a test set, in any layout
 * @throws Error where there are fewer good images than asked for
 */
export async function fewRuns(category: string, o: FewOptions): Promise<FewRun[]> {
  const dataset = await openDataset(category);
  return o.seeds.flatMap((seed) =>
    o.counts.flatMap((count) => {
      const folder = join(o.out, 'data', `n${count}-seed${seed}`, dataset.name);
      makeSubset(dataset, folder, count, seed);
      return fewKinds.map((kind) => {
        const out = join(o.out, dataset.name, `n${count}`, folderOf(kind), `seed${seed}`);
        const own = optionsOf(kind, count, o.augment);
        return {
          out,
          args: ['train', folder, '--out', out, '--seed', `${seed}`, '--resume', ...own, ...o.options],
        };
      });
    }),
  );
}

/** A training as a line for a shell, which does nothing where the run is whole. */
export function shellLine({ out, args }: FewRun, command: string): string {
  const quoted = (text: string) =>
    /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
  return `[ -e ${quoted(join(out, 'metrics.json'))} ] || ${command} ${args.map(quoted).join(' ')}`;
}

interface Figures {
  readonly imageAuroc: number;
  readonly pixelAuroc: number;
  readonly falseAlarms: number;
  readonly misses: number;
  readonly day: string;
  readonly adapter: string;
}

/** Per cent of the rows of a kind that get a verdict. */
function share(
  rows: readonly { readonly label: string; readonly verdict: string }[],
  label: string,
  verdict: string,
) {
  const of = rows.filter((row) => (row.label === 'good') === (label === 'good'));
  return (100 * of.filter((row) => row.verdict === verdict).length) / of.length;
}

/** The figures of a run that is whole. */
function figuresOf(folder: string): Figures | undefined {
  const path = join(folder, 'metrics.json');
  if (!existsSync(path)) return undefined;
  const { image_AUROC, pixel_AUROC, adapter, image_threshold } = JSON.parse(readFileSync(path, 'utf8')) as {
    image_AUROC: number;
    pixel_AUROC: number;
    adapter: string;
    image_threshold: { threshold: number };
  };
  const [head = '', ...lines] = readFileSync(join(folder, 'scores.csv'), 'utf8').trim().split('\n');
  // Paths may hold commas in quotes; label and score are told from the row's end.
  const names = head.split(',');
  const fromEnd = (line: string, name: string) =>
    line.split(',').at(names.indexOf(name) - names.length) ?? '';
  const rows = lines.map((line) => ({
    label: fromEnd(line, 'label'),
    verdict: Number(fromEnd(line, 'raw_score')) >= image_threshold.threshold ? 'anomalous' : 'good',
  }));
  return {
    imageAuroc: 100 * image_AUROC,
    pixelAuroc: 100 * pixel_AUROC,
    falseAlarms: share(rows, 'good', 'anomalous'),
    misses: share(rows, 'anomalous', 'good'),
    day: statSync(path).mtime.toISOString().slice(0, 10),
    adapter,
  };
}

const numberIn = (pattern: RegExp, name: string) => Number(pattern.exec(name)?.[1]);

/**
 * The runs that are whole below some folders, as a section of docs/results.md: a row per product, number of
 * images and kind, mean and deviation over seeds.
 *
 * @throws Error where no run is whole
 */
export function fewSection(
  outs: readonly string[],
  commands: readonly string[],
  record: (adapters: string) => Provenance,
): MeasuredTable {
  const found: { row: MeasuredTable['rows'][number]; figures: Figures[] }[] = outs.flatMap((out) =>
    readdirSync(out)
      .filter((name) => name !== 'data')
      .flatMap((product) =>
        readdirSync(join(out, product))
          .map((name) => numberIn(/^n(\d+)$/, name))
          .sort((a, b) => a - b)
          .flatMap((count) =>
            fewKinds.flatMap((kind) => {
              const folder = join(out, product, `n${count}`, folderOf(kind));
              if (!existsSync(folder)) return [];
              const figures = readdirSync(folder).flatMap((seed) => figuresOf(join(folder, seed)) ?? []);
              if (!figures.length) return [];
              const cell = (key: 'imageAuroc' | 'pixelAuroc' | 'falseAlarms' | 'misses') =>
                statistic(figures.map((each) => each[key]));
              const cells = [cell('imageAuroc'), cell('pixelAuroc'), cell('falseAlarms'), cell('misses')];
              return [{ row: [product, `${count}`, kind, `${figures.length}`, ...cells], figures }];
            }),
          ),
      ),
  );
  // Of several folders: products together, then counts and kinds.
  const place = ([product, count, kind]: MeasuredTable['rows'][number]) =>
    `${product} ${`${count}`.padStart(6)} ${fewKinds.indexOf(kind as FewKind)}`;
  found.sort((a, b) => place(a.row).localeCompare(place(b.row)));
  if (!found.length)
    throw new Error(`there is no finished training below ${outs.map((o) => basename(o)).join(', ')}`);
  const all = found.flatMap(({ figures }) => figures);
  const day = all
    .map((each) => each.day)
    .sort()
    .at(-1) as string;
  return {
    record: {
      ...record([...new Set(all.map(({ adapter }) => adapter))].sort().join('; ')),
      date: day,
      load: null,
    },
    order: 30,
    title: 'Few photographs',
    about: [
      'Trainings from few good images, drawn by the seed, and judged by the whole test set. The threshold ' +
        'is the largest score of good images, as without a test set: false alarms and misses are those of ' +
        'the test set at it.',
      '`100 epochs` is what the defaults were for any number of images: 100 and 120 epochs, and a ' +
        'threshold from images that were trained on. `adaptive` are the defaults: as many steps as for 64 ' +
        'images, and images that are left out in turn. `with copies` adds changed copies: rotations, ' +
        'shifts and light of screw, flips, shifts and light of magnetic_tile. `patchcore` has the same ' +
        'images. From 32 images on a tenth is held out.',
    ],
    digits: 1,
    heads: [
      'product',
      'good images',
      'training',
      'seeds',
      'image AUROC, %',
      'pixel AUROC, %',
      'false alarms, %',
      'misses, %',
    ],
    rows: found.map(({ row }) => row),
    commands: [...commands],
  };
}
