/** What a data set is to the rest of the program: lists of images with their labels and masks, whatever the layout on disk. */
import { decodeImage, exists, readBytes } from '#platform';
import { type FolderKeys, openFolder } from './layouts/folder.ts';
import { isMvtec, openMvtec } from './layouts/mvtec.ts';
import { isMvtec3d, openMvtec3d } from './layouts/mvtec3d.ts';
import { isVisa, openVisa } from './layouts/visa.ts';
import { resizeNearest } from './resize.ts';

export interface Sample {
  readonly path: string;
  /** File name without its extension. */
  readonly stem: string;
  /** `good` or the kind of defect. */
  readonly defect: string;
  /** Ground truth, for defects that have one. */
  readonly maskPath?: string;
  /** The mask holds class numbers: everything above 0 is a defect. */
  readonly maskOfClasses?: boolean;
}

export const formats = ['mvtec', 'visa', 'mvtec3d', 'folder'] as const;
export type Format = (typeof formats)[number];

export interface Dataset {
  readonly name: string;
  readonly format: Format;
  readonly train: readonly Sample[];
  readonly test: readonly Sample[];
  /** What was found wanting, by file. */
  readonly warnings: readonly string[];
}

export interface DatasetOptions {
  /** How the images lie on disk; `auto` looks. */
  readonly format?: Format | 'auto';
  /** A category below the folder; without it the folder is the category. */
  readonly category?: string;
  /** Keys of the folder format. */
  readonly folder?: FolderKeys;
}

/** Where a category lies: its data set's folder and its name. */
export interface CategoryLocation {
  readonly root: string;
  readonly category: string;
  /** The category's own folder. */
  readonly folder: string;
}

export function locate(path: string, category?: string): CategoryLocation {
  const folder = path.replace(/\/+$/, '') || '/';
  if (category) return { root: folder, category, folder: `${folder}/${category}` };
  const cut = folder.lastIndexOf('/');
  return { root: cut < 0 ? '.' : folder.slice(0, cut) || '/', category: folder.slice(cut + 1), folder };
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
  const location = locate(path, options.category);
  if ((await exists(location.root)) !== 'folder') throw new Error(`${location.root}: no such folder`);
  const keys = options.folder && Object.keys(options.folder).length ? options.folder : undefined;
  const wanted = options.format ?? 'auto';
  const format = wanted !== 'auto' ? wanted : keys ? 'folder' : await detectFormat(location);
  // VisA's lists may name a category whose folder is missing: they say so themselves.
  if (format !== 'visa' && (await exists(location.folder)) !== 'folder')
    throw new Error(`${location.folder}: no such folder`);
  if (format === 'mvtec') return openMvtec(location);
  if (format === 'mvtec3d') return openMvtec3d(location);
  if (format === 'visa') return openVisa(location);
  return openFolder(location, keys ?? {});
}

/** `count` items spread evenly over a list, in order. */
export function spread<T>(list: readonly T[], count: number): T[] {
  if (count >= list.length) return [...list];
  return Array.from({ length: count }, (_, i) => list[Math.floor((i * list.length) / count)] as T);
}

/** Ground truth at the map's size: 0/1 [height, width]; all zero without a file. */
export async function loadMask(
  sample: Pick<Sample, 'maskPath' | 'maskOfClasses'>,
  width: number,
  height = width,
): Promise<Uint8Array> {
  const { maskPath, maskOfClasses } = sample;
  if (!maskPath) return new Uint8Array(width * height);
  const mask = resizeNearest(await decodeImage(await readBytes(maskPath), maskPath, 1), width, height);
  const limit = maskOfClasses ? 0 : 0.5;
  return mask.data.map((value) => (value / 255 > limit ? 1 : 0));
}

/** Loads in order, a few at a time, so that decoding keeps all cores busy without holding every file in memory. */
export async function mapConcurrently<T, R>(
  list: readonly T[],
  work: (item: T, index: number) => Promise<R>,
  onProgress?: (done: number, total: number) => void,
  width = 4,
): Promise<R[]> {
  const results = new Array<R>(list.length);
  let next = 0;
  let done = 0;
  const worker = async () => {
    while (next < list.length) {
      const index = next++;
      results[index] = await work(list[index] as T, index);
      onProgress?.(++done, list.length);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, list.length) }, worker));
  return results;
}
