/** All documents of the project with their figures. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fill } from './markdown.ts';
import { figures } from './tables.ts';

/** A document, as it is and as the records say it should be. */
export interface FilledDocument {
  readonly path: string;
  readonly before: string;
  readonly after: string;
}

/** README and every page of docs/, as paths below the checkout. */
export function documentPaths(root: string): string[] {
  const pages = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'));
  return ['README.md', ...pages.map((name) => `docs/${name}`)];
}

/**
 * Every document with the figures that the records give.
 * @param root folder of the checkout
 * @throws Error for a marker that no figure has, and for a figure that no document shows
 */
export function fillDocuments(root: string): FilledDocument[] {
  const made = figures(root);
  const used = new Set<string>();
  const documents = documentPaths(root).map((path) => {
    const before = readFileSync(join(root, path), 'utf8');
    return { path, before, after: fill(path, before, made, used) };
  });
  const unused = [...made.keys()].filter((name) => !used.has(name));
  if (unused.length) throw new Error(`no document shows the figures ${unused.join(', ')}`);
  return documents;
}
