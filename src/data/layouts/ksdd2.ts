/**
 * KolektorSDD2: one product; train and test hold images and masks side by side, 10000.png and 10000_GT.png.
 * An image is good where its mask is empty, so that every mask is read when the data set is opened.
 */

import { decodeMask, readBytes } from '#platform';
import { mapConcurrently } from '../../base/concurrently.ts';
import { InvalidDatasetError } from '../../base/errors.ts';
import type { CategoryLocation, Dataset, Sample } from '../dataset.ts';
import { folderNamed, foldersIn, imagesIn, stemOf } from '../files.ts';
import { defectivePixels, plainEncoding } from '../mask_pixels.ts';

const maskName = /_GT$/i;

export async function isKsdd2({ folder }: CategoryLocation): Promise<boolean> {
  const train = await folderNamed(folder, 'train');
  if (train === undefined || (await foldersIn(`${folder}/${train}`)).length) return false;
  return (await imagesIn(`${folder}/${train}`)).some((name) => maskName.test(stemOf(name)));
}

async function readSplit(path: string, warnings: string[]): Promise<Sample[]> {
  const masks = new Map<string, string>();
  const images: string[] = [];
  for (const name of await imagesIn(path)) {
    const stem = stemOf(name);
    if (maskName.test(stem)) masks.set(stem.replace(maskName, ''), `${path}/${name}`);
    else images.push(name);
  }
  const samples = await mapConcurrently(images, async (name): Promise<Sample | undefined> => {
    const stem = stemOf(name);
    const mask = masks.get(stem);
    if (mask === undefined) {
      warnings.push(
        `${path}/${name}: left out, for ${stem}_GT.png is missing, which says whether it is good`,
      );
      return undefined;
    }
    try {
      const marks = defectivePixels(await decodeMask(await readBytes(mask), mask), plainEncoding);
      const sample = { path: `${path}/${name}`, stem };
      return marks.some((mark) => mark)
        ? { ...sample, defect: 'defect', maskPath: mask }
        : { ...sample, defect: 'good', goodMaskPath: mask };
    } catch (error) {
      warnings.push(`${(error as Error).message}; ${path}/${name} is left out`);
      return undefined;
    }
  });
  for (const name of images) masks.delete(stemOf(name));
  for (const [stem, mask] of masks) warnings.push(`${mask}: a mask without its image ${path}/${stem}.png`);
  return samples.filter((sample) => sample !== undefined);
}

/** @throws Error where train holds no good image */
export async function openKsdd2({ folder, category }: CategoryLocation): Promise<Dataset> {
  const warnings: string[] = [];
  const split = async (name: string) =>
    readSplit(`${folder}/${(await folderNamed(folder, name)) ?? name}`, warnings);
  const all = await split('train');
  const train = all
    .filter(({ defect }) => defect === 'good')
    .map(({ path, stem, defect }) => ({ path, stem, defect }));
  if (!train.length)
    throw new InvalidDatasetError(
      `${folder}/train holds no good image: KolektorSDD2 keeps images and masks there, 10000.png and ` +
        '10000_GT.png, and a good image has an empty mask',
    );
  if (all.length > train.length)
    warnings.push(
      `${folder}/train: ${all.length - train.length} images with a defect are left out: only good parts ` +
        'are learned from',
    );
  const test = await split('test');
  return { name: category, format: 'ksdd2', folder, train, test, warnings: warnings.sort() };
}
