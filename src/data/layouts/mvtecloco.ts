/**
 * MVTec LOCO AD: train/good, validation/good, test/{good,logical_anomalies,structural_anomalies}; the masks
 * of an image are the files of a folder, ground_truth/KIND/STEM/000.png, one for each defect. A mask's value
 * names a kind of defect in defects_config.json, which says from which area on it counts as found.
 */

import { exists, readBytes } from '#platform';
import { append } from '../../base/lists.ts';
import type { CategoryLocation, Dataset, Sample } from '../dataset.ts';
import { folderNamed, foldersIn, imagesIn } from '../files.ts';
import { parseSaturation, type SaturationRule } from '../saturation.ts';
import { type FolderNames, openFolders, validationImages } from './mvtec.ts';

const kinds = ['logical_anomalies', 'structural_anomalies'] as const;
const configFile = 'defects_config.json';

const names: FolderNames = {
  format: 'mvtecloco',
  title: 'MVTec LOCO AD',
  good: 'good',
  test: 'test',
  truth: 'ground_truth',
  maskName: '/000.png',
  async masks(folder) {
    const masks = new Map<string, readonly [string, ...string[]]>();
    for (const stem of await foldersIn(folder)) {
      const [first, ...more] = (await imagesIn(`${folder}/${stem}`)).map(
        (name) => `${folder}/${stem}/${name}`,
      );
      if (first !== undefined) masks.set(stem, [first, ...more]);
    }
    return masks;
  },
};

export async function isMvtecLoco({ folder }: CategoryLocation): Promise<boolean> {
  const test = await folderNamed(folder, 'test');
  if (test === undefined) return false;
  for (const kind of kinds) if (await folderNamed(`${folder}/${test}`, kind)) return true;
  return (await exists(`${folder}/${configFile}`)) === 'file';
}

/** The rules of saturation, or a warning that says why there are none. */
async function saturationRules(folder: string): Promise<{ rules?: SaturationRule[]; warnings: string[] }> {
  const path = `${folder}/${configFile}`;
  const without =
    'without it there is no sPRO, the figure that is published for MVTec LOCO AD; PRO counts each mask whole';
  if ((await exists(path)) !== 'file') return { warnings: [`${path}: no such file; ${without}`] };
  try {
    return { rules: parseSaturation(new TextDecoder().decode(await readBytes(path))), warnings: [] };
  } catch (error) {
    return { warnings: [`${path}: ${(error as Error).message}; ${without}`] };
  }
}

/** @throws Error where train/good holds no images */
export async function openMvtecLoco(location: CategoryLocation): Promise<Dataset> {
  const { folder } = location;
  const found = await openFolders(location, names);
  const warnings = [...found.warnings];
  const validation = await validationImages(folder, warnings);
  const { rules, warnings: missing } = await saturationRules(folder);
  append(warnings, missing);
  return {
    ...found,
    // The value of a mask is the number of its kind.
    test: found.test.map(
      (sample): Sample =>
        sample.maskPath ? { ...sample, maskOfClasses: true, ...(rules && { saturation: rules }) } : sample,
    ),
    warnings,
    ...(validation.length && { validation }),
  };
}
