/**
 * The bench in Node: kernels, models and training steps with their share of the measured peaks.
 * `npm run bench -- [--quick] [--filter TEXT] [--json FILE] [--html FILE] [--profile] [--against FOLDER]
 * [--from FILE] [--peers FILE]`
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { SingleBar } from 'cli-progress';
import { Command, Option } from 'commander';
import { countOption } from '../src/cli/options.ts';
import { packagedFile } from '../src/cli/package.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { measurePeaks } from '../src/engine/runtime/peak.ts';
import type { ProfileEntry } from '../src/engine/runtime/program.ts';
import { type BenchCase, benchCases } from './cases.ts';
import { compareCase, serveCase } from './compare.ts';
import { measureDemo } from './demo.ts';
import { firstRunChild, measureFirstRun } from './first_run.ts';
import { kernelLines, trainingPipelines } from './inventory.ts';
import { measurePipeline, pipelineText } from './pipeline.ts';
import { provenance } from './record.ts';
import { type BenchReport, benchPage, type PeerReport, printedPeaks } from './report.ts';
import { type BenchResult, runCase } from './run.ts';

interface Options {
  readonly quick?: boolean;
  readonly dtype: 'f32' | 'f16';
  readonly defaultLimits?: boolean;
  readonly subgroupMatrices?: boolean;
  readonly filter?: string;
  readonly json?: string;
  readonly html?: string;
  readonly profile?: boolean;
  readonly firstRun?: boolean;
  readonly firstRunChild?: boolean;
  readonly demo?: boolean;
  readonly pipeline?: boolean;
  readonly against?: string;
  readonly rounds: number;
  readonly serve?: string;
  readonly from?: string;
  readonly peers?: string;
}

function printResult(r: BenchResult): void {
  const columns = [
    r.name.padEnd(46),
    `${r.median_ms.toFixed(2).padStart(9)} ms`,
    `±${(100 * r.spread).toFixed(0).padStart(2)} %`,
    `${r.gflops.toFixed(1).padStart(8)} GFLOP/s`,
    `${r.gbytes_per_s.toFixed(1).padStart(6)} GB/s`,
    `${(100 * r.share_of_roofline).toFixed(0).padStart(3)} % of roofline`,
    `error ${r.max_abs_error?.toExponential(1) ?? '-'}`,
    `${r.dispatches} dispatches${r.copies ? ` + ${r.copies} copies` : ''}`,
    r.kind === 'kernel'
      ? r.configuration
      : `JavaScript ${r.javascript_ms.toFixed(2)} + ${r.recording_ms.toFixed(2)} ms  memory ` +
        `${((r.peak_bytes + r.weight_bytes) / 2 ** 20).toFixed(0)} MiB`,
  ];
  console.log(columns.join('  '));
}

function printProfile(name: string, entries: readonly ProfileEntry[]): void {
  console.log(`profile of ${name}:`);
  for (const { operation, kernel, milliseconds, flops } of entries)
    console.log(
      `  ${milliseconds.toFixed(2).padStart(8)} ms ` +
        `${(flops / milliseconds / 1e6 || 0).toFixed(1).padStart(8)} GFLOP/s  ${operation}: ${kernel}`,
    );
}

/** The cases that were asked for; ends the process where there is none. */
function chosenCases(options: Options): BenchCase[] {
  const all = benchCases(options.dtype === 'f16');
  const cases = all.filter(({ name, quick, long }) =>
    options.serve
      ? name === options.serve
      : (!options.quick || quick) && (options.filter ? name.includes(options.filter) : !long),
  );
  if (cases.length) return cases;
  console.error(
    `no case has '${options.serve ?? options.filter}' in its name; there ` +
      `are:\n${all.map(({ name }) => `  ${name}`).join('\n')}`,
  );
  process.exit(2);
}

/** Every case of this checkout and of another, in turns. */
async function compare(options: Options, other: string): Promise<void> {
  const { rounds } = options;
  if (!existsSync(join(other, 'dist/bench.js'))) {
    console.error(`${other} is no built checkout: there is no dist/bench.js in it (npm ci && npm run build)`);
    process.exit(2);
  }
  console.log(`this checkout against ${other}, medians of ${rounds} turns`);
  for (const { name } of chosenCases(options)) {
    const r = await compareCase(
      name,
      [packagedFile('.'), resolve(other)],
      ['--dtype', options.dtype],
      rounds,
    );
    console.log(
      `${name.padEnd(46)} ${r.median_ms.toFixed(2).padStart(9)} ms against ` +
        `${r.other_ms.toFixed(2).padStart(9)} ms  ratio ${r.ratio.toFixed(3)}  (quartiles ` +
        `${r.quartiles.map((q) => q.toFixed(3)).join(', ')}; fastest turns ${r.fastest.toFixed(3)})`,
    );
  }
}

/** What was called, as a user types it. */
const called = `npm run bench -- ${process.argv.slice(2).join(' ')}`.trim();

async function driverName(): Promise<string> {
  const engine = await Engine.open();
  try {
    return engine.adapter.description || engine.target.name;
  } finally {
    await engine.close();
  }
}

function writeJson(path: string, value: unknown): void {
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
}

