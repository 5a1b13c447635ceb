/** Rooms and floors: an import goes only downwards, and none leads in a circle. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type Aliases, circles, misplaced, type Sources } from './support/layers.ts';

const folders = ['src', 'kernels', 'app', 'examples', 'bench', 'scripts', 'test'];

/** Every source of the project. */
function projectSources(): Sources {
  const below = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => `${folder}/${name}`),
  );
  const paths = [...readdirSync('.'), ...below].filter(
    (path) => /\.(ts|mts|mjs|js|wesl)$/.test(path) && !/node_modules|^test\/fixtures\//.test(path),
  );
  return new Map(paths.map((path) => [path, readFileSync(path, 'utf8')]));
}

/** What the package's own names stand for: `#platform` is both platforms. */
function projectAliases(): Aliases {
  const { imports } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    imports: Record<string, Record<string, string>>;
  };
  const { compilerOptions } = JSON.parse(readFileSync('tsconfig.json', 'utf8')) as {
    compilerOptions: { paths: Record<string, string[]> };
  };
  const plain = (path: string) => path.replace(/^\.\//, '');
  return Object.fromEntries([
    ...Object.entries(imports).map(([name, files]) => [name, Object.values(files).map(plain)]),
    ...Object.entries(compilerOptions.paths).map(([name, files]) => [name, files.map(plain)]),
  ]);
}

const sources = projectSources();
const aliases = projectAliases();

test('the whole project is read: rooms of every kind, and imports by the names of the package', () => {
  expect(sources.size).toBeGreaterThan(350);
  for (const path of ['src/base/errors.ts', 'kernels/contract.ts', 'app/main.ts', 'test/layers.test.ts'])
    expect(sources.has(path)).toBe(true);
  expect(aliases['#platform']).toEqual(['src/platform/browser.ts', 'src/platform/node.ts']);
  expect(aliases['aand-webgpu']).toEqual(['src/index.ts']);
});

test('every file has a room, and imports only from its own room and those below', () => {
  expect(misplaced(sources, aliases)).toEqual([]);
});

test('no imports lead in a circle, types included', () => {
  expect(circles(sources, aliases)).toEqual([]);
});

describe('a made-up project', () => {
  const upwards = 'src/base/random.ts (room src/base/) imports src/data/list.ts of the higher room src/data/';

  test.each([
    ['an import of a value', "import { list } from '../data/list.ts';"],
    ['an import for its effect', "import '../data/list.ts';"],
    ['an import of a type', "import type { List } from '../data/list.ts';"],
    ['a re-export', "export * from '../data/list.ts';"],
    ['a re-export of a type', "export type { List } from '../data/list.ts';"],
    ['an import at run time', "const list = async () => (await import('../data/list.ts')).list;"],
    ['the type of an import', "export type List = import('../data/list.ts').List;"],
  ])('%s from a higher room is named with both rooms', (_, text) => {
    const made = new Map([
      ['src/base/random.ts', text],
      ['src/data/list.ts', 'export const list = []; export type List = never[];'],
    ]);
    expect(misplaced(made)).toEqual([upwards]);
    expect(circles(made)).toEqual([]);
  });

  test('imports downwards, within a room and of packages are right', () => {
    const made = new Map([
      ['src/data/open.ts', "import './list.ts'; import '../base/random.ts'; import 'sharp';"],
      ['src/data/list.ts', "import { join } from 'node:path';"],
      ['src/base/random.ts', ''],
    ]);
    expect(misplaced(made)).toEqual([]);
    expect(circles(made)).toEqual([]);
  });

  test('a name of the package stands for every file that it may mean', () => {
    const made = new Map([
      ['src/image/image.ts', "import '#platform';"],
      ['src/platform/node.ts', ''],
      ['src/platform/browser.ts', ''],
    ]);
    expect(misplaced(made, { '#platform': ['src/platform/node.ts', 'src/platform/browser.ts'] })).toEqual([
      'src/image/image.ts (room src/image/) imports src/platform/node.ts of the higher room src/platform/',
      'src/image/image.ts (room src/image/) imports src/platform/browser.ts of the higher room src/platform/',
    ]);
  });

  test('a file of the engine belongs to its floor', () => {
    const made = new Map([
      ['src/engine/graph/tape.ts', "import type { Plan } from '../plan/plan.ts';"],
      ['src/engine/plan/plan.ts', ''],
    ]);
    expect(misplaced(made)).toEqual([
      'src/engine/graph/tape.ts (room src/engine/graph/) imports src/engine/plan/plan.ts of the higher room src/engine/plan/',
    ]);
  });

  test('a file without a room is named, and an import that leads nowhere', () => {
    const made = new Map([
      ['src/other/list.ts', "import './gone.ts';"],
      ['src/stray.ts', ''],
    ]);
    expect(misplaced(made)).toEqual([
      'src/other/list.ts is in no room of test/support/layers.ts',
      'src/stray.ts is in no room of test/support/layers.ts',
      'src/other/list.ts imports src/other/gone.ts, which is no file of the project',
    ]);
  });

  test('a circle is named file by file, also one of types alone, and one of kernels', () => {
    const made = new Map([
      ['src/data/a.ts', "import type { B } from './b.ts';"],
      ['src/data/b.ts', "import { c } from './c.ts';"],
      ['src/data/c.ts', "export type A = import('./a.ts').A;"],
      ['src/data/user.ts', "import './a.ts';"],
      ['kernels/sum.wesl', 'import package::math::log_accurate;'],
      ['kernels/math.wesl', 'import package::sum::add;'],
    ]);
    expect(circles(made)).toEqual([
      'src/data/a.ts imports src/data/b.ts imports src/data/c.ts imports src/data/a.ts',
      'kernels/sum.wesl imports kernels/math.wesl imports kernels/sum.wesl',
    ]);
  });

  test('a file that imports itself is a circle', () => {
    expect(circles(new Map([['src/data/a.ts', "import './a.ts';"]]))).toEqual([
      'src/data/a.ts imports src/data/a.ts',
    ]);
  });
});
