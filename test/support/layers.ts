/**
 * The order of the project's rooms, and the check of it: an import goes to a room that stands before the
 * importing file's own room in the list, or stays within the room, and no imports lead in a circle. Types
 * count as values do.
 */
import { dirname, join } from 'node:path/posix';
import ts from 'typescript';

/**
 * All rooms, the lowest first. A room is the files below its folders and the files that are named, but for
 * those that a later pattern of another room names more closely (by a longer text).
 */
export const rooms: readonly (readonly string[])[] = [
  ['src/base/'],
  ['kernels/'],
  ['src/image/'],
  ['src/platform/'],
  ['src/engine/graph/'],
  ['src/engine/dispatch.ts'],
  ['src/engine/device/'],
  ['src/engine/ops/'],
  ['src/engine/gradients.ts'],
  ['src/engine/passes/'],
  ['src/engine/plan/'],
  ['src/engine/kernels/'],
  ['src/engine/runtime/'],
  ['src/engine/index.ts'],
  ['src/model/'],
  ['src/weights/'],
  ['src/data/'],
  ['src/synthetic/'],
  ['src/eval/'],
  ['src/train/'],
  ['src/detector/'],
  ['src/export/'],
  // The class opens, predicts and trains: it is the use cases' own.
  ['src/session/', 'src/detector/detector.ts'],
  ['src/bench/'],
  ['src/report/'],
  ['src/output/'],
  ['src/index.ts', 'src/browser.ts'],
  ['src/serve/'],
  ['src/cli/'],
  ['app/'],
  ['examples/'],
  ['bench/'],
  ['scripts/', 'vitest.config.ts', 'vitest.full.config.ts', 'vitest.long.config.ts'],
  ['test/'],
];

/** Names that stand for files of the project, such as `#platform`: every file that one may mean. */
export type Aliases = Readonly<Record<string, readonly string[]>>;

/** Paths below the project's folder, with `/`, and texts. */
export type Sources = ReadonlyMap<string, string>;

/** What a file imports, as written: statically, dynamically, as a type, or re-exported. */
function importsOf(path: string, text: string): string[] {
  if (path.endsWith('.wesl'))
    return [...text.matchAll(/^\s*import\s+package::(\w+)/gm)].map(([, module]) => `./${module}.wesl`);
  return ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName);
}

/** The files of the project that an import may mean; none for a package. */
function targetsOf(path: string, name: string, aliases: Aliases): readonly string[] {
  return name.startsWith('.') ? [join(dirname(path), name)] : (aliases[name] ?? []);
}

interface Import {
  readonly from: string;
  readonly to: string;
}

function allImports(sources: Sources, aliases: Aliases): Import[] {
  return [...sources].flatMap(([from, text]) =>
    [...new Set(importsOf(from, text).flatMap((name) => targetsOf(from, name, aliases)))].map((to) => ({
      from,
      to,
    })),
  );
}

/** Index of a file's room in {@link rooms}; undefined where it is in none. */
function roomOf(path: string): number | undefined {
  let found: { readonly room: number; readonly length: number } | undefined;
  for (const [room, patterns] of rooms.entries())
    for (const pattern of patterns) {
      const inside = pattern.endsWith('/') ? path.startsWith(pattern) : path === pattern;
      if (inside && pattern.length > (found?.length ?? 0)) found = { room, length: pattern.length };
    }
  return found?.room;
}

function nameOf(room: number): string {
  return (rooms[room] as readonly string[]).join(', ');
}

/**
 * Imports that go upwards, that lead to no file of the project, and files without a room; a sentence each.
 */
export function misplaced(sources: Sources, aliases: Aliases = {}): string[] {
  const homeless = [...sources.keys()].filter((path) => roomOf(path) === undefined);
  const wrong = allImports(sources, aliases).flatMap(({ from, to }) => {
    if (!sources.has(to)) return [`${from} imports ${to}, which is no file of the project`];
    const [own, other] = [roomOf(from), roomOf(to)];
    if (own === undefined || other === undefined || other <= own) return [];
    return [`${from} (room ${nameOf(own)}) imports ${to} of the higher room ${nameOf(other)}`];
  });
  return [...homeless.map((path) => `${path} is in no room of test/support/layers.ts`), ...wrong];
}

/**
 * Groups of files that import each other in a circle, each as a sentence with one such circle.
 */
export function circles(sources: Sources, aliases: Aliases = {}): string[] {
  const targets = new Map<string, string[]>();
  for (const { from, to } of allImports(sources, aliases)) {
    const list = targets.get(from) ?? [];
    targets.set(from, list);
    list.push(to);
  }
  const found: string[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    const start = path.indexOf(file);
    if (start >= 0) found.push([...path.slice(start), file].join(' imports '));
    if (start >= 0 || done.has(file)) return;
    path.push(file);
    for (const target of targets.get(file) ?? []) visit(target);
    path.pop();
    done.add(file);
  };
  for (const file of sources.keys()) visit(file);
  return found;
}
