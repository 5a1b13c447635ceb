/**
 * `npm run figures`: writes the tables of README.md and docs/ from bench/results and from the command line's
 * definitions. With `--check` nothing is written: exit code 1 where a document is stale. `--pictures` draws
 * the tutorial's pictures.
 */
import { execSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { packagedFile } from '../../src/cli/package.ts';
import { fillDocuments } from './documents.ts';
import { writePictures } from './pictures.ts';
import { commands } from './records.ts';

const {
  check = false,
  pictures = false,
  record = false,
} = new Command('figures')
  .description('write the tables of README.md and docs/ from bench/results')
  .option('--check', 'write nothing; exit code 1 where a document is stale')
  .option('--record', 'measure first: run every command that writes a record (half an hour)')
  .option('--pictures', 'draw the pictures of docs/tutorial.md too')
  .addHelpText(
    'after',
    `\nThe records and what writes them:\n${Object.entries(commands)
      .map(([name, command]) => `  ${name.padEnd(10)} ${command}`)
      .join('\n')}`,
  )
  .exitOverride(({ exitCode }) => process.exit(exitCode ? 2 : 0))
  .parse()
  .opts<{ check?: boolean; pictures?: boolean; record?: boolean }>();

const root = packagedFile('.');
try {
  if (record)
    for (const command of Object.values(commands))
      if (command.startsWith('npm ')) execSync(command, { cwd: root, stdio: 'inherit' });
  if (pictures) await writePictures(join(root, 'docs/pictures'));
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
