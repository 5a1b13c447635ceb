/** Data sets in MVTec AD's layout: train/good, test/{good|DEFECT}, ground_truth/DEFECT/STEM_mask.png. */
import { decodeImage, exists, listFolder, readBytes } from '#platform';
import type { Image } from './image.ts';
import { resizeBicubic, resizeNearest } from './resize.ts';

export interface Sample {
  readonly path: string;
  /** File name without its extension. */
  readonly stem: string;
  /** `good` or the defect's folder. */
  readonly defect: string;
  /** Ground truth, for defects that have one. */
  readonly maskPath?: string;
}

export interface Dataset {
  readonly name: string;
  readonly train: readonly Sample[];
  readonly test: readonly Sample[];
  /** What was found wanting, by file. */
  readonly warnings: readonly string[];
}

const extensions = /\.(png|jpe?g|bmp|webp|tiff?)$/i;

export function stemOf(name: string): string {
  return name.replace(/\.[^.]*$/, '');
}

async function images(folder: string): Promise<string[]> {
  return (await listFolder(folder)).filter((name) => extensions.test(name));
}

/**
 * Reads the layout of a category folder.
 *
 * @throws Error naming the folder that is missing or empty and what was expected there
 */
export async function openDataset(folder: string): Promise<Dataset> {
  const root = folder.replace(/\/+$/, '');
  if ((await exists(root)) !== 'folder') throw new Error(`${root}: no such folder`);
  const good = `${root}/train/good`;
  const names = await images(good);
  if (!names.length) {
    const there = (await listFolder(root)).join(', ') || 'nothing';
    throw new Error(
      `${good} holds no images: a category folder in MVTec AD's layout is needed, with good parts in train/good ` +
        `(png, jpg, bmp, webp or tif); ${root} holds ${there}`,
    );
  }
  const train = names.map((name) => ({ path: `${good}/${name}`, stem: stemOf(name), defect: 'good' }));
  const test: Sample[] = [];
  const warnings: string[] = [];
  for (const entry of await listFolder(`${root}/test`)) {
    if (!entry.endsWith('/')) continue;
    const defect = entry.slice(0, -1);
    const truth = `${root}/ground_truth/${defect}`;
    const masks = new Map((await images(truth)).map((name) => [stemOf(name), `${truth}/${name}`]));
    for (const name of await images(`${root}/test/${defect}`)) {
      const stem = stemOf(name);
      const path = `${root}/test/${defect}/${name}`;
      const maskPath = masks.get(`${stem}_mask`) ?? masks.get(stem);
      if (defect !== 'good' && !maskPath) warnings.push(`${path}: no ground truth ${truth}/${stem}_mask.png`);
      test.push({ path, stem, defect, ...(defect !== 'good' && maskPath && { maskPath }) });
    }
  }
  return { name: root.split('/').at(-1) ?? root, train, test, warnings };
}

/** `count` items spread evenly over a list, in order. */
export function spread<T>(list: readonly T[], count: number): T[] {
  if (count >= list.length) return [...list];
  return Array.from({ length: count }, (_, i) => list[Math.floor((i * list.length) / count)] as T);
}

/** Decodes and resizes as the network sees it (method, 3.2). */
export async function loadImage(path: string, size: number): Promise<Image> {
  return resizeBicubic(await decodeImage(await readBytes(path), path), size, size);
}

/** Ground truth at the map's size: 0/1 [size, size]; all zero without a file. */
export async function loadMask(path: string | undefined, size: number): Promise<Uint8Array> {
  if (!path) return new Uint8Array(size * size);
  const mask = resizeNearest(await decodeImage(await readBytes(path), path, 1), size, size);
  return mask.data.map((value) => (value / 255 > 0.5 ? 1 : 0));
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
