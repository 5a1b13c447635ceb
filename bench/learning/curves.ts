/**
 * Long trainings over their epochs: what the detectors of stage II and the gates of stage I are worth on the
 * test set, from runs of `aand train --curve`, as sections of docs/results.md.
 */
import { readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import * as v from 'valibot';
import type { Provenance } from '../../src/bench/provenance.ts';
import { type CurvePoint, curveNote, curvePoint } from '../../src/session/learning_curve.ts';
import type { MeasuredTable } from '../figures/sections.ts';
import { statistic } from './statistic.ts';

const finished = v.object({
  category: v.string(),
  seed: v.number(),
  adapter: v.string(),
  curve: v.pipe(v.array(curvePoint), v.minLength(1, 'is empty')),
  settings: v.object({
    mode: v.string(),
    backbone: v.string(),
    image_size: v.number(),
    batch: v.number(),
    epochs: v.tuple([v.number(), v.number()]),
  }),
});

/** A run that is whole. */
interface Run extends v.InferOutput<typeof finished> {
  /** When it ended, as YYYY-MM-DD. */
  readonly day: string;
}

function readRun(folder: string): Run {
  const path = join(folder, 'metrics.json');
  const { success, output, issues } = v.safeParse(finished, JSON.parse(readFileSync(path, 'utf8')));
  if (!success)
    throw new Error(
      `${path}: ${v.getDotPath(issues[0])} ${issues[0].message}: it is no run of aand train --curve`,
    );
  return { ...output, day: statSync(path).mtime.toISOString().slice(0, 10) };
}

const settingsText = ({ category, settings: s }: Run) =>
  `${category}, ${s.backbone}, ${s.image_size} pixels, batch ${s.batch}, ${s.epochs.join(' and ')} epochs`;

/** A column of a table: a figure of all runs of a mode. */
interface Column {
  readonly mode: string;
  readonly figure: string;
  of(point: CurvePoint): number | null | undefined;
}

/** A row per epoch that every run of every mode has; per cent. */
function rowsOf(runs: readonly Run[], stage: 1 | 2, columns: readonly Column[]) {
  const points = runs.map((run) => ({
    mode: run.settings.mode,
    points: run.curve.filter((point) => point.stage === stage),
  }));
  const epochs = (points[0]?.points ?? [])
    .map(({ epoch }) => epoch)
    .filter((epoch) => points.every((run) => run.points.some((point) => point.epoch === epoch)));
  return epochs.map((epoch) => ({
    epoch,
    cells: columns.map(({ mode, of }) =>
      statistic(
        points
          .filter((run) => run.mode === mode)
          .flatMap((run) => {
            const value = of(run.points.find((point) => point.epoch === epoch) as CurvePoint);
            return typeof value === 'number' ? [100 * value] : [];
          }),
      ),
    ),
  }));
}

type Rows = ReturnType<typeof rowsOf>;

/** What the last epoch has, and how far the best one and the epochs before lie from it. */
function lastAgainstBest(rows: Rows, columns: readonly Column[], figure: string): string {
  const texts = columns.flatMap((column, i) => {
    if (column.figure !== figure) return [];
    const values = rows.flatMap(({ epoch, cells }) => {
      const cell = cells[i];
      return cell ? [{ epoch, value: cell.mean }] : [];
    });
    const last = values.at(-1);
    if (!last) return [`${column.mode} was not measured`];
    const best = values.reduce((a, b) => (b.value > a.value ? b : a));
    const late = values.slice(-Math.max(1, Math.ceil(values.length / 5))).map(({ value }) => value);
    return [
      `${column.mode} ${last.value.toFixed(1)} (highest ${best.value.toFixed(1)}, epoch ${best.epoch}; ` +
        `over the last fifth of the epochs ${Math.min(...late).toFixed(1)} to ` +
        `${Math.max(...late).toFixed(1)})`,
    ];
  });
  return `${figure} after the last epoch: ${texts.join(', ')}.`;
}

function tableOf(
  rows: Rows,
  columns: readonly Column[],
): Pick<MeasuredTable, 'digits' | 'heads' | 'rows' | 'charts'> {
  const figures = [...new Set(columns.map(({ figure }) => figure))];
  return {
    digits: 1,
    heads: ['epoch', ...columns.map(({ mode, figure }) => `${mode}: ${figure}`)],
    rows: rows.map(({ epoch, cells }) => [`${epoch}`, ...cells]),
    charts: figures.map((figure) => ({
      title: `${figure}, %`,
      columns: columns.flatMap((column, i) => (column.figure === figure ? [i + 1] : [])),
      names: columns.flatMap(({ figure: other, mode }) => (other === figure ? [mode] : [])),
    })),
  };
}

const gateFigures = [
  ['Gates on synthetic anomalies', 'synthetic'],
  ['Gates on the test set', 'test'],
] as const;
const detectorFigures = [
  ['Image AUROC', 'image_AUROC'],
  ['Pixel AUROC', 'pixel_AUROC'],
  ['PRO', 'AUPRO'],
] as const;

/** The sections of both stages; stage I's is missing where no mode has one. */
export interface CurveSections {
  readonly detector: MeasuredTable;
  readonly gates?: MeasuredTable;
}

/**
 * The sections from the folders of finished runs, mean and deviation over the seeds of a mode.
 *
 * @param commands that train the runs again, a line each
 * @throws Error for a folder that is no finished run with a curve, and for runs of other settings than the
 *   first one's
 */
export function curveSections(
  folders: readonly string[],
  commands: readonly string[],
  record: (adapters: string) => Provenance,
): CurveSections {
  const runs = folders.map(readRun);
  const [first] = runs;
  if (!first) throw new Error('no folder of a run is given');
  const settings = settingsText(first);
  const subject = `${first.category}, ${first.settings.image_size} pixels`;
  runs.forEach((run, i) => {
    if (settingsText(run) !== settings)
      throw new Error(`${basename(folders[i] as string)} is ${settingsText(run)}; the first is ${settings}`);
  });
  const modes = [...new Set(runs.map((run) => run.settings.mode))];
  const seeds = (mode: string) => runs.filter((run) => run.settings.mode === mode).map(({ seed }) => seed);
  const shared = {
    record: {
      ...record([...new Set(runs.map(({ adapter }) => adapter))].sort().join('; ')),
      date: runs
        .map(({ day }) => day)
        .sort()
        .at(-1) as string,
      load: null,
    },
    order: 15,
    commands: [...commands],
  };
  const seedText = modes.map((mode) => `${mode} ${seeds(mode).join(', ')}`).join('; ');
  const about = `Settings: ${settings}; seeds: ${seedText}. ${curveNote}`;

  const detectors = detectorFigures.flatMap(([figure, key]) =>
    modes.map((mode): Column => ({ mode, figure, of: ({ detector }) => detector?.[key] })),
  );
  const detectorRows = rowsOf(runs, 2, detectors);
  const detector: MeasuredTable = {
    ...shared,
    title: `A training over its epochs: ${subject}`,
    about: [about, ...detectorFigures.map(([figure]) => lastAgainstBest(detectorRows, detectors, figure))],
    ...tableOf(detectorRows, detectors),
  };

  const gated = runs.filter(({ curve }) => curve.some(({ gates }) => gates));
  if (!gated.length) return { detector };
  const gates = [...new Set(gated.map((run) => run.settings.mode))].flatMap((mode): Column[] => [
    ...gateFigures.map(([figure, key]) => ({
      ...{ mode, figure },
      of: (point: CurvePoint) => point.gates?.[key]?.mean,
    })),
  ]);
  const gateRows = rowsOf(gated, 1, gates);
  return {
    detector,
    gates: {
      ...shared,
      order: 16,
      title: `Stage I over its epochs: ${subject}`,
      about: [
        about,
        'AUROC over the cells of the three levels, mean of the levels: how well the gates tell anomalous ' +
          'cells from good ones. Synthetic anomalies are those of the training, on training images. Gates ' +
          'that learned these by heart would fall on the test set while they rise on training images.',
        ...gateFigures.map(([figure]) => lastAgainstBest(gateRows, gates, figure)),
      ],
      ...tableOf(gateRows, gates),
      charts: [{ title: 'AUROC over cells, %', columns: gates.map((_, i) => i + 1) }],
    },
  };
}
