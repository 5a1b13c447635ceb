/** `aand bench compare`: did kernels become slower between two files of results? */
import type { Command } from 'commander';
import { compareReports } from '../bench/compare.ts';
import { type BenchReport, readReport } from '../bench/report.ts';
import { comparisonLines } from './bench_rows.ts';
import { readText, UsageError } from './common.ts';
import { realNumber } from './options.ts';

/** Exit code where a case became slower: neither done nor failed, so that a script can tell. */
const slowerCode = 3;

async function readResults(path: string): Promise<BenchReport> {
  const text = await readText(path);
  try {
    return readReport(text, path);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function origin(name: string, { record }: BenchReport): string {
  const load = record.load === null ? 'load not known' : `load ${record.load}`;
  return `${name.padEnd(6)} ${record.date}, ${record.commit}, ${load}, ${record.driver}`;
}

export function compareCommand(bench: Command): void {
  bench
    .command('compare')
    .description(
      'compare two files of aand bench --json, or of the page, case by case; exit code 3 where a case ' +
        'became slower: its whole interval lies beyond the tolerance',
    )
    .argument('<before>', 'JSON file of results')
    .argument('<after>', 'JSON file of results')
    .option(
      '--tolerance <percent>',
      'change that does not count: two measurements of the same code differ by so much',
      realNumber({ least: 0 }, { below: 100 }),
      5,
    )
    .action(async (before: string, after: string, { tolerance }: { tolerance: number }) => {
      const [first, second] = [await readResults(before), await readResults(after)];
      const comparison = compareReports(first, second, tolerance / 100);
      if (!comparison.cases.length) throw new UsageError(`${before} and ${after} have no case in common`);
      console.log(origin('before', first));
      console.log(origin('after', second));
      for (const line of comparisonLines(comparison, tolerance / 100)) console.log(line);
      if (comparison.mean === null)
        throw new UsageError('nothing could be compared: measure again with this version');
      if (comparison.cases.some(({ verdict }) => verdict === 'slower')) process.exitCode = slowerCode;
    });
}
