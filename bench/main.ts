/**
 * `npm run bench`: `aand bench` in a checkout, with what only a checkout can do: comparisons with another
 * one, the demo, first runs, the pipeline of images, the size of the engine. Records of bench/results are
 * written over: they are kept by git.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command, Option } from 'commander';
import type { BenchCase } from '../src/bench/case.ts';
import { type BenchReport, readReport, reportText } from '../src/bench/report.ts';
import {
  casesOf,
  chartsText,
  commandText,
  type MeasureOptions,
  measureCommand,
  measureOptions,
} from '../src/cli/bench.ts';
import { UsageError } from '../src/cli/common.ts';
import { countOption } from '../src/cli/options.ts';
import { packagedFile } from '../src/cli/package.ts';
import { provenance } from '../src/cli/provenance.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { benchPage, type PeerReport } from '../src/report/bench_page.ts';
import { compareCase, serveCase } from './compare.ts';
import { measureDemo } from './demo.ts';
import { firstRunChild, measureFirstRun } from './first_run.ts';
import { kernelLines, trainingPipelines } from './inventory.ts';
import { measurePipeline, pipelineText } from './pipeline.ts';

interface Options extends MeasureOptions {
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

/** What was called, as a user types it. */
const called = commandText('npm run bench --', process.argv.slice(2)).replace(/ --$/, '');

function writeJson(path: string | undefined, value: unknown): void {
  if (path) writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
}

async function withDriver<T>(work: (engine: Engine, driver: string) => T | Promise<T>): Promise<T> {
  const engine = await Engine.open();
  try {
    return await work(engine, engine.adapter.description || engine.target.name);
  } finally {
    await engine.close();
  }
}

/** Every case of this checkout and of another, in turns. */
async function compare(options: Options, other: string): Promise<void> {
  const { rounds } = options;
  if (!existsSync(join(other, 'dist/bench.js')))
    throw new UsageError(
      `${other} is no built checkout: there is no dist/bench.js in it (npm ci && npm run build)`,
    );
  console.log(`this checkout against ${other}, medians of ${rounds} turns`);
  for (const { name } of casesOf(options)) {
    const r = await compareCase(
      name,
      [packagedFile('.'), resolve(other)],
      ['--dtype', options.dtype, ...(options.shape ? ['--shape', ...options.shape] : [])],
      rounds,
    );
    console.log(
      `${name.padEnd(46)} ${r.median_ms.toFixed(2).padStart(9)} ms against ` +
        `${r.other_ms.toFixed(2).padStart(9)} ms  ratio ${r.ratio.toFixed(3)}  (quartiles ` +
        `${r.quartiles.map((q) => q.toFixed(3)).join(', ')}; fastest turns ${r.fastest.toFixed(3)})`,
    );
  }
}

/** The other side of `--against`: its name stands for one case, whatever the list says. */
async function serve(options: Options, name: string): Promise<void> {
  const benchCase = casesOf({ ...options, filter: [name] }).find((each) => each.name === name);
  if (!benchCase) throw new UsageError(`there is no case ${name}`);
  await serveCase(benchCase satisfies BenchCase);
}

async function measurePipelineOnly({ json }: Options): Promise<void> {
  await withDriver(async (engine, driver) => {
    const record = provenance(called, driver);
    const figures = await measurePipeline(engine);
    console.log(pipelineText(figures));
    writeJson(json, { record, ...figures });
  });
}

async function measureDemoOnly({ json }: Options): Promise<void> {
  const record = await withDriver((_, driver) => provenance(called, driver));
  const demo = measureDemo();
  console.log(`demo: ${demo.seconds.toFixed(0)} s`);
  writeJson(json, { record, ...demo });
}

async function measureFirstRunOnly({ json }: Options): Promise<void> {
  const record = await withDriver((_, driver) => provenance(called, driver));
  const firstRun = measureFirstRun();
  writeJson(json, { record, ...firstRun });
  const { name, cold_ms, warm_ms, load_ms } = firstRun;
  const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;
  console.log(
    `${name}: first inference ${seconds(cold_ms)} cold, ${seconds(warm_ms)} warm; its model loads in ` +
      `${seconds(load_ms)}`,
  );
}

async function printInventory(): Promise<void> {
  const pipelines = await trainingPipelines();
  console.log(`pipelines of training (both stages) plus inference: ${pipelines}`);
  for (const { name, lines } of kernelLines()) console.log(`  kernels/${name.padEnd(28)} ${lines} lines`);
}

async function writePage(path: string, report: BenchReport, peers: string | undefined): Promise<void> {
  const results = peers ? (JSON.parse(readFileSync(peers, 'utf8')) as PeerReport).results : [];
  writeFileSync(path, await benchPage(report, results, await chartsText()));
}

/** Results that were measured before, in other forms. */
async function showOnly({ from = '', json, html, peers }: Options): Promise<void> {
  const report = readReport(readFileSync(from, 'utf8'), from);
  if (json) writeFileSync(json, reportText(report));
  if (html) await writePage(html, report, peers);
}

async function measure(options: Options): Promise<void> {
  const { html, peers, ...rest } = options;
  const report = await measureCommand(rest, called, async (path) => ({
    write: async (text) => writeFileSync(path, text),
    [Symbol.asyncDispose]: async () => {},
  }));
  if (!report) return;
  if (!options.filter && !options.shape) await printInventory();
  if (html) await writePage(html, report, peers);
}

async function run(options: Options): Promise<void> {
  if (options.firstRunChild) return firstRunChild();
  if (options.pipeline) return measurePipelineOnly(options);
  if (options.demo) return measureDemoOnly(options);
  if (options.firstRun) return measureFirstRunOnly(options);
  if (options.serve) return serve(options, options.serve);
  if (options.against) return compare(options, options.against);
  if (options.from) return showOnly(options);
  return measure(options);
}

const command = measureOptions(new Command('npm run bench --'))
  .option(
    '--first-run',
    'measure a first inference in a new process, caches empty and filled, and the loading of its model; ' +
      'nothing else',
  )
  .option('--pipeline', 'images per second from files to maps, and what limits them; nothing else')
  .option('--demo', 'run the demo in a process of its own and measure it; nothing else')
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
try {
  await run(command.opts<Options>());
  process.exit();
} catch (error) {
  console.error(`error: ${(error as Error).message}`);
  process.exit(error instanceof UsageError ? 2 : (error as Error).name === 'AbortError' ? 130 : 1);
}