async function measure(options: Options): Promise<BenchReport> {
  const cases = chosenCases(options);
  const engine = await Engine.open({
    defaultLimits: options.defaultLimits ?? false,
    subgroupMatrices: options.subgroupMatrices ?? false,
    exactTimestamps: true,
    onNotice: (message) => console.error(`note: ${message}`),
  });
  try {
    const { adapter } = engine;
    const record = provenance(called, adapter.description || engine.target.name);
    const peaks = await measurePeaks(engine);
    console.log(
      `adapter ${adapter.description || engine.target.name}, subgroup size ${engine.target.subgroupSize}`,
    );
    console.log(
      `peaks ${peaks.gflops.toFixed(0)} GFLOP/s, ${peaks.gbytesPerSecond.toFixed(1)} GB/s (measured)`,
    );
    const bar = new SingleBar({
      format: '{bar} {value}/{total} {case} ETA {eta_formatted}',
      stream: process.stderr,
    });
    if (process.stderr.isTTY) bar.start(cases.length, 0, { case: '' });
    const results: BenchResult[] = [];
    for (const benchCase of cases) {
      bar.update({ case: benchCase.name });
      const result = await runCase(engine, benchCase, peaks, {
        runs: benchCase.long ? 1 : options.quick ? 3 : 10,
        seconds: options.quick || benchCase.long ? 1 : 4,
        profile: options.profile ?? false,
        onProfile: printProfile,
      });
      results.push(result);
      printResult(result);
      bar.increment();
    }
    bar.stop();
    return {
      record,
      adapter,
      peaks: printedPeaks(peaks),
      results,
    };
  } finally {
    await engine.close();
  }
}

const command = new Command('bench')
  .option('--quick', 'fewer cases and runs: under two minutes')
  .option('--filter <text>', 'only cases whose name contains this')
  .option(
    '--json <file>',
    'write the results as JSON, with command, date, commit, machine and driver: what bench/results holds',
  )
  .option('--html <file>', 'write a page with charts')
  .option(
    '--first-run',
    'measure a first inference in a new process, caches empty and filled, and the loading of its model; ' +
      'nothing else',
  )
  .option('--pipeline', 'images per second from files to maps, and what limits them; nothing else')
  .option('--demo', 'run the demo in a process of its own and measure it; nothing else')
  .addOption(
    new Option('--dtype <type>', 'f16: the models with 16-bit weights and activations')
      .choices(['f32', 'f16'])
      .default('f32'),
  )
  .option('--subgroup-matrices', "use the GPU's matrix units where it offers them as subgroup matrices")
  .option('--default-limits', "WebGPU's default limits: buffers of 256 MiB, bindings of 128 MiB")
  .option('--profile', 'print every dispatch of every case')
  .option(
    '--against <folder>',
    'instead of measuring alone, take turns with another checkout that is built, and print ratios',
  )
  .option('--rounds <n>', 'turns of --against', countOption, 15)
  .option('--from <file>', 'take the results from a JSON file instead of measuring')
  .option('--peers <file>', 'add the results of `npm run bench:peers -- --json FILE` to the page')
  .addOption(new Option('--first-run-child').hideHelp())
  .addOption(new Option('--serve <case>').hideHelp())
  .exitOverride(({ exitCode }) => process.exit(exitCode ? 2 : 0))
  .parse();
const options = command.opts<Options>();
if (options.firstRunChild) {
  await firstRunChild();
  process.exit(0);
}
if (options.pipeline) {
  const engine = await Engine.open();
  try {
    const record = provenance(called, engine.adapter.description || engine.target.name);
    const figures = await measurePipeline(engine);
    console.log(pipelineText(figures));
    if (options.json) writeJson(options.json, { record, ...figures });
  } finally {
    await engine.close();
  }
  process.exit(0);
}
if (options.demo) {
  const record = provenance(called, await driverName());
  const demo = measureDemo();
  console.log(`demo: ${demo.seconds.toFixed(0)} s`);
  if (options.json) writeJson(options.json, { record, ...demo });
  process.exit(0);
}
if (options.firstRun) {
  const record = provenance(called, await driverName());
  const firstRun = measureFirstRun();
  if (options.json) writeJson(options.json, { record, ...firstRun });
  const { name, cold_ms, warm_ms, load_ms } = firstRun;
  const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;
  console.log(
    `${name}: first inference ${seconds(cold_ms)} cold, ${seconds(warm_ms)} warm; its model loads in ` +
      `${seconds(load_ms)}`,
  );
  process.exit(0);
}
if (options.serve) {
  await serveCase(chosenCases(options)[0] as BenchCase);
  process.exit(0);
}
if (options.against) {
  try {
    await compare(options, options.against);
    process.exit(0);
  } catch (error) {
    console.error(`error: ${(error as Error).message}`);
    process.exit(1);
  }
}
const report = options.from
  ? (JSON.parse(readFileSync(options.from, 'utf8')) as BenchReport)
  : await measure(options);
if (!options.from && !options.filter) {
  const pipelines = await trainingPipelines();
  const kernels = kernelLines();
  console.log(`pipelines of training (both stages) plus inference: ${pipelines}`);
  for (const { name, lines } of kernels) console.log(`  kernels/${name.padEnd(28)} ${lines} lines`);
}
if (options.json) writeJson(options.json, report);
const peers = options.peers ? (JSON.parse(readFileSync(options.peers, 'utf8')) as PeerReport).results : [];
if (options.html) writeFileSync(options.html, await benchPage(report, peers));
