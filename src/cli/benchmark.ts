/**
 * `aand benchmark`: all categories of a data set, in the modes of the paper's ablation or PatchCore, with
 * several seeds.
 */
import { join } from 'node:path';
import type { Command } from 'commander';
import { listCategories } from '../data/categories.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import type { Mode } from '../model/methods.ts';
import { OutputFolder } from '../output/folder.ts';
import {
  type BenchmarkRun,
  benchmarkCsv,
  benchmarkMarkdown,
  benchmarkPage,
  benchmarkRows,
} from '../report/benchmark_table.ts';
import {
  type BenchmarkTask,
  benchmarkRun,
  finishedReport,
  type Outcome,
  runTask,
  taskName,
  unreadableCount,
} from './benchmark_tasks.ts';
import { interruptSignal, UsageError, withEngine } from './common.ts';
import { addDataOptions, type DataOptions } from './data_options.ts';
import { listOf, modeOption, seedOption } from './options.ts';
import { runThroughQueue } from './queue.ts';
import { addQueueOptions, type QueueOptions } from './queue_broker.ts';
import { next, quoted } from './style.ts';
import { addTrainingOptions, planTraining, type TrainingOptions } from './training_options.ts';

interface BenchmarkOptions
  extends TrainingOptions,
    DataOptions,
    Omit<QueueOptions, 'queue'>,
    Partial<Pick<QueueOptions, 'queue'>> {
  readonly out: string;
  readonly categories?: string[];
  readonly modes: Mode[];
  readonly seeds: number[];
  readonly force?: boolean;
}

/** Writes what there is so far, so that a benchmark that is cut off has its table too. */
async function writeResults(
  output: OutputFolder,
  runs: readonly BenchmarkRun[],
  total: number,
  options: BenchmarkOptions,
) {
  const note =
    `${runs.length} of ${total} runs. ${options.backbone}, ${options.imageSize} pixels, batch ` +
    `${options.batch}, epochs ` +
    `${options.epochs ?? 'by the number of images'}` +
    `${options.limit ? `, ${options.limit} training images` : ''}` +
    `${options.dropSuspects ? `, without the ${options.dropSuspects} most suspicious ones` : ''}; ` +
    `${options.select === 'test-oracle' ? 'epoch chosen ON THE TEST SET (test-oracle)' : 'last epoch'}; ` +
    `labels by ${options.labels ?? 'folder'}.`;
  const page = await benchmarkPage(
    runs,
    `Benchmark: ${[...new Set(runs.map(({ category }) => category))].join(', ')}`,
    note,
  );
  await output.write('results.csv', benchmarkCsv(runs));
  await output.write(
    'results.json',
    `${JSON.stringify({ note, rows: benchmarkRows(runs), runs }, null, 2)}\n`,
  );
  await output.write('results.md', benchmarkMarkdown(runs, note));
  await output.write('results.html', page);
  return benchmarkMarkdown(runs, note);
}

/** Runs tasks one after the other in this process; a failed one does not stop the others. */
async function runHere(
  tasks: readonly BenchmarkTask[],
  signal: AbortSignal,
  onDone: (outcome: Outcome) => Promise<void>,
): Promise<void> {
  // Opened at the first run: a finished benchmark needs no device.
  await withEngine(async (engine: Engine) => {
    for (const [i, task] of tasks.entries()) {
      signal.throwIfAborted();
      console.error(`run ${i + 1} of ${tasks.length}: ${taskName(task)}`);
      try {
        await onDone({ task, report: await runTask(engine, task, signal) });
      } catch (error) {
        if (signal.aborted) throw error;
        await onDone({ task, error: (error as Error).message });
      }
    }
  });
}

export function benchmarkCommand(program: Command): void {
  const command = program
    .command('benchmark')
    .description('train and test every category of a data set; continues where it was stopped')
    .argument('<dataset>', 'the folder that holds the categories')
    .option('--out <folder>', 'where the results go', 'benchmark-results')
    .option('--categories <list>', 'only these, such as screw,bottle', listOf(String))
    .option(
      '--modes <list>',
      'rd (RD4AD), raa and hkd (one part each), aand (both), patchcore',
      listOf(modeOption),
      ['aand'],
    )
    .option('--seeds <list>', 'random seeds', listOf(seedOption), [0])
    .option('--force', 'replace tables that others wrote; they are kept as backups');
  addQueueOptions(command, 'hand the runs to aand worker processes through Redis', false);
  addTrainingOptions(command);
  addDataOptions(command).action(async (dataset: string, options: BenchmarkOptions) => {
    const {
      out,
      categories: wanted,
      modes: wantedModes,
      seeds,
      category,
      force = false,
      ...others
    } = options;
    const { queue, queueCa, queueCert, queueKey, queueWait, ...training } = others;
    if (category) throw new UsageError('--category is --categories here');
    const root = dataset.replace(/\/+$/, '');
    const all = await listCategories(root);
    const categories = wanted ?? all;
    for (const name of categories)
      if (!all.includes(name))
        throw new UsageError(`${root} has no category '${name}'; there are ${all.join(', ')}`);
    const tasks = wantedModes.flatMap((mode) =>
      categories.flatMap((category) =>
        seeds.map(
          (seed): BenchmarkTask => ({
            dataset: root,
            category,
            mode,
            seed,
            out: `${out}/${category}/${mode}/seed${seed}`,
            options: training,
          }),
        ),
      ),
    );
    // Mistakes in the options show before the first run, not in each of them.
    const plan = await planTraining({ ...options, mode: wantedModes[0] as Mode, seed: seeds[0] as number });
    const signal = interruptSignal();
    await using output = await OutputFolder.open(out, { command: 'aand benchmark', force });
    await output.check(['results.csv', 'results.json', 'results.md', 'results.html']);
    const reports = new Map<BenchmarkTask, Readonly<Record<string, unknown>>>();
    const errors: string[] = [];
    const runs = () =>
      tasks.flatMap((task) => (reports.has(task) ? [benchmarkRun(task, reports.get(task) ?? {})] : []));
    const onDone = async ({ task, report, error }: Outcome) => {
      if (report) reports.set(task, report);
      if (error) errors.push(`${taskName(task)}: ${error}`);
      if (report) await writeResults(output, runs(), tasks.length, options);
    };
    const open: BenchmarkTask[] = [];
    for (const task of tasks) {
      const report = await finishedReport(task, plan);
      if (report) reports.set(task, report);
      else open.push(task);
    }
    if (reports.size) console.error(`${reports.size} of ${tasks.length} runs are finished already`);
    if (open.length)
      await (queue
        ? runThroughQueue({ ...options, queue }, open, signal, onDone)
        : runHere(open, signal, onDone));
    if (reports.size) {
      console.log(await writeResults(output, runs(), tasks.length, options));
      console.log(`written to ${out}: results.csv, results.json, results.md, results.html, a folder per run`);
    }
    if (errors.length)
      throw new Error(`${errors.length} of ${tasks.length} runs failed:\n  ${errors.join('\n  ')}`);
    const incomplete = [...reports].filter(([, report]) => unreadableCount(report) > 0);
    if (incomplete.length)
      throw new Error(
        `${incomplete.length} of ${tasks.length} runs left out files that could not be read; ` +
          '"unreadable" in their metrics.json names them: ' +
          `${incomplete.map(([{ out }]) => `${out}/metrics.json`).join(', ')}`,
      );
    next(`open ${quoted(join(out, 'results.html'))}   all runs side by side`);
  });
}
