/** The runs of a benchmark: one training and test per category, mode and seed, each in a folder of its own. */
import { exists, readBytes } from '#platform';
import { openDataset } from '../data/dataset.ts';
import type { Engine } from '../engine/device.ts';
import type { Mode } from '../model/detector.ts';
import type { BenchmarkRun } from '../report/benchmark_table.ts';
import type { Progress } from '../train/trainer.ts';
import { type DataOptions, datasetOptions } from './data_options.ts';
import { planTraining, type TrainingOptions } from './train.ts';
import { trainAndTest } from './training_run.ts';

/** A run as plain data: it travels through the queue. */
export interface BenchmarkTask {
  readonly dataset: string;
  readonly category: string;
  readonly mode: Mode;
  readonly seed: number;
  /** The run's own folder. */
  readonly out: string;
  readonly options: TrainingOptions & DataOptions;
}

/** How a run ended. */
export interface Outcome {
  readonly task: BenchmarkTask;
  readonly report?: Readonly<Record<string, unknown>>;
  readonly error?: string;
}

export const taskName = ({ category, mode, seed }: Pick<BenchmarkTask, 'category' | 'mode' | 'seed'>) =>
  `${category}, ${mode}, seed ${seed}`;

interface Finished {
  readonly settings: Readonly<Record<string, unknown>>;
  readonly intervals: BenchmarkRun['intervals'];
  readonly seconds: { readonly train: number };
  readonly adapter: string;
  readonly [metric: string]: unknown;
}

/** A run's metrics.json as a row. */
export function benchmarkRun(task: BenchmarkTask, report: Readonly<Record<string, unknown>>): BenchmarkRun {
  const { intervals, seconds, adapter, ...values } = report as unknown as Finished;
  const metrics = Object.fromEntries(
    Object.entries(values).filter(([, value]) => typeof value === 'number' || value === null),
  ) as BenchmarkRun['metrics'];
  const { category, mode, seed } = task;
  return { category, mode, seed, metrics, intervals, trainSeconds: seconds.train, adapter };
}

/** What of the settings decides whether a finished run is the one that is asked for. */
function fingerprint(task: BenchmarkTask): Record<string, unknown> {
  const { options } = task;
  return {
    backbone: options.backbone,
    mode: task.mode,
    image_size: options.imageSize,
    batch: options.batch,
    epochs: options.epochs,
    limit: options.limit ?? null,
    labels: options.labels ?? 'folder',
  };
}

/** The report of a run that is finished already with these settings; undefined where it is not. */
export async function finishedReport(task: BenchmarkTask): Promise<Record<string, unknown> | undefined> {
  const path = `${task.out}/metrics.json`;
  if (!(await exists(path))) return undefined;
  let report: Finished;
  try {
    report = JSON.parse(new TextDecoder().decode(await readBytes(path))) as Finished;
  } catch {
    return undefined;
  }
  const same = Object.entries(fingerprint(task)).every(
    ([key, value]) => JSON.stringify(report.settings?.[key]) === JSON.stringify(value),
  );
  if (!same)
    throw new Error(`${path} is of a run with other settings; give the same ones, or another folder with --out`);
  return { ...report };
}

/** Trains and tests one run; continues from its checkpoints where it has some. */
export async function runTask(
  engine: Engine,
  task: BenchmarkTask,
  signal: AbortSignal,
  onProgress?: (progress: Progress) => void,
): Promise<Record<string, unknown>> {
  const finished = await finishedReport(task);
  if (finished) return finished;
  const plan = await planTraining({
    ...task.options,
    out: task.out,
    mode: task.mode,
    seed: task.seed,
    resume: true,
  });
  const dataset = await openDataset(task.dataset, { ...datasetOptions(task.options), category: task.category });
  if (!dataset.test.length) throw new Error(`${task.dataset}/${task.category} holds no test images`);
  return (await trainAndTest(engine, plan, dataset, signal, onProgress)).report;
}
