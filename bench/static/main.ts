/**
 * Compiles every kernel for GPUs that are not there and checks what their compilers say.
 * `npm run check:gpu -- [--family LIST] [--filter TEXT] [--minimal] [--unknown] [--loops] [--assembly]
 * [--record]`
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { listOf } from '../../src/cli/options.ts';
import { packagedFile } from '../../src/cli/package.ts';
import { provenance } from '../../src/cli/provenance.ts';
import { compileFor } from './compile.ts';
import { missingFor } from './environment.ts';
import { type Family, families, familyNamed, relatives } from './families.ts';
import { figuresOf } from './figures.ts';
import { hostLines, measureHost } from './host.ts';
import { hostComparable, hostFindings, hostGains, type RecordedHost } from './host_ratchet.ts';
import { comparable, type FamilyFigures, type Finding, findings } from './ratchet.ts';
import type { CompileRecord } from './records.ts';
import { kernelTable, loopLines } from './report.ts';
import { outcomeOf } from './shortfalls.ts';
import {
  assumptions,
  type ModelledTime,
  modelledBatches,
  modelledGpus,
  modelledTimes,
  timeLines,
} from './times.ts';

interface Options {
  readonly family?: readonly Family[];
  readonly filter: string;
  readonly minimal?: boolean;
  readonly unknown?: boolean;
  readonly loops?: boolean;
  readonly assembly?: boolean;
  readonly host?: boolean;
  readonly record?: boolean;
  readonly results: string;
  readonly model?: boolean;
}

const called = `npm run check:gpu -- ${process.argv.slice(2).join(' ')}`.trim();

const familyOption = listOf((text): Family => {
  try {
    return familyNamed(text);
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message}.`);
  }
});

function recordFile({ name }: Family, { minimal, unknown, results }: Options): string {
  const words = [...(minimal ? ['minimal'] : []), ...(unknown ? ['unknown'] : []), name.replace(':', '-')];
  return join(results, `static-${words.join('-')}.json`);
}

/** A line per kernel, so that differences are read easily. */
function recordText({ kernels, ...rest }: FamilyFigures): string {
  const head = JSON.stringify({ record: provenance(called, rest.driver), ...rest }, null, 1);
  const lines = Object.entries(kernels).map(
    ([label, figures]) => `  ${JSON.stringify(label)}: ${JSON.stringify(figures)}`,
  );
  return `${head.replace(/\n\}$/, '')},\n "kernels": {\n${lines.join(',\n')}\n }\n}\n`;
}

function readRecorded(family: Family, options: Options): FamilyFigures | undefined {
  const file = recordFile(family, options);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as FamilyFigures) : undefined;
}

function familyFigures(family: Family, { opened, kernels }: CompileRecord): FamilyFigures {
  const compiled = kernels.filter(({ failure }) => failure === undefined);
  const failed = kernels.flatMap(({ label, failure }) => (failure === undefined ? [] : [[label, failure]]));
  return {
    family: family.name,
    driver: opened.driver,
    profile: opened.profile,
    kernels: Object.fromEntries(compiled.map((kernel) => [kernel.label, figuresOf(kernel, family)])),
    ...(failed.length && { failures: Object.fromEntries(failed) }),
  };
}

/** Those that were asked for, or all that are set up; ends the process where one cannot be had. */
function chosenFamilies(options: Options): readonly Family[] {
  if (!options.family) {
    const wanted = families.filter(({ name }) => !relatives.has(name));
    for (const family of wanted) {
      const missing = missingFor(family);
      if (missing) console.log(`${family.name} is left out: ${missing}`);
    }
    return wanted.filter((family) => missingFor(family) === undefined);
  }
  for (const family of options.family) {
    const missing = missingFor(family);
    if (missing === undefined) continue;
    console.error(`error: ${family.name}: ${missing}`);
    process.exit(2);
  }
  return options.family;
}

/** An adapter that no profile but the general one recognises. */
const unknownAdapter = { vendor: 'unknown', architecture: '' };

/** Compiles for a family, prints its table and returns what is wrong. */
async function checkFamily(family: Family, options: Options): Promise<Finding[]> {
  const minimal = options.minimal ?? false;
  const { filter, unknown } = options;
  const record = await compileFor(family, { filter, minimal, ...(unknown && { adapter: unknownAdapter }) });
  const now = familyFigures(family, record);
  console.log(`\n${kernelTable(family, now)}`);
  for (const kernel of record.kernels) {
    if (options.loops) console.log(loopLines(kernel, family));
    if (options.assembly) console.log(kernel.assembly ?? kernel.printed ?? `${kernel.label}: no disassembly`);
  }
  const recorded = readRecorded(family, options);
  if (recorded && !comparable(now, recorded))
    console.log(
      `cycles are not compared: recorded with '${recorded.driver}', this is '${now.driver}' ` +
        '(npm run check:gpu -- --record writes new figures)',
    );
  if (options.record) writeFileSync(recordFile(family, options), recordText(now));
  return findings(family, now, options.record ? undefined : recorded);
}

