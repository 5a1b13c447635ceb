/** Files in folders: which names count, what their stems are, which stem occurs twice. */

import { exists, listFolder, realPath, resultFinder } from '#platform';
import { append } from '../base/lists.ts';
import { sameName } from './labels.ts';

export const imageExtensions = ['.png', '.jpg', '.jpeg', '.bmp', '.webp', '.tif', '.tiff'] as const;

/** The extension in lower case with its dot, '' without one. */
export function extensionOf(name: string): string {
  return /\.[^./]*$/.exec(name)?.[0].toLowerCase() ?? '';
}

export function isImagePath(path: string, extensions: readonly string[] = imageExtensions): boolean {
  return extensions.includes(extensionOf(path));
}

/** File name without its folder and extension. */
export function stemOf(path: string): string {
  return path.replace(/^.*\//, '').replace(/\.[^.]*$/, '');
}

// Written by file servers, operating systems and archivers; in lower case.
const systemNames = new Set([
  '@eadir',
  '@recycle',
  '@recently-snapshot',
  '@tmp',
  '#recycle',
  '#snapshot',
  '__macosx',
  'thumbs.db',
  'ehthumbs.db',
  'desktop.ini',
  'lost+found',
  '$recycle.bin',
  'recycler',
  'system volume information',
  'network trash folder',
  'temporary items',
  '__pycache__',
]);

/**
 * Whether a name is hidden (a leading dot: .ipynb_checkpoints, .thumbnails, ._NAME) or of a system (@eaDir,
 * __MACOSX, Thumbs.db). Such files and folders are no part of a data set. A path that the user names is
 * taken, whatever its name is.
 *
 * @param name of a file or folder, without its path; a slash at the end does not count
 */
export function isHiddenName(name: string): boolean {
  return name.startsWith('.') || systemNames.has(name.replace(/\/+$/, '').toLowerCase());
}

/**
 * Image files directly in a folder, sorted, without hidden ones and without results that this program wrote.
 * Empty where the folder does not exist. A folder that is called x.png is refused where it is read.
 */
export async function imagesIn(folder: string, extensions?: readonly string[]): Promise<string[]> {
  const { isResult } = resultFinder();
  const images: string[] = [];
  for (const entry of await listFolder(folder)) {
    const name = entry.replace(/\/$/, '');
    if (isHiddenName(name) || !isImagePath(name, extensions)) continue;
    if (!(await isResult(`${folder}/${name}`))) images.push(name);
  }
  return images;
}

/** Folders directly in a folder, sorted, without their slash and without hidden ones. */
export async function foldersIn(folder: string): Promise<string[]> {
  return (await listFolder(folder))
    .filter((name) => name.endsWith('/') && !isHiddenName(name))
    .map((name) => name.slice(0, -1));
}

/**
 * Hidden files and folders below a folder (see {@link isHiddenName}), by their paths. What lies in a hidden
 * folder is not listed apart.
 */
export async function hiddenBelow(folder: string, visited = new Set<string>()): Promise<string[]> {
  const real = await realPath(folder);
  if (visited.has(real)) return [];
  visited.add(real);
  const found: string[] = [];
  // A folder that cannot be listed is reported by whoever reads it.
  for (const name of await listFolder(folder).catch(() => [])) {
    if (isHiddenName(name)) found.push(`${folder}/${name}`);
    else if (name.endsWith('/')) append(found, await hiddenBelow(`${folder}/${name.slice(0, -1)}`, visited));
  }
  return found;
}

/**
 * The folder of this name directly in another one: exactly so, else in other case or spelling; undefined
 * where there is none.
 */
export async function folderNamed(folder: string, name: string): Promise<string | undefined> {
  if ((await exists(`${folder}/${name}`)) === 'folder') return name;
  return (await foldersIn(folder)).find((other) => sameName(other, name));
}

/** Masks of a folder by the stem of the image that they belong to: NAME_mask.png or NAME.png. */
export async function masksIn(folder: string): Promise<Map<string, string>> {
  const masks = new Map<string, string>();
  for (const name of await imagesIn(folder))
    masks.set(stemOf(name).replace(/_mask$/i, ''), `${folder}/${name}`);
  return masks;
}

/** A warning for each stem that several files of a folder share: results and masks are found by the stem. */
export function duplicateStems(folder: string, names: readonly string[]): string[] {
  const first = new Map<string, string>();
  const warnings: string[] = [];
  for (const name of names) {
    const other = first.get(stemOf(name));
    if (other) warnings.push(`${folder}: ${other} and ${name} have one stem; results and masks go by stem`);
    else first.set(stemOf(name), name);
  }
  return warnings;
}
