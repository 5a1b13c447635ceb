/**
 * `npm run figures`: writes the tables of README.md and docs/ from bench/results and from the command line's
 * definitions. With `--check` nothing is written: exit code 1 where a document is stale.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { packagedFile } from '../../src/cli/package.ts';
import { fillDocuments } from './documents.ts';
import { commands } from './records.ts';

const { check = false } = new Command('figures')
  .description('write the tables of README.md and docs/ from bench/results')
  .option('--check', 'write nothing; exit code 1 where a document is stale')
  .addHelpText(
    'after',
    `\nThe records and what writes them:\n${Object.entries(commands)
      .map(([name, command]) => `  ${name.padEnd(10)} ${command}`)
      .join('\n')}`,
  )
  .exitOverride(({ exitCode }) => process.exit(exitCode ? 2 : 0))
  .parse()
  .opts<{ check?: boolean }>();

const root = packagedFile('.');
try {
  const documents = fillDocuments(root);
  const stale = documents.filter(({ before, after }) => before !== after);
  for (const { path, after } of stale) {
    console.log(check ? `${path} is stale: run npm run figures` : `${path} written`);
    if (!check) writeFileSync(join(root, path), after);
  }
  if (!stale.length) console.log(`the figures of ${documents.length} documents are those of bench/results`);
  if (check && stale.length) process.exitCode = 1;
} catch (error) {
  console.error(`figures: ${(error as Error).message}`);
  process.exitCode = 1;
}