const beforeFile = packagedFile('bench/results/static-before.json');

/** Prints the modelled times of resnet18's convolutions, against those of the kernels of before. */
async function model(): Promise<void> {
  console.log('modelled times, measured on no GPU; assumptions:');
  for (const line of assumptions) console.log(`  ${line}`);
  const before = JSON.parse(readFileSync(beforeFile, 'utf8')) as { readonly times: readonly ModelledTime[] };
  console.log('the sum over all convolutions of resnet18 at 256 x 256 pixels:');
  for (const family of Object.keys(modelledGpus).map(familyNamed)) {
    const record = await compileFor(family, { filter: '', minimal: false, modelled: modelledBatches });
    console.log(timeLines(modelledTimes(family, record), before.times));
  }
}

const command = new Command('check:gpu')
  .description('Compiles every kernel for GPUs that are not there, and checks what their compilers say.')
  .option('--family <names>', 'only these GPUs (default: all whose compilers are set up)', familyOption)
  .option('--filter <text>', 'only kernels whose name contains this', '')
  .option('--minimal', "WebGPU's default limits, without subgroups and 16-bit floats")
  .option('--unknown', 'with the kernels for GPUs of which nothing is known')
  .option('--loops', 'also print what a turn of each loop takes (AMD, Intel, NVIDIA)')
  .option('--assembly', 'also print the disassembly (AMD, Intel, NVIDIA)')
  .option('--model', "print the modelled times of resnet18's convolutions on AMD GPUs, and nothing else")
  .option('--host', "the host's side of a run and the pipeline from files to maps; compiles nothing")
  .option('--record', 'write the figures to bench/results/static-FAMILY.json; with --host to host.json')
  .option('--results <folder>', 'where recorded figures lie', packagedFile('bench/results'))
  .exitOverride(({ exitCode }) => process.exit(exitCode ? 2 : 0))
  .parse();
const options = command.opts<Options>();
if (options.record && options.filter) {
  console.error('error: --record takes all kernels: leave out --filter');
  process.exit(2);
}
if (options.model) {
  try {
    await model();
    process.exit(0);
  } catch (error) {
    console.error(`error: ${(error as Error).message}`);
    process.exit(1);
  }
}
const chosen = chosenFamilies(options);
const [first] = chosen;

/** What a run costs on the host, on a device that does nothing; returns what is worse than recorded. */
async function checkHost(family: Family): Promise<string[]> {
  const report = await measureHost(family);
  console.log(`\n${hostLines(report, family)}`);
  const driver = `${family.name} by Mesa, on a device that does nothing`;
  const file = join(options.results, 'host.json');
  if (options.record && options.host) {
    const record = provenance(called, driver);
    writeFileSync(file, `${JSON.stringify({ record, ...report }, null, 2)}\n`);
    return [];
  }
  if (!existsSync(file)) return [];
  const recorded = JSON.parse(readFileSync(file, 'utf8')) as RecordedHost;
  if (!hostComparable(driver, recorded)) {
    console.log(`not compared: recorded with '${recorded.record.driver}', this is '${driver}'`);
    return [];
  }
  for (const line of hostGains(report, recorded)) console.log(`  better, to be recorded: ${line}`);
  return hostFindings(report, recorded);
}

/** Prints what is worse on the host's side. */
function printHostFindings(lines: readonly string[]): void {
  if (lines.length)
    console.log(`\nthe host's side got worse:\n${lines.map((line) => `  ${line}`).join('\n')}`);
}

if (options.host && first) {
  const worse = await checkHost(first);
  printHostFindings(worse);
  process.exit(worse.length ? 1 : 0);
}
const queue = [...chosen];
const found: Finding[] = [];
const work = async () => {
  for (let family = queue.shift(); family; family = queue.shift()) {
    found.push(...(await checkFamily(family, options)));
  }
};
try {
  // Two at a time: a compiler uses one core.
  await Promise.all([work(), work()]);
} catch (error) {
  console.error(`error: ${(error as Error).message}`);
  process.exit(1);
}
const everything = !options.filter && !options.minimal && !options.unknown;
// Alone: beside compilers times would be those of a busy machine.
const hostWorse = first && everything ? await checkHost(first) : [];
const names = chosen.map(({ name }) => name);
const { failed, text } = outcomeOf(found, names, everything);
console.log(`\n${text}`);
printHostFindings(hostWorse);
if (failed || hostWorse.length) process.exit(1);
