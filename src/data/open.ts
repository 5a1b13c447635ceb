/** Opens a category of a data set on disk, whatever its layout. */

import { exists, realPath } from '#platform';
import { InvalidDatasetError } from '../base/errors.ts';
import type { CategoryLocation, Dataset, Format } from './dataset.ts';
import { foldersIn, imagesIn } from './files.ts';
import { goodFolders } from './labels.ts';
import { isBtad, openBtad } from './layouts/btad.ts';
import { type FolderKeys, openFolder } from './layouts/folder.ts';
import { isKsdd2, openKsdd2 } from './layouts/ksdd2.ts';
import { isMvtec, openMvtec } from './layouts/mvtec.ts';
import { isMvtec3d, openMvtec3d } from './layouts/mvtec3d.ts';
import { isMvtecAd2, isPrivateSplit, openMvtecAd2 } from './layouts/mvtecad2.ts';
import { isMvtecLoco, openMvtecLoco } from './layouts/mvtecloco.ts';
import { isRealIad, openRealIad, realIadCandidates } from './layouts/realiad.ts';
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

interface Layout {
  /** Whether a folder looks like it. */
  readonly matches: (location: CategoryLocation) => Promise<boolean>;
  readonly open: (location: CategoryLocation) => Promise<Dataset>;
}

/** Layouts that no other one looks like: where a folder shows two, nobody can say which is meant. */
const special = {
  mvtec3d: { matches: isMvtec3d, open: openMvtec3d },
  mvtecad2: { matches: isMvtecAd2, open: openMvtecAd2 },
  mvtecloco: { matches: isMvtecLoco, open: openMvtecLoco },
  btad: { matches: isBtad, open: openBtad },
  ksdd2: { matches: isKsdd2, open: openKsdd2 },
  realiad: { matches: isRealIad, open: openRealIad },
} as const satisfies Partial<Record<Format, Layout>>;

/** Layouts by their names; those of {@link special} first, then in the order in which they are looked for. */
const layouts: Readonly<Record<Exclude<Format, 'folder'>, Layout>> = {
  ...special,
  mvtec: { matches: isMvtec, open: openMvtec },
  visa: { matches: isVisa, open: openVisa },
};

type SpecialFormat = keyof typeof special;

/**
 * The layout that a folder shows.
 *
 * @throws Error naming the layouts where it shows several
 */
export async function detectFormat(location: CategoryLocation): Promise<Format> {
  const found: SpecialFormat[] = [];
  for (const format of Object.keys(special) as SpecialFormat[])
    if (await special[format].matches(location)) found.push(format);
  if (found.length > 1)
    throw new InvalidDatasetError(
      `${location.folder} looks like the layouts ${found.join(' and ')}: --format names the right one`,
    );
  if (found[0]) return found[0];
  for (const format of ['mvtec', 'visa'] as const) if (await layouts[format].matches(location)) return format;
  return 'folder';
}

/** Folders directly in a folder that are categories in a known layout. */
export async function categoriesIn(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const category of await foldersIn(root))
    if ((await detectFormat({ root, category, folder: `${root}/${category}` })) !== 'folder')
      found.push(category);
  return found;
}

/** Refuses a folder of categories, and a split without labels, that was given as a category. */
async function refuseOthers(location: CategoryLocation): Promise<void> {
  const { folder } = location;
  if (await isPrivateSplit(location))
    throw new InvalidDatasetError(
      `${folder} has no labels: its category is the folder above it, and aand predict writes scores for ` +
        'these images',
    );
  if ((await imagesIn(folder)).length || goodFolders(await foldersIn(folder)).length) return;
  const categories = await categoriesIn(folder);
  if (categories.length)
    throw new InvalidDatasetError(
      `${folder} is no category but holds ${categories.length > 1 ? 'the categories' : 'the category'} ` +
        `${categories.join(', ')}: --category names one`,
    );
}

/** Real-IAD has a folder of each resolution between the data set's folder and the category's. */
async function throughResolutions(location: CategoryLocation): Promise<CategoryLocation> {
  const { root, category, folder } = location;
  if ((await exists(folder)) === 'folder') return location;
  const candidates = await realIadCandidates(root, category);
  if (candidates.length > 1)
    throw new InvalidDatasetError(
      `${root} holds '${category}' in several resolutions: give one of ${candidates.join(', ')}`,
    );
  return candidates[0] === undefined ? location : locate(candidates[0]);
}

/**
 * Opens a category.
 *
 * @param path the category's folder, or the data set's with `options.category`
 * @throws Error naming the folder or file that is missing or empty and what was expected there; where a
 *   folder may be read in several ways, naming these
 */
export async function openDataset(path: string, options: DatasetOptions = {}): Promise<Dataset> {
  const location = await throughResolutions(await locate(path, options.category));
  if ((await exists(location.root)) !== 'folder')
    throw new InvalidDatasetError(`${location.root}: no such folder`);
  const keys = options.folder && Object.keys(options.folder).length ? options.folder : undefined;
  const wanted = options.format ?? 'auto';
  const format = wanted !== 'auto' ? wanted : keys ? 'folder' : await detectFormat(location);
  // VisA's lists may name a category whose folder is missing; their reader reports it.
  if (format !== 'visa' && (await exists(location.folder)) !== 'folder')
    throw new InvalidDatasetError(`${location.folder}: no such folder`);
  if (format !== 'folder') return layouts[format].open(location);
  if (wanted === 'auto' && !keys) await refuseOthers(location);
  return openFolder(location, keys ?? {});
}
