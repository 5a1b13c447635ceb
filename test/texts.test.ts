/** Texts of the project: what a reader sees without scrolling. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const widest = 110;
const kinds = ['*.ts', '*.mjs', '*.wesl', '*.sh', '*.py', '*.md', '*.css', '*.html', '.ci/run'];
const figures = /^(test\/fixtures\/|test\/golden\/|bench\/results\/)/;
// Texts that a test expects, and prints of tapes, are compared as they are: broken up they could not be
// found.
const expected = /(['"`/]).{50,}\1|^\s*["%$@].*\]/;
// A line of a chart in a document may not be broken either.
const chart = /^ {2}line \[[\d., -]+\]$/;
const link = /\]\(|https?:\/\//;

/** Files of the repository, those that are not committed yet included. */
function files(): string[] {
  const list = execFileSync('git', ['ls-files', '-co', '--exclude-standard', ...kinds], { encoding: 'utf8' });
  return list.split('\n').filter((file) => file && !figures.test(file) && existsSync(file));
}

function longLines(file: string): string[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .map((line, i) => ({ line, place: `${file}:${i + 1}` }))
    .filter(({ line }) => [...line].length > widest && !link.test(line) && !chart.test(line))
    .filter(({ line }) => !(file.startsWith('test/') && expected.test(line)))
    .map(({ place }) => place);
}

test(`lines have at most ${widest} columns, but for links and for texts that a test expects`, () => {
  expect(files().length).toBeGreaterThan(300);
  expect(files().flatMap(longLines)).toEqual([]);
});
