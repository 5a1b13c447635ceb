/**
 * MVTec 3D-AD, its photographs alone: {train,validation,test}/{good|DEFECT}/{rgb,gt}. The depth maps (xyz)
 * are not needed.
 */

import { InvalidDatasetError } from '../../base/errors.ts';
import { append } from '../../base/lists.ts';
import type { CategoryLocation, Dataset, Sample } from '../dataset.ts';
import { duplicateStems, folderNamed, foldersIn, imagesIn, masksIn, stemOf } from '../files.ts';
import { goodFolders } from '../labels.ts';

/** The folders of a split, as they are spelled on disk. */
async function split(
  folder: string,
  wanted: string,
): Promise<{ path: string; names: string[]; good: string[] }> {
  const path = `${folder}/${(await folderNamed(folder, wanted)) ?? wanted}`;
  const names = await foldersIn(path);
  return { path, names, good: goodFolders(names) };
}

async function inside(folder: string, wanted: string): Promise<string> {
  return `${folder}/${(await folderNamed(folder, wanted)) ?? wanted}`;
}

export async function isMvtec3d({ folder }: CategoryLocation): Promise<boolean> {
  const { path, good } = await split(folder, 'train');
  for (const name of good) if (await folderNamed(`${path}/${name}`, 'rgb')) return true;
  return false;
}

/** @throws Error where train/good/rgb holds no images */
export async function openMvtec3d({ folder, category }: CategoryLocation): Promise<Dataset> {
  const warnings: string[] = [];
  const train: Sample[] = [];
  const learned = await split(folder, 'train');
  for (const name of learned.good) {
    if (name !== 'good') warnings.push(`${learned.path}/${name} is taken as good`);
    const photographs = await inside(`${learned.path}/${name}`, 'rgb');
    const there = await imagesIn(photographs);
    append(warnings, duplicateStems(photographs, there));
    for (const file of there)
      train.push({ path: `${photographs}/${file}`, stem: stemOf(file), defect: 'good' });
  }
  if (!train.length)
    throw new InvalidDatasetError(
      `${learned.path}/${learned.good[0] ?? 'good'}/rgb holds no images: MVTec 3D-AD keeps the ` +
        'photographs of good parts there',
    );
  const test: Sample[] = [];
  const tested = await split(folder, 'test');
  for (const name of tested.names) {
    const isGood = tested.good.includes(name);
    if (isGood && name !== 'good') warnings.push(`${tested.path}/${name} is taken as good`);
    const photographs = await inside(`${tested.path}/${name}`, 'rgb');
    const there = await imagesIn(photographs);
    if (!there.length) warnings.push(`${photographs} holds no images`);
    const truth = await inside(`${tested.path}/${name}`, 'gt');
    const masks = await masksIn(truth);
    for (const file of there) {
      const stem = stemOf(file);
      const path = `${photographs}/${file}`;
      const mask = masks.get(stem);
      if (!isGood && !mask) warnings.push(`${path}: no ground truth ${truth}/${stem}.png`);
      test.push({
        path,
        stem,
        defect: isGood ? 'good' : name,
        ...(mask && (isGood ? { goodMaskPath: mask } : { maskPath: mask })),
      });
    }
  }
  return { name: category, format: 'mvtec3d', folder, train, test, warnings };
}
