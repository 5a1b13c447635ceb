/**
 * Real-IAD: realiad_256, realiad_512 or realiad_1024 hold CATEGORY/{OK,NG/KIND}/SAMPLE; lists beside them say
 * what is for training and what for the test: realiad_jsons/realiad_jsons/CATEGORY.json (five views of each
 * part), realiad_jsons_sv (one view) and others. A file's name says its view: part_0001_OK_C1_NUMBER.jpg.
 */

import * as v from 'valibot';
import { exists, readBytes } from '#platform';
import { InvalidDatasetError } from '../../base/errors.ts';
import { append } from '../../base/lists.ts';
import type { CategoryLocation, Dataset, Sample } from '../dataset.ts';
import { foldersIn, stemOf } from '../files.ts';
import { sameName } from '../labels.ts';

const entry = v.object({
  category: v.optional(v.string()),
  anomaly_class: v.string(),
  image_path: v.string(),
  mask_path: v.nullish(v.string()),
});
const listSchema = v.object({
  meta: v.object({ normal_class: v.optional(v.string()), prefix: v.optional(v.string()) }),
  train: v.array(entry),
  test: v.array(entry),
});
type Entry = v.InferOutput<typeof entry>;

const imageFolders = /^realiad_(\d+|raw)$/i;
const listFolder = 'realiad_jsons';
/** The official lists of five views, which are taken where none is named. */
const usualLists = [`${listFolder}/${listFolder}`, listFolder] as const;

/** The lists that name a category, the one that is taken first. */
async function listsOf({ root, category }: CategoryLocation): Promise<string[]> {
  const base = `${root}/..`;
  // A folder above that cannot be listed holds no lists for us.
  const inside = (path: string) => foldersIn(path).catch(() => []);
  const below = await inside(`${base}/${listFolder}`);
  const folders = [
    ...usualLists,
    ...below.map((name) => `${listFolder}/${name}`),
    ...(await inside(base)).filter((name) => name.startsWith(`${listFolder}_`)),
  ];
  const lists: string[] = [];
  for (const folder of new Set(folders)) {
    const path = `${base}/${folder}/${category}.json`;
    if ((await exists(path)) === 'file') lists.push(path);
  }
  return lists;
}

export async function isRealIad(location: CategoryLocation): Promise<boolean> {
  return (await listsOf(location)).length > 0;
}

/** Folders of images of a category below the data set's own folder, one for each resolution. */
export async function realIadCandidates(root: string, category: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of await foldersIn(root))
    if (imageFolders.test(name) && (await exists(`${root}/${name}/${category}`)) === 'folder')
      found.push(`${root}/${name}/${category}`);
  return found;
}

/** The first few of a list, and how many there are. */
function some(paths: readonly string[]): string {
  const shown = paths.slice(0, 3).join(', ');
  return paths.length > 3 ? `${shown} and ${paths.length - 3} more` : shown;
}

async function readList(path: string) {
  let content: unknown;
  try {
    content = JSON.parse(new TextDecoder().decode(await readBytes(path)));
  } catch (error) {
    throw new InvalidDatasetError(`${path}: not valid JSON (${(error as Error).message})`);
  }
  const { success, output, issues } = v.safeParse(listSchema, content);
  if (success) return output;
  const where = v.getDotPath(issues[0]) ?? 'the file';
  throw new InvalidDatasetError(
    `${path}: not a list of Real-IAD, which has meta, train and test: ${where}: ${issues[0].message}`,
  );
}

/** @throws Error where no list names the category, or none of its training images is there */
export async function openRealIad(location: CategoryLocation): Promise<Dataset> {
  const { folder, category } = location;
  const [list, ...others] = await listsOf(location);
  if (list === undefined)
    throw new InvalidDatasetError(
      `${folder}: Real-IAD needs ${listFolder}/${listFolder}/${category}.json beside the folder of images, ` +
        'which says what is for training and what for the test',
    );
  const { meta, train: trainEntries, test: testEntries } = await readList(list);
  const warnings: string[] = [];
  if (others.length) warnings.push(`${list} is taken; there are other lists too: ${some(others)}`);
  const normal = meta.normal_class ?? 'OK';
  const missing: string[] = [];
  const missingMasks: string[] = [];
  const unmasked: string[] = [];
  const read = async ({ anomaly_class, image_path, mask_path }: Entry): Promise<Sample[]> => {
    const path = `${folder}/${image_path}`;
    if ((await exists(path)) !== 'file') {
      missing.push(path);
      return [];
    }
    const stem = stemOf(image_path);
    const condition = /_(C\d+)(_|$)/i.exec(stem)?.[1];
    const good = sameName(anomaly_class, normal);
    const maskPath = mask_path ? `${folder}/${mask_path}` : undefined;
    const there = maskPath !== undefined && (await exists(maskPath)) === 'file';
    if (maskPath !== undefined && !there) missingMasks.push(maskPath);
    if (!good && maskPath === undefined) unmasked.push(path);
    return [
      {
        path,
        stem,
        defect: good ? 'good' : anomaly_class,
        ...(there && (good ? { goodMaskPath: maskPath } : { maskPath })),
        ...(condition !== undefined && { condition }),
        ...(image_path.includes('/') && { part: image_path.slice(0, image_path.lastIndexOf('/')) }),
      },
    ];
  };
  const all = async (entries: readonly Entry[]) => {
    const samples: Sample[] = [];
    for (const item of entries) append(samples, await read(item));
    return samples;
  };
  const learned = await all(trainEntries);
  const train = learned
    .filter(({ defect }) => defect === 'good')
    .map(({ goodMaskPath: _, ...sample }) => sample);
  const test = await all(testEntries);
  if (!train.length)
    throw new InvalidDatasetError(
      `${folder}: none of the ${trainEntries.length} training images of ${list} is there and good`,
    );
  if (learned.length > train.length)
    warnings.push(
      `${list}: ${learned.length - train.length} training images with a defect are left out: only good ` +
        'parts are learned from',
    );
  if (missing.length) warnings.push(`${list}: ${missing.length} listed images are missing: ${some(missing)}`);
  if (missingMasks.length)
    warnings.push(`${list}: ${missingMasks.length} listed masks are missing: ${some(missingMasks)}`);
  if (unmasked.length)
    warnings.push(`${list}: ${unmasked.length} test images with a defect have no mask: ${some(unmasked)}`);
  return { name: category, format: 'realiad', folder, train, test, warnings };
}
