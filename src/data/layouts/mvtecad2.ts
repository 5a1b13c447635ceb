/**
 * MVTec AD 2: train/good, validation/good, test_public/{good,bad} with test_public/ground_truth/bad, and
 * test_private and test_private_mixed without labels. A file's name says its lighting: 000_regular.png.
 */

import type { CategoryLocation, Dataset, Sample } from '../dataset.ts';
import { folderNamed, imagesIn } from '../files.ts';
import { type FolderNames, openFolders, validationImages } from './mvtec.ts';

const names: FolderNames = {
  format: 'mvtecad2',
  title: 'MVTec AD 2',
  good: 'good',
  test: 'test_public',
  truth: 'test_public/ground_truth',
};
/** Their labels are kept by the data set's authors. */
const privateSplits = ['test_private', 'test_private_mixed'] as const;

export async function isMvtecAd2({ folder }: CategoryLocation): Promise<boolean> {
  for (const name of [names.test, ...privateSplits]) if (await folderNamed(folder, name)) return true;
  return false;
}

/** Whether a folder is one of the splits without labels, beside the others of its category. */
export async function isPrivateSplit({ folder, category }: CategoryLocation): Promise<boolean> {
  return (
    privateSplits.some((name) => name === category) &&
    (await folderNamed(`${folder}/..`, 'train')) !== undefined
  );
}

const lightings = /^(regular|overexposed|underexposed|shift_\d+|mixed)$/;

/** The lighting that a file's name says; undefined where it says none. */
function lightingOf(stem: string): string | undefined {
  return /^\d+_(.+)$/.exec(stem)?.[1];
}

/** @throws Error where train/good holds no images */
export async function openMvtecAd2(location: CategoryLocation): Promise<Dataset> {
  const { folder } = location;
  const found = await openFolders(location, names);
  const warnings = [...found.warnings];
  const validation = await validationImages(folder, warnings);
  const unlabelled = [];
  for (const name of privateSplits) {
    const split = `${folder}/${(await folderNamed(folder, name)) ?? name}`;
    const { length: count } = await imagesIn(split);
    if (!count) continue;
    unlabelled.push({ folder: split, count });
    warnings.push(
      `${split}: ${count} images without labels are left out of the test; aand predict writes their scores`,
    );
  }
  const unknown = new Map<string, { count: number; first: string }>();
  const lit = (sample: Sample): Sample => {
    const condition = lightingOf(sample.stem);
    if (condition !== undefined && lightings.test(condition)) return { ...sample, condition };
    const { count, first } = unknown.get(condition ?? '') ?? { count: 0, first: sample.path };
    unknown.set(condition ?? '', { count: count + 1, first });
    return condition === undefined ? sample : { ...sample, condition };
  };
  const [train, test, kept] = [found.train.map(lit), found.test.map(lit), validation.map(lit)];
  for (const [condition, { count, first }] of unknown)
    warnings.push(
      condition
        ? `${folder}: the lighting '${condition}' (${count} images, such as ${first}) is none that MVTec ` +
            'AD 2 names: regular, overexposed, underexposed, shift_N, mixed'
        : `${folder}: the names of ${count} images do not say their lighting, such as ${first}; ` +
            '000_regular.png does',
    );
  return {
    ...found,
    train,
    test,
    warnings,
    ...(kept.length && { validation: kept }),
    ...(unlabelled.length && { unlabelled }),
  };
}
