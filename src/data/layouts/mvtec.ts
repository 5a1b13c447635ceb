/** MVTec AD: train/good, test/{good|DEFECT}, ground_truth/DEFECT/STEM_mask.png (or STEM.png); also VisA's MVTec-like form. */
import { exists, listFolder } from '#platform';
import type { CategoryLocation, Dataset, Sample } from '../dataset.ts';
import { duplicateStems, foldersIn, imagesIn, masksIn, stemOf } from '../files.ts';

/** Any of its folders: an incomplete one is told what it lacks. */
export async function isMvtec({ folder }: CategoryLocation): Promise<boolean> {
  for (const name of ['train', 'test', 'ground_truth'])
    if ((await exists(`${folder}/${name}`)) === 'folder') return true;
  return false;
}

/** @throws Error where train/good holds no images */
export async function openMvtec({ folder, category }: CategoryLocation): Promise<Dataset> {
  const good = `${folder}/train/good`;
  const names = await imagesIn(good);
  if (!names.length) {
    const there = (await listFolder(folder)).join(', ') || 'nothing';
    throw new Error(
      `${good} holds no images: a category folder in MVTec AD's layout is needed, with good parts in train/good ` +
        `(png, jpg, bmp, webp or tif); ${folder} holds ${there}`,
    );
  }
  const train = names.map((name) => ({ path: `${good}/${name}`, stem: stemOf(name), defect: 'good' }));
  const test: Sample[] = [];
  const warnings = duplicateStems(good, names);
  for (const defect of await foldersIn(`${folder}/test`)) {
    const truth = `${folder}/ground_truth/${defect}`;
    const masks = await masksIn(truth);
    const there = await imagesIn(`${folder}/test/${defect}`);
    if (!there.length) warnings.push(`${folder}/test/${defect} holds no images`);
    warnings.push(...duplicateStems(`${folder}/test/${defect}`, there));
    for (const name of there) {
      const stem = stemOf(name);
      const path = `${folder}/test/${defect}/${name}`;
      const maskPath = masks.get(stem);
      masks.delete(stem);
      if (defect !== 'good' && !maskPath) warnings.push(`${path}: no ground truth ${truth}/${stem}_mask.png`);
      test.push({ path, stem, defect, ...(defect !== 'good' && maskPath && { maskPath }) });
    }
    for (const [stem, path] of masks)
      warnings.push(`${path}: a mask without its image ${folder}/test/${defect}/${stem}.png`);
  }
  return { name: category, format: 'mvtec', train, test, warnings };
}
