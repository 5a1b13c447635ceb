/**
 * MVTec AD: train/good, test/{good|DEFECT}, ground_truth/DEFECT/STEM_mask.png (or STEM.png). VisA's
 * MVTec-like form and MPDD have it too; other data sets have it under other names.
 */

import { listFolder } from '#platform';
import { InvalidDatasetError } from '../../base/errors.ts';
import { append } from '../../base/lists.ts';
import type { CategoryLocation, Dataset, Format, Sample } from '../dataset.ts';
import { duplicateStems, folderNamed, foldersIn, imagesIn, masksIn, stemOf } from '../files.ts';
import { goodFolders, sameName } from '../labels.ts';

/** How a data set of this form names its folders. */
export interface FolderNames {
  readonly format: Format;
  /** As messages call the data set. */
  readonly title: string;
  readonly good: 'good' | 'ok';
  readonly test: string;
  /** The folder of masks, in the category's folder. */
  readonly truth: string;
  /** Masks of a folder by the stem of their image, where they are not {@link masksIn}'s. */
  masks?(folder: string): Promise<Map<string, readonly [string, ...string[]]>>;
  /** Where an image's mask is looked for, for messages; default STEM_mask.png. */
  readonly maskName?: string;
}

const mvtec: FolderNames = {
  format: 'mvtec',
  title: 'MVTec AD',
  good: 'good',
  test: 'test',
  truth: 'ground_truth',
};

/** Whether any of its folders is there. The reader then names the folders that are missing. */
export async function isMvtec({ folder }: CategoryLocation): Promise<boolean> {
  if ((await folderNamed(folder, 'train')) || (await folderNamed(folder, 'test'))) return true;
  // Beside folders of good and bad parts, ground_truth is the folder layout's folder of masks.
  return (
    (await folderNamed(folder, 'ground_truth')) !== undefined && !goodFolders(await foldersIn(folder)).length
  );
}

/** @throws Error where train/good holds no images */
export function openMvtec(location: CategoryLocation): Promise<Dataset> {
  return openFolders(location, mvtec);
}

/** Good images of a folder. */
export async function goodImages(path: string, warnings: string[]): Promise<Sample[]> {
  const there = await imagesIn(path);
  append(warnings, duplicateStems(path, there));
  return there.map((file) => ({ path: `${path}/${file}`, stem: stemOf(file), defect: 'good' }));
}

/** Good images that a data set sets apart for the threshold, in validation/good; none without the folder. */
export async function validationImages(folder: string, warnings: string[]): Promise<Sample[]> {
  return goodImages(`${folder}/${(await folderNamed(folder, 'validation')) ?? 'validation'}/good`, warnings);
}

async function usualMasks(folder: string): Promise<Map<string, readonly [string, ...string[]]>> {
  return new Map([...(await masksIn(folder))].map(([stem, path]) => [stem, [path]]));
}

/** @throws Error where the folder of good images for training holds none */
export async function openFolders(
  { folder, category }: CategoryLocation,
  names: FolderNames,
): Promise<Dataset> {
  const warnings: string[] = [];
  const find = async (parent: string, wanted: string) => {
    const name = (await folderNamed(parent, wanted)) ?? wanted;
    if (name !== wanted) warnings.push(`${parent}/${name} is taken as ${wanted}`);
    return `${parent}/${name}`;
  };
  const [trainFolder, testFolder] = [await find(folder, 'train'), await find(folder, names.test)];
  const truthFolder = await find(folder, names.truth);
  const train: Sample[] = [];
  const trainNames = await foldersIn(trainFolder);
  const good = goodFolders(trainNames);
  for (const name of good) {
    if (name !== names.good) warnings.push(`${trainFolder}/${name} is taken as ${names.good}`);
    append(train, await goodImages(`${trainFolder}/${name}`, warnings));
  }
  if (!train.length) {
    const there = (await listFolder(folder)).join(', ') || 'nothing';
    throw new InvalidDatasetError(
      `${trainFolder}/${good[0] ?? names.good} holds no images: a category folder in ${names.title}'s ` +
        `layout is needed, with good parts in train/${names.good} (png, jpg, bmp, webp or tif); ` +
        `${folder} holds ${there}`,
    );
  }
  for (const name of trainNames)
    if (!good.includes(name) && (await imagesIn(`${trainFolder}/${name}`)).length)
      warnings.push(`${trainFolder}/${name} is left out: only good parts are learned from`);

  const test: Sample[] = [];
  const inTest = names.truth.split('/').at(-1) as string;
  const testNames = (await foldersIn(testFolder)).filter(
    (name) => !names.truth.includes('/') || !sameName(name, inTest),
  );
  const goodNames = goodFolders(testNames);
  for (const name of testNames) {
    const isGood = goodNames.includes(name);
    if (isGood && name !== names.good) warnings.push(`${testFolder}/${name} is taken as ${names.good}`);
    const truth = `${truthFolder}/${(await folderNamed(truthFolder, name)) ?? name}`;
    const masks = await (names.masks ?? usualMasks)(truth);
    const there = await imagesIn(`${testFolder}/${name}`);
    if (!there.length) warnings.push(`${testFolder}/${name} holds no images`);
    append(warnings, duplicateStems(`${testFolder}/${name}`, there));
    for (const file of there) {
      const stem = stemOf(file);
      const path = `${testFolder}/${name}/${file}`;
      const [mask, ...more] = masks.get(stem) ?? [];
      masks.delete(stem);
      if (!isGood && !mask)
        warnings.push(`${path}: no ground truth ${truth}/${stem}${names.maskName ?? '_mask.png'}`);
      test.push({
        path,
        stem,
        defect: isGood ? 'good' : name,
        ...(mask && (isGood ? { goodMaskPath: mask } : { maskPath: mask })),
        ...(more.length && { moreMasks: more }),
      });
    }
    for (const [stem, [path]] of masks)
      warnings.push(`${path}: a mask without its image ${testFolder}/${name}/${stem}.png`);
  }
  return { name: category, format: names.format, folder, train, test, warnings };
}
