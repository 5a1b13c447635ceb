/**
 * The documents: their figures are those of bench/results, what they link and name is there, the method's
 * sections that comments cite exist, and lines are short enough to read.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fillDocuments } from '../bench/figures/documents.ts';
import { fill, wrap } from '../bench/figures/markdown.ts';
import { commandLine } from '../src/cli/program.ts';

const root = resolve('.');
/** Every file of the project but what git ignores. */
const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { encoding: 'utf8' })
  .split('\n')
  .filter((path) => path && existsSync(path));
const documents = files.filter((path) => path.endsWith('.md') && !path.startsWith('test/'));
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const matches = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map((match) => match[1] ?? '');

/** Anchors of a page's headings, as GitHub makes them. */
function anchors(text: string): Set<string> {
  return new Set(
    matches(text, /^#+ (.+)$/gm).map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

describe('figures', () => {
  test('the documents show what bench/results holds (npm run figures writes them)', () => {
    for (const { path, before, after } of fillDocuments(root)) expect(before, path).toBe(after);
  });

  test('a figure goes between its markers, in its line or in lines of its own', () => {
    const figures = new Map([
      ['short', '4'],
      ['long', 'a\nb'],
    ]);
    const used = new Set<string>();
    const text = 'x <!-- figures:short -->old<!-- /figures --> y\n<!-- figures:long --><!-- /figures -->';
    const filled = fill('page.md', text, figures, used);
    expect(filled).toBe(
      'x <!-- figures:short -->4<!-- /figures --> y\n<!-- figures:long -->\na\nb\n<!-- /figures -->',
    );
    expect(fill('page.md', filled, figures, used)).toBe(filled);
    expect([...used]).toEqual(['short', 'long']);
  });

  test('a marker without its end, or of a figure that does not exist, is an error with the page', () => {
    const figures = new Map([['known', '4']]);
    expect(() => fill('page.md', '<!-- figures:other --><!-- /figures -->', figures, new Set())).toThrow(
      "page.md: there is no figure 'other'; there are known",
    );
    expect(() => fill('page.md', '<!-- figures:known --> 4', figures, new Set())).toThrow(
      /page\.md.*no <!--/,
    );
  });

  test('wrapped lines have at most 110 characters, and code is never cut', () => {
    const lines = wrap(`${'word '.repeat(20)}\`${'code '.repeat(9)}end\` after`, '- ', '  ').split('\n');
    expect(lines).toHaveLength(2);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(110);
    expect(lines[1]).toBe(`  \`${'code '.repeat(9)}end\` after`);
  });
});

describe.each(documents)('%s', (path) => {
  const text = read(path);

  test('links lead to files and headings that exist', () => {
    const missing = matches(text, /\]\(([^)\s]+)\)/g).filter((link) => {
      if (/^[a-z]+:/.test(link)) return false;
      const [target = '', anchor] = link.split('#');
      const file = target ? join(dirname(path), target) : path;
      return !existsSync(file) || (anchor !== undefined && !anchors(read(file)).has(anchor));
    });
    expect(missing).toEqual([]);
  });

  test('paths in code exist', () => {
    const paths = matches(
      text,
      /(?<![\w./-])((?:src|test|bench|app|kernels|scripts|examples|docs|weights)\/[\w./-]*\w)/g,
    );
    // A changelog names what was there. NAME stands for any name. dist/ is built.
    const wanted = path === 'CHANGELOG.md' ? [] : paths.filter((name) => !/[A-Z]{4}/.test(name));
    const missing = wanted.filter((name) => !existsSync(name));
    expect(missing).toEqual([]);
  });

  test('npm scripts and commands of aand exist', () => {
    const scripts = (JSON.parse(read('package.json')) as { scripts: Record<string, string> }).scripts;
    const ran = matches(text, /\bnpm run (?:--silent )?([a-z:]+)/g).filter((name) => !scripts[name]);
    expect(ran).toEqual([]);
    const names = new Set(commandLine().commands.map((command) => command.name()));
    const called = matches(text, /(?:`|npx |^)aand ([a-z][a-z-]*)/gm).filter((name) => !names.has(name));
    expect(called).toEqual([]);
  });
});

test('paths that sources name exist', () => {
  const path =
    /(?<![\w./-])((?:src|docs|kernels|bench|app|scripts|examples)\/[\w./-]*\.(?:ts|md|wesl|mjs|sh))\b/g;
  const missing = files
    .filter((name) => /^(src|kernels|bench|app|scripts|examples)\/.*\.(ts|mjs|wesl|css)$/.test(name))
    .flatMap((name) =>
      matches(read(name), path)
        .filter((named) => !existsSync(named) && !named.endsWith('.d.ts'))
        .map((named) => `${name}: ${named}`),
    );
  expect(missing).toEqual([]);
});

test('documents that messages name exist, and so do the sections', () => {
  const named = /(?<![\w/.])((?:docs\/)?[\w-]+\.md)(?:, \\?"([^"\\]+)\\?")?/g;
  const missing = files
    .filter((name) => /^(src|app|scripts)\/.*\.(ts|mjs|sh)$/.test(name))
    .flatMap((name) =>
      [...read(name).matchAll(named)]
        // What the commands write into the users' folders.
        .filter(([, page]) => page !== 'results.md')
        .filter(([, page = '', section]) => {
          if (!existsSync(page)) return true;
          return section !== undefined && !read(page).includes(`# ${section}\n`);
        })
        .map(([text]) => `${name}: ${text}`),
    );
  expect(missing).toEqual([]);
});

test('every section of the method that a comment cites exists', () => {
  const sections = new Set(matches(read('docs/method.md'), /^#+ (\d+(?:\.\d+)?) /gm));
  const cited = files
    .filter((path) => /\.(ts|wesl|css|py)$/.test(path) && !path.startsWith('test/documents'))
    .flatMap((path) =>
      matches(read(path), /\(method, ([^)]*)\)/g).flatMap((list) =>
        matches(list, /(\d+(?:\.\d+)?)/g).map((section) => ({ path, section })),
      ),
    );
  expect(cited.length).toBeGreaterThan(30);
  expect(cited.filter(({ section }) => !sections.has(section))).toEqual([]);
});
