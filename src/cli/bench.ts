/** `aand bench`: times of kernels, networks and training steps on this device; comparisons of two files. */

import { type Command, Option } from 'commander';
import { readBytes } from '#platform';
import { rangeOf } from '../base/lists.ts';
import { runBench } from '../bench/bench.ts';
import type { BenchCase } from '../bench/case.ts';
import { defaultMostSpread, markNotes } from '../bench/notes.ts';
import { shapeExamples } from '../bench/own_shapes.ts';
import { type BenchReport, printedPeaks, reportText } from '../bench/report.ts';
import { chooseCases } from '../bench/select.ts';
import { Engine } from '../engine/runtime/engine.ts';
import { OutputFile } from '../output/file.ts';
import { benchPage } from '../report/bench_page.ts';
import { compareCommand } from './bench_compare.ts';
import { BenchLines, benchCsv, peaksLine, profileLines } from './bench_rows.ts';
import { interruptSignal, usage } from './common.ts';
import { realNumber } from './options.ts';
import { packagedFile } from './package.ts';
import { ProgressReporter } from './progress.ts';
import { provenance } from './provenance.ts';
import { next, note, quoted } from './style.ts';
import { readTunings } from './tunings.ts';

export interface MeasureOptions {
  readonly list?: boolean;
  readonly filter?: readonly string[];
  readonly shape?: readonly string[];
  readonly dtype: 'f32' | 'f16';
  readonly quick?: boolean;
  readonly seconds?: number;
  /** In per cent. */
  readonly maxSpread: number;
  readonly wide?: boolean;
  readonly profile?: boolean;
  readonly json?: string;
  readonly csv?: string;
  readonly html?: string;
  readonly tuned?: boolean;
  readonly subgroupMatrices?: boolean;
  readonly defaultLimits?: boolean;
}

/** A place for results, checked before the measuring. */
interface ResultFile extends AsyncDisposable {
  write(text: string): Promise<void>;
}

/** Opens the place that an option names. */
export type OpenFile = (path: string, option: string) => Promise<ResultFile>;

/** Adds what `aand bench` and `npm run bench` have in common. */
export function measureOptions(command: Command): Command {
  return command
    .option('--list', 'print the names of the cases that would be measured, and nothing else')
    .option(
      '--filter <text...>',
      'only cases whose name contains one of these, or meets one that is a /regular expression/',
    )
    .option(
      '--shape <shape...>',
      `cases of own shapes, in place of the list unless --filter is given: ${shapeExamples.join(' ')}`,
    )
    .addOption(
      new Option('--dtype <type>', 'f16: the networks, and own shapes, with 16-bit weights and activations')
        .choices(['f32', 'f16'])
        .default('f32'),
    )
    .option('--quick', 'fewer cases and runs: under two minutes')
    .option(
      '--seconds <seconds>',
      'time that the runs of a case are repeated for; by default 4, and 1 with --quick',
      realNumber({ above: 0 }, { most: 600 }),
    )
    .option(
      '--max-spread <percent>',
      'a case with a larger spread is measured again, three times in all; the steadiest counts',
      realNumber({ above: 0 }, { most: 100 }),
      100 * defaultMostSpread,
    )
    .option('--wide', 'print every figure of a case')
    .option('--profile', 'print every dispatch of every case')
    .option('--json <file>', 'write the results, with command, date, commit, machine, driver and load')
    .option('--csv <file>', 'write the results as a table')
    .option('--html <file>', 'write a page with charts')
    .option('--tuned', 'choose kernels by what `aand tune` found on this device')
    .option('--subgroup-matrices', "use the GPU's matrix units where it offers them as subgroup matrices")
    .option('--default-limits', "WebGPU's default limits: buffers of 256 MiB, bindings of 128 MiB");
}

/** The cases that options name. */
export function casesOf(options: MeasureOptions): BenchCase[] {
  const { filter = [], shape = [], quick = false, dtype } = options;
  return usage(() => chooseCases({ filters: filter, shapes: shape, quick, half: dtype === 'f16' }));
}

function listCases(options: MeasureOptions): void {
  const cases = casesOf(options);
  const width = rangeOf(cases.map(({ name }) => name.length)).max;
  for (const { name, kind, quick, long } of cases) {
    const marks = [kind, quick && '--quick has it', long && 'takes many minutes'].filter(Boolean);
    console.log(`${name.padEnd(width)}  ${marks.join(', ')}`);
  }
}

