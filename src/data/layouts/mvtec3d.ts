/** MVTec 3D-AD, its photographs only: {train,validation,test}/{good|DEFECT}/{rgb,gt}; the depth maps (xyz) are not needed. */
import { exists } from '#platform';
import type { CategoryLocation, Dataset, Sample } from '../dataset.ts';
import { duplicateStems, foldersIn, imagesIn, masksIn, stemOf } from '../files.ts';

export async function isMvtec3d({ folder }: CategoryLocation): Promise<boolean> {
  return (await exists(`${folder}/train/good/rgb`)) === 'folder';
}

/** @throws Error where train/good/rgb holds no images */
export async function openMvtec3d({ folder, category }: CategoryLocation): Promise<Dataset> {
  const good = `${folder}/train/good/rgb`;
  const names = await imagesIn(good);
  if (!names.length) throw new Error(`${good} holds no images: MVTec 3D-AD keeps the photographs of good parts there`);
  const train = names.map((name) => ({ path: `${good}/${name}`, stem: stemOf(name), defect: 'good' }));
  const test: Sample[] = [];
  const warnings = duplicateStems(good, names);
  for (const defect of await foldersIn(`${folder}/test`)) {
    const photographs = `${folder}/test/${defect}/rgb`;
    const there = await imagesIn(photographs);
    if (!there.length) warnings.push(`${photographs} holds no images`);
    const masks = await masksIn(`${folder}/test/${defect}/gt`);
    for (const name of there) {
      const stem = stemOf(name);
      const path = `${photographs}/${name}`;
      const maskPath = masks.get(stem);
      if (defect !== 'good' && !maskPath)
        warnings.push(`${path}: no ground truth ${folder}/test/${defect}/gt/${stem}.png`);
      test.push({ path, stem, defect, ...(defect !== 'good' && maskPath && { maskPath }) });
    }
  }
  return { name: category, format: 'mvtec3d', train, test, warnings };
}
