/** Opens a category of a data set on disk, whatever its layout. */

import { exists, realPath } from '#platform';
import { InvalidDatasetError } from '../base/errors.ts';
import type { CategoryLocation, Dataset, Format } from './dataset.ts';
import { type FolderKeys, openFolder } from './layouts/folder.ts';
import { isMvtec, openMvtec } from './layouts/mvtec.ts';
import { isMvtec3d, openMvtec3d } from './layouts/mvtec3d.ts';
import { isVisa, openVisa } from './layouts/visa.ts';

/** How a data set is opened. */
export interface DatasetOptions {
  /** How the images lie on disk; `auto` looks. */
  readonly format?: Format | 'auto';
  /** A category below the folder; without it the folder is the category. */
  readonly category?: string;
  /** Keys of the folder format. */
  readonly folder?: FolderKeys;
}

/**
 * Where a category lies. Its name is the last part of its real path, however the path was spelled (`.`,
 * `x/../x`, a link): one folder has one name. A `category` in plain letters is the name itself.
 */
export async function locate(path: string, category?: string): Promise<CategoryLocation> {
  const folder = path.replace(/(\/|\/\.)+$/, '') || (path.startsWith('/') ? '/' : '.');
  const plain = category?.replace(/(\/|\/\.)+$/, '').replace(/^(\.\/+)+/, '');
  if (plain && !/^\.*$|\//.test(plain))
    return { root: folder, category: plain, folder: `${folder}/${plain}` };
  if (category) return locate(`${folder}/${category}`);
  // A path that does not exist is reported where it is opened.
  const name = (await realPath(folder).catch(() => folder)).replace(/^.*\//, '');
  const cut = folder.lastIndexOf('/');
  const alias = folder.slice(cut + 1);
  // The parent of '.', '..' and 'x/..' is not the text before them.
  if (/^\.*$/.test(alias)) return { root: `${folder}/..`, category: name, folder };
  const root = cut < 0 ? '.' : folder.slice(0, cut) || '/';
  return { root, category: name, folder, ...(alias !== name && { alias }) };
}

/** The layout that a folder shows. */
export async function detectFormat(location: CategoryLocation): Promise<Format> {
  if (await isMvtec3d(location)) return 'mvtec3d';
  if (await isMvtec(location)) return 'mvtec';
  if (await isVisa(location)) return 'visa';
  return 'folder';
}

/**
 * Opens a category.
 *
 * @param path the category's folder, or the data set's with `options.category`
 * @throws Error naming the folder or file that is missing or empty and what was expected there
 */
export async function openDataset(path: string, options: DatasetOptions = {}): Promise<Dataset> {
  const location = await locate(path, options.category);
  if ((await exists(location.root)) !== 'folder')
    throw new InvalidDatasetError(`${location.root}: no such folder`);
  const keys = options.folder && Object.keys(options.folder).length ? options.folder : undefined;
  const wanted = options.format ?? 'auto';
  const format = wanted !== 'auto' ? wanted : keys ? 'folder' : await detectFormat(location);
  // VisA's lists may name a category whose folder is missing; their reader reports it.
  if (format !== 'visa' && (await exists(location.folder)) !== 'folder')
    throw new InvalidDatasetError(`${location.folder}: no such folder`);
  if (format === 'mvtec') return openMvtec(location);
  if (format === 'mvtec3d') return openMvtec3d(location);
  if (format === 'visa') return openVisa(location);
  return openFolder(location, keys ?? {});
}