async function measure(options: MeasureOptions, called: string): Promise<BenchReport & { stopped: boolean }> {
  const cases = casesOf(options);
  const signal = interruptSignal();
  const engine = await Engine.open({
    defaultLimits: options.defaultLimits ?? false,
    subgroupMatrices: options.subgroupMatrices ?? false,
    exactTimestamps: true,
    ...(options.tuned && { tunings: await readTunings() }),
    onNotice: note,
  });
  const reporter = new ProgressReporter();
  try {
    const { adapter } = engine;
    const driver = adapter.description || engine.target.name;
    const record = provenance(called, driver);
    console.log(`${driver}, subgroup size ${engine.target.subgroupSize}, load ${record.load}`);
    const mostSpread = options.maxSpread / 100;
    const lines = new BenchLines(
      cases.map(({ name }) => name),
      options.wide ?? false,
    );
    const progress = reporter.counting('bench');
    let done = 0;
    const print = (text: string) => reporter.aside(() => console.log(text));
    const finish = (text: string) => {
      print(text);
      progress(++done, cases.length);
    };
    const outcome = await runBench(engine, cases, {
      quick: options.quick ?? false,
      ...(options.seconds !== undefined && { seconds: options.seconds }),
      mostSpread,
      signal,
      profile: options.profile ?? false,
      onProfile: (name, entries) => print(profileLines(name, entries).join('\n')),
      onPeaks: (peaks) => print(`${peaksLine(peaks)}\n${lines.head}`),
      onResult: (result) => finish(lines.result(result)),
      onFailure: (failure) => finish(lines.failure(failure)),
    });
    reporter.stop();
    const { peaks, results, failures, stopped } = outcome;
    for (const text of markNotes(results, mostSpread)) console.log(text);
    const left = `${results.length + failures.length} of ${cases.length} cases were measured`;
    return {
      record: stopped ? { ...record, note: `stopped: ${left}` } : record,
      adapter,
      peaks: printedPeaks(peaks),
      results,
      ...(failures.length && { failures }),
      stopped,
    };
  } finally {
    reporter.stop();
    await engine.close();
  }
}

/** The text of Chart.js, which the bench's page draws with. */
export async function chartsText(): Promise<string> {
  return new TextDecoder().decode(await readBytes(packagedFile('dist/chart.umd.min.js')));
}

/**
 * Measures what the options name, prints rows as they finish, and writes the files. What was measured before
 * an interruption is written too.
 *
 * @param called the command, as a user types it
 * @throws Error where cases failed, after the files are written
 */
export async function measureCommand(
  options: MeasureOptions,
  called: string,
  open: OpenFile,
): Promise<BenchReport | undefined> {
  if (options.list) {
    listCases(options);
    return undefined;
  }
  casesOf(options);
  await using json = options.json ? await open(options.json, '--json') : undefined;
  await using csv = options.csv ? await open(options.csv, '--csv') : undefined;
  await using html = options.html ? await open(options.html, '--html') : undefined;
  const { stopped, ...report } = await measure(options, called);
  await json?.write(reportText(report));
  await csv?.write(benchCsv(report.results));
  if (html) await html.write(await benchPage(report, [], await chartsText()));
  if (stopped) throw new DOMException('the bench was stopped', 'AbortError');
  if (report.failures)
    throw new Error(
      `${report.failures.length} of ${report.results.length + report.failures.length} cases failed`,
    );
  return report;
}

/** A command line as a user types it. */
export function commandText(name: string, args: readonly string[]): string {
  return [name, ...args.map(quoted)].join(' ');
}

export function benchCommand(program: Command): void {
  const command = program
    .command('bench')
    .description('measure kernels, networks and training steps on this device');
  measureOptions(command)
    .option('--force', 'replace result files that are there; they are kept as backups')
    .action(async (options: MeasureOptions & { readonly force?: boolean }) => {
      const { force = false } = options;
      const called = commandText('aand', process.argv.slice(2));
      const report = await measureCommand(options, called, (path, option) =>
        OutputFile.open(path, { command: 'aand bench', force, option }),
      );
      if (report && options.json)
        next(`aand bench compare ${quoted(options.json)} LATER.json   did a change make something slower?`);
    });
  compareCommand(command);
}
