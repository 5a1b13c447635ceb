/**
 * MVTec AD: train/good, test/{good|DEFECT}, ground_truth/DEFECT/STEM_mask.png (or STEM.png). VisA's
 * MVTec-like form has it too.
 */

import { listFolder } from '#platform';
import { InvalidDatasetError } from '../../base/errors.ts';
import { append } from '../../base/lists.ts';
import type { CategoryLocation, Dataset, Sample } from '../dataset.ts';
import { duplicateStems, folderNamed, foldersIn, imagesIn, masksIn, stemOf } from '../files.ts';
import { goodFolders } from '../labels.ts';

/** Whether any of its folders is there. The reader then names the folders that are missing. */
export async function isMvtec({ folder }: CategoryLocation): Promise<boolean> {
  if ((await folderNamed(folder, 'train')) || (await folderNamed(folder, 'test'))) return true;
  // Beside folders of good and bad parts, ground_truth is the folder layout's folder of masks.
  return (
    (await folderNamed(folder, 'ground_truth')) !== undefined && !goodFolders(await foldersIn(folder)).length
  );
}

/** @throws Error where train/good holds no images */
export async function openMvtec({ folder, category }: CategoryLocation): Promise<Dataset> {
  const warnings: string[] = [];
  const find = async (parent: string, wanted: string) => {
    const name = (await folderNamed(parent, wanted)) ?? wanted;
    if (name !== wanted) warnings.push(`${parent}/${name} is taken as ${wanted}`);
    return `${parent}/${name}`;
  };
  const [trainFolder, testFolder] = [await find(folder, 'train'), await find(folder, 'test')];
  const truthFolder = await find(folder, 'ground_truth');
  const train: Sample[] = [];
  const trainNames = await foldersIn(trainFolder);
  const good = goodFolders(trainNames);
  for (const name of good) {
    if (name !== 'good') warnings.push(`${trainFolder}/${name} is taken as good`);
    const there = await imagesIn(`${trainFolder}/${name}`);
    append(warnings, duplicateStems(`${trainFolder}/${name}`, there));
    for (const file of there)
      train.push({ path: `${trainFolder}/${name}/${file}`, stem: stemOf(file), defect: 'good' });
  }
  if (!train.length) {
    const there = (await listFolder(folder)).join(', ') || 'nothing';
    throw new InvalidDatasetError(
      `${trainFolder}/${good[0] ?? 'good'} holds no images: a category folder in MVTec AD's layout is ` +
        `needed, with good parts in train/good (png, jpg, bmp, webp or tif); ${folder} holds ${there}`,
    );
  }
  for (const name of trainNames)
    if (!good.includes(name) && (await imagesIn(`${trainFolder}/${name}`)).length)
      warnings.push(`${trainFolder}/${name} is left out: only good parts are learned from`);

  const test: Sample[] = [];
  const testNames = await foldersIn(testFolder);
  const goodNames = goodFolders(testNames);
  for (const name of testNames) {
    const isGood = goodNames.includes(name);
    if (isGood && name !== 'good') warnings.push(`${testFolder}/${name} is taken as good`);
    const truth = `${truthFolder}/${(await folderNamed(truthFolder, name)) ?? name}`;
    const masks = await masksIn(truth);
    const there = await imagesIn(`${testFolder}/${name}`);
    if (!there.length) warnings.push(`${testFolder}/${name} holds no images`);
    append(warnings, duplicateStems(`${testFolder}/${name}`, there));
    for (const file of there) {
      const stem = stemOf(file);
      const path = `${testFolder}/${name}/${file}`;
      const mask = masks.get(stem);
      masks.delete(stem);
      if (!isGood && !mask) warnings.push(`${path}: no ground truth ${truth}/${stem}_mask.png`);
      test.push({
        path,
        stem,
        defect: isGood ? 'good' : name,
        ...(mask && (isGood ? { goodMaskPath: mask } : { maskPath: mask })),
      });
    }
    for (const [stem, path] of masks)
      warnings.push(`${path}: a mask without its image ${testFolder}/${name}/${stem}.png`);
  }
  return { name: category, format: 'mvtec', folder, train, test, warnings };
}
