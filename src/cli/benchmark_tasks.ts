/**
 * The runs of a benchmark: one training and test per category, mode and seed, each in a folder of its own.
 */
import { exists, readBytes } from '#platform';
import type { Dataset } from '../data/dataset.ts';
import { openDataset } from '../data/open.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import type { SaturatedMetrics } from '../eval/evaluate.ts';
import type { Mode } from '../model/methods.ts';
import type { BenchmarkRun } from '../report/benchmark_table.ts';
import { asRun, differences, type Run } from '../train/run.ts';
import type { Progress } from '../train/trainer.ts';
import { type DataOptions, datasetOptions } from './data_options.ts';
import { openRunFolder } from './run_folder.ts';
import { requestNames, runRequest } from './run_request.ts';
import {
  type AskedTrainPlan,
  planOn,
  planTraining,
  type TrainingOptions,
  type TrainPlan,
} from './training_options.ts';
import { trainAndTest } from './training_run.ts';

const lockWaitMilliseconds = 45_000;

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

/** What metrics.json holds. */
export type Report = Readonly<Record<string, unknown>>;

/** How a run ended. */
export interface Outcome {
  readonly task: BenchmarkTask;
  readonly report?: Report;
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

/**
 * Files that a run left out, by its metrics.json (a list of names) or the row that came through the queue
 * (their number).
 */
export function unreadableCount({ unreadable }: Readonly<Record<string, unknown>>): number {
  if (Array.isArray(unreadable)) return unreadable.length;
  return typeof unreadable === 'number' ? unreadable : 0;
}

/** The metrics of a run's metrics.json, or of the row that came through the queue, as numbers by name. */
export function metricsOf(report: Report): Record<string, number | null> {
  const numbers = Object.entries(report).filter(
    (entry): entry is [string, number | null] => typeof entry[1] === 'number' || entry[1] === null,
  );
  const saturated = report.saturated as SaturatedMetrics | undefined;
  return {
    ...Object.fromEntries(numbers),
    ...(saturated && { image_AUROC_by_kind: saturated.image_AUROC, AUsPRO: saturated.AUsPRO }),
  };
}

/** A run's metrics.json as a row. */
export function benchmarkRun(
  task: Pick<BenchmarkTask, 'category' | 'mode' | 'seed'>,
  report: Report,
): BenchmarkRun {
  const { intervals, seconds, adapter } = report as unknown as Finished;
  const { category, mode, seed } = task;
  return {
    category,
    mode,
    seed,
    metrics: metricsOf(report),
    intervals,
    trainSeconds: seconds.train,
    adapter,
  };
}

/**
 * Opens what a run needs; `shared` are options that are planned already: the tasks of one benchmark have the
 * same ones.
 */
async function planTask(
  task: BenchmarkTask,
  shared?: AskedTrainPlan,
): Promise<{ plan: TrainPlan; dataset: Dataset }> {
  const own = { mode: task.mode, seed: task.seed, out: task.out, resume: true };
  const asked = shared ? { ...shared, ...own } : await planTraining({ ...task.options, ...own });
  const dataset = await openDataset(task.dataset, {
    ...datasetOptions(task.options),
    category: task.category,
  });
  return { plan: planOn(asked, dataset), dataset };
}

/** What a finished run leaves behind; metrics.json is written last. */
const results = ['metrics.json', 'model.safetensors', 'scores.csv', 'report.html'];

/**
 * The report of a run that is finished already; undefined where it is not.
 *
 * @throws Error saying what differs where the run is one of other settings, photographs, masks, teacher or
 *   textures
 */
export async function finishedReport(
  task: BenchmarkTask,
  shared?: AskedTrainPlan,
): Promise<Report | undefined> {
  for (const name of results) if (!(await exists(`${task.out}/${name}`))) return undefined;
  const path = `${task.out}/metrics.json`;
  let report: Report;
  let saved: Run;
  try {
    report = JSON.parse(new TextDecoder().decode(await readBytes(path))) as Report;
  } catch {
    return undefined;
  }
  try {
    saved = asRun(report.run);
  } catch {
    throw new Error(
      `${path} does not say what its run was made of (it is of an earlier version); give another folder ` +
        `with --out, or delete ${task.out}`,
    );
  }
  const { plan, dataset } = await planTask(task, shared);
  const other = differences(
    saved,
    await runRequest(plan, dataset),
    'the finished run',
    requestNames(plan, dataset),
  );
  if (other.length)
    throw new Error(
      `${path} is of a run with other settings or inputs: ${other.join('; ')}. Give the same ones, ` +
        `another folder with --out, or delete ${task.out}`,
    );
  return report;
}

/** Trains and tests one run; continues from its checkpoints where it has some. */
export async function runTask(
  engine: Engine,
  task: BenchmarkTask,
  signal: AbortSignal,
  onProgress?: (progress: Progress) => void,
): Promise<Report> {
  const finished = await finishedReport(task);
  if (finished) return finished;
  const { plan, dataset } = await planTask(task);
  if (!dataset.test.length) throw new Error(`${task.dataset}/${task.category} holds no test images`);
  // A run whose worker died elsewhere is free when its lock has not been touched for half a minute.
  await using output = await openRunFolder({ ...plan, wait: lockWaitMilliseconds, test: dataset.test });
  return (await trainAndTest(engine, plan, dataset, output, signal, onProgress)).report;
}
