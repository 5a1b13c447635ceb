/**
 * A user's own photographs: folders of good and bad images under names of their choice, or a flat folder of
 * good images alone. The keys are those of anomalib's folder data.
 */

import { exists } from '#platform';
import { InvalidDatasetError } from '../../base/errors.ts';
import { append } from '../../base/lists.ts';
import type { CategoryLocation, Dataset, Sample } from '../dataset.ts';
import { duplicateStems, folderNamed, foldersIn, imagesIn, masksIn, stemOf } from '../files.ts';
import { goodFolders, isGoodLabel, sameName } from '../labels.ts';
import { splitByName } from '../split.ts';

export interface FolderKeys {
  /**
   * Good images; relative to the folder. Default: the folders named like good parts, else the folder itself.
   */
  readonly normalDir?: string;
  /** Bad images: every folder is one kind of defect. Default: the other folders. */
  readonly abnormalDirs?: readonly string[];
  /** Good images for the test. Default: a share of the good images, where there are bad ones. */
  readonly normalTestDir?: string;
  /**
   * Masks: MASK_DIR/DEFECT/NAME.png or MASK_DIR/NAME.png, also with _mask. Default: ground_truth, masks, mask
   * or gt.
   */
  readonly maskDir?: string;
  /** Extensions that count as images, with their dots. */
  readonly extensions?: readonly string[];
  /** Share of the good images that goes to the test where they have no folder of their own. Default .2. */
  readonly testSplit?: number;
  /** Which images the split draws. */
  readonly seed?: number;
}

const maskNames = ['ground_truth', 'masks', 'mask', 'gt'];
const testSplit = 0.2;

function joined(folder: string, name: string): string {
  if (name === '.' || name === '') return folder;
  return name.startsWith('/') ? name : `${folder}/${name.replace(/\/+$/, '')}`;
}

async function needFolder(folder: string, key: string): Promise<string> {
  if ((await exists(folder)) !== 'folder')
    throw new InvalidDatasetError(`${folder} (${key}): no such folder`);
  return folder;
}

/**
 * @throws Error naming the folder that is missing or holds no images, and its key
 */
export async function openFolder({ folder, category }: CategoryLocation, keys: FolderKeys): Promise<Dataset> {
  const warnings: string[] = [];
  const extensions = keys.extensions?.map((name) => `.${name.replace(/^\./, '').toLowerCase()}`);
  const inside = await foldersIn(folder);
  const read = async (path: string, defect: string, masks?: Map<string, string>): Promise<Sample[]> => {
    const names = await imagesIn(path, extensions);
    append(warnings, duplicateStems(path, names));
    return names.map((name) => {
      const stem = stemOf(name);
      const maskPath = masks?.get(stem);
      if (masks && !maskPath) warnings.push(`${path}/${name}: no mask ${stem}.png or ${stem}_mask.png`);
      return { path: `${path}/${name}`, stem, defect, ...(maskPath && { maskPath }) };
    });
  };

  const goodHere = goodFolders(inside);
  const normalNames = keys.normalDir !== undefined ? [keys.normalDir] : goodHere.length ? goodHere : ['.'];
  const normal: Sample[] = [];
  for (const name of normalNames) {
    if (keys.normalDir === undefined && !['.', 'good'].includes(name))
      warnings.push(`${joined(folder, name)} is taken as good`);
    append(normal, await read(await needFolder(joined(folder, name), 'normal-dir'), 'good'));
  }
  const normalDir = joined(folder, normalNames[0] as string);
  if (!normal.length)
    throw new InvalidDatasetError(
      `${normalDir} holds no images: photographs of good parts are needed there ` +
        `(${(extensions ?? ['.png', '.jpg', '.bmp', '.webp', '.tif']).join(', ')}); ${folder} holds ` +
        `${inside.length ? `the folders ${inside.join(', ')}` : 'no folders'}; --normal-dir names another ` +
        'one',
    );

  const maskName = keys.maskDir ?? inside.find((name) => maskNames.some((other) => sameName(name, other)));
  const maskDir = maskName && (await needFolder(joined(folder, maskName), 'mask-dir'));
  const used = [...normalNames, maskName, keys.normalTestDir].map((name) => name && joined(folder, name));
  const others = inside.filter((name) => !used.includes(joined(folder, name)));
  // These folders are named like good parts and were not asked for: they are neither learned from nor taken
  // as defects.
  const unclear = keys.abnormalDirs ? [] : others.filter((name) => goodHere.includes(name));
  for (const name of unclear)
    warnings.push(
      `${joined(folder, name)} is left out: it is named like good parts; --normal-test-dir takes it for ` +
        'the test',
    );
  const flat = normalNames[0] === '.';
  const abnormalNames = keys.abnormalDirs ?? (flat ? [] : others.filter((name) => !unclear.includes(name)));
  if (flat && !keys.abnormalDirs && others.length)
    warnings.push(
      `${folder}: its own images are taken as good, its folders ${others.join(', ')} are left out; ` +
        '--abnormal-dir names folders of bad images',
    );
  const bad: Sample[] = [];
  for (const name of abnormalNames) {
    const path = await needFolder(joined(folder, name), 'abnormal-dir');
    const defect = name.replace(/\/+$/, '').replace(/^.*\//, '');
    if (keys.abnormalDirs && isGoodLabel(defect))
      throw new InvalidDatasetError(
        `${path} (abnormal-dir): '${defect}' is a name of good parts; rename the folder, or give it to ` +
          '--normal-test-dir',
      );
    let masks: Map<string, string> | undefined;
    if (maskDir) {
      masks = await masksIn(`${maskDir}/${(await folderNamed(maskDir, defect)) ?? defect}`);
      if (!masks.size) masks = await masksIn(maskDir);
    }
    const images = await read(path, defect, masks);
    if (!images.length) {
      if (keys.abnormalDirs) throw new InvalidDatasetError(`${path} (abnormal-dir) holds no images`);
      warnings.push(`${path} holds no images`);
    }
    append(bad, images);
  }

  const dataset = { name: category, format: 'folder', folder, warnings } as const;
  if (keys.normalTestDir) {
    const path = await needFolder(joined(folder, keys.normalTestDir), 'normal-test-dir');
    const good = await read(path, 'good');
    if (!good.length) throw new InvalidDatasetError(`${path} (normal-test-dir) holds no images`);
    return { ...dataset, train: normal, test: [...good, ...bad] };
  }
  if (!bad.length) return { ...dataset, train: normal, test: [] };
  if (normal.length < 2)
    throw new InvalidDatasetError(`${normalDir} holds one image: two are needed to test with one of them`);
  const { drawn, rest } = splitByName(normal, keys.testSplit ?? testSplit, keys.seed ?? 0, 'split');
  return { ...dataset, train: rest, test: [...drawn, ...bad] };
}
