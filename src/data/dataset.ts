/**
 * What a data set is to the rest of the program: lists of images with their labels and masks, whatever the
 * layout on disk.
 */
import { decodeMask, exists, readBytes, realPath } from '#platform';
import { type FolderKeys, openFolder } from './layouts/folder.ts';
import { isMvtec, openMvtec } from './layouts/mvtec.ts';
import { isMvtec3d, openMvtec3d } from './layouts/mvtec3d.ts';
import { isVisa, openVisa } from './layouts/visa.ts';
import { classEncoding, defectivePixels, type MaskEncoding, plainEncoding } from './mask_pixels.ts';
import type { MaskSummary } from './masks.ts';
import { resizeNearest } from './resize.ts';

export { mapConcurrently } from './concurrently.ts';

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
  /** How the mask is read (see `prepareMasks`); without it what is above 127 is a defect. */
  readonly maskEncoding?: MaskEncoding;
  /** A mask of a good image: it should mark nothing. */
  readonly goodMaskPath?: string;
}

export const formats = ['mvtec', 'visa', 'mvtec3d', 'folder'] as const;
export type Format = (typeof formats)[number];

export interface Dataset {
  readonly name: string;
  readonly format: Format;
  readonly train: readonly Sample[];
  readonly test: readonly Sample[];
  /** The category's own folder. */
  readonly folder: string;
  /** How the masks are read, once they were looked at (see `prepareMasks`); null without masks. */
  readonly masks?: MaskSummary | null;
  /** What was found wanting, by file, and what was guessed. */
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
  /**
   * The last part of the path as it was spelled, where that is another name (a link): VisA's lists may use
   * it.
   */
  readonly alias?: string;
  /** The category's own folder. */
  readonly folder: string;
}

/**
 * Where a category lies. Its name is the last part of its real path, however the path was spelled (`.`,
 * `x/../x`, a link), so that what goes by the name goes by the folder; a `category` in plain letters is the
 * name itself.
 */
export async function locate(path: string, category?: string): Promise<CategoryLocation> {
  const folder = path.replace(/(\/|\/\.)+$/, '') || (path.startsWith('/') ? '/' : '.');
  const plain = category?.replace(/(\/|\/\.)+$/, '').replace(/^(\.\/+)+/, '');
  if (plain && !/^\.*$|\//.test(plain))
    return { root: folder, category: plain, folder: `${folder}/${plain}` };
  if (category) return locate(`${folder}/${category}`);
  // What is not there is said by whoever opens it.
  const name = (await realPath(folder).catch(() => folder)).replace(/^.*\//, '');
  const cut = folder.lastIndexOf('/');
  const alias = folder.slice(cut + 1);
  // The parent of '.', '..' and 'x/..' is not what stands before them.
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
  sample: Pick<Sample, 'maskPath' | 'maskOfClasses' | 'maskEncoding'>,
  width: number,
  height = width,
): Promise<Uint8Array> {
  const { maskPath, maskOfClasses } = sample;
  if (!maskPath) return new Uint8Array(width * height);
  const encoding = sample.maskEncoding ?? (maskOfClasses ? classEncoding : plainEncoding);
  const pixels = await decodeMask(await readBytes(maskPath), maskPath);
  const data = defectivePixels(pixels, encoding);
  return resizeNearest({ width: pixels.width, height: pixels.height, channels: 1, data }, width, height).data;
}
