/**
 * Compiles every kernel for GPUs that are not there and checks what their compilers say.
 * `npm run check:gpu -- [--family LIST] [--filter TEXT] [--minimal] [--loops] [--assembly] [--record]`
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { listOf } from '../../src/cli/options.ts';
import { packagedFile } from '../../src/cli/package.ts';
import { provenance } from '../record.ts';
import { compileFor } from './compile.ts';
import { missingFor } from './environment.ts';
import { type Family, families, familyNamed, relatives } from './families.ts';
import { figuresOf } from './figures.ts';
import { hostLines, measureHost } from './host.ts';
import { comparable, type FamilyFigures, type Finding, findings } from './ratchet.ts';
import type { CompileRecord } from './records.ts';
import { kernelTable, loopLines } from './report.ts';

interface Options {
  readonly family?: readonly Family[];
  readonly filter: string;
  readonly minimal?: boolean;
  readonly loops?: boolean;
  readonly assembly?: boolean;
  readonly record?: boolean;
}

const called = `npm run check:gpu -- ${process.argv.slice(2).join(' ')}`.trim();

const familyOption = listOf((text): Family => {
  try {
    return familyNamed(text);
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message}.`);
  }
});

function recordFile({ name }: Family, minimal: boolean): string {
  const words = [...(minimal ? ['minimal'] : []), name.replace(':', '-')];
  return join(packagedFile('bench/results'), `static-${words.join('-')}.json`);
}

/** A line per kernel, so that differences are read easily. */
function recordText({ kernels, ...rest }: FamilyFigures): string {
  const head = JSON.stringify({ record: provenance(called, rest.driver), ...rest }, null, 1);
  const lines = Object.entries(kernels).map(
    ([label, figures]) => `  ${JSON.stringify(label)}: ${JSON.stringify(figures)}`,
  );
  return `${head.replace(/\n\}$/, '')},\n "kernels": {\n${lines.join(',\n')}\n }\n}\n`;
}

function readRecorded(family: Family, minimal: boolean): FamilyFigures | undefined {
  const file = recordFile(family, minimal);
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

/** Compiles for a family, prints its table and returns what is wrong. */
async function checkFamily(family: Family, options: Options): Promise<Finding[]> {
  const minimal = options.minimal ?? false;
  const record = await compileFor(family, { filter: options.filter, minimal });
  const now = familyFigures(family, record);
  console.log(`\n${kernelTable(family, now)}`);
  for (const kernel of record.kernels) {
    if (options.loops) console.log(loopLines(kernel, family));
    if (options.assembly) console.log(kernel.assembly ?? kernel.printed ?? `${kernel.label}: no disassembly`);
  }
  const recorded = readRecorded(family, minimal);
  if (recorded && !comparable(now, recorded))
    console.log(
      `cycles are not compared: recorded with '${recorded.driver}', this is '${now.driver}' ` +
        '(npm run check:gpu -- --record writes new figures)',
    );
  const wrong = findings(family, now, options.record ? undefined : recorded);
  if (options.record) writeFileSync(recordFile(family, minimal), recordText(now));
  return wrong;
}

const command = new Command('check:gpu')
  .description('Compiles every kernel for GPUs that are not there, and checks what their compilers say.')
  .option('--family <names>', 'only these GPUs (default: all whose compilers are set up)', familyOption)
  .option('--filter <text>', 'only kernels whose name contains this', '')
  .option('--minimal', "WebGPU's default limits, without subgroups and 16-bit floats")
  .option('--loops', 'also print what a turn of each loop takes (AMD)')
  .option('--assembly', 'also print the disassembly')
  .option('--record', 'write the figures to bench/results/static-FAMILY.json')
  .exitOverride(({ exitCode }) => process.exit(exitCode ? 2 : 0))
  .parse();
const options = command.opts<Options>();
if (options.record && options.filter) {
  console.error('error: --record takes all kernels: leave out --filter');
  process.exit(2);
}
const chosen = chosenFamilies(options);
const queue = [...chosen];
const wrong: Finding[] = [];
let checked = 0;
const work = async () => {
  for (let family = queue.shift(); family; family = queue.shift()) {
    wrong.push(...(await checkFamily(family, options)));
    checked++;
  }
};
try {
  // Two at a time: a compiler uses one core.
  await Promise.all([work(), work()]);
} catch (error) {
  console.error(`error: ${(error as Error).message}`);
  process.exit(1);
}
// Alone: beside compilers times would be those of a busy machine.
const [first] = chosen;
if (first && !options.filter && !options.minimal)
  console.log(`\n${hostLines(await measureHost(first), first)}`);
if (wrong.length) {
  console.log(`\n${wrong.length} findings:`);
  for (const { family, kernel, kind, words } of wrong)
    console.log(`  ${family}: ${kind}: ${words}: ${kernel}`);
  process.exit(1);
}
console.log(`\n${checked} families checked: nothing is wrong`);
