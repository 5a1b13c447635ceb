/**
 * MVTec LOCO AD: train/good, validation/good, test/{good,logical_anomalies,structural_anomalies}; the masks
 * of an image are the files of a folder, ground_truth/KIND/STEM/000.png, one for each defect. A mask's value
 * names a kind of defect in defects_config.json.
 */

import { exists, readBytes } from '#platform';
import type { CategoryLocation, Dataset, Sample } from '../dataset.ts';
import { folderNamed, foldersIn, imagesIn } from '../files.ts';
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

/** What is honoured of the thresholds of saturation, as a warning. */
async function saturationWarning(folder: string): Promise<string> {
  const path = `${folder}/${configFile}`;
  const notHonoured =
    'saturation is not honoured: PRO counts each mask whole, and is not the sPRO that is published for ' +
    'MVTec LOCO AD';
  if ((await exists(path)) !== 'file') return `${path}: no such file; ${notHonoured}`;
  try {
    const kinds: unknown = JSON.parse(new TextDecoder().decode(await readBytes(path)));
    if (!Array.isArray(kinds)) return `${path}: not a list of kinds of defects; ${notHonoured}`;
    return `${path}: ${kinds.length} kinds of defects, whose ${notHonoured}`;
  } catch (error) {
    return `${path}: not valid JSON (${(error as Error).message}); ${notHonoured}`;
  }
}

/** @throws Error where train/good holds no images */
export async function openMvtecLoco(location: CategoryLocation): Promise<Dataset> {
  const { folder } = location;
  const found = await openFolders(location, names);
  const warnings = [...found.warnings];
  const validation = await validationImages(folder, warnings);
  warnings.push(await saturationWarning(folder));
  return {
    ...found,
    // The value of a mask is the number of its kind.
    test: found.test.map((sample): Sample => (sample.maskPath ? { ...sample, maskOfClasses: true } : sample)),
    warnings,
    ...(validation.length && { validation }),
  };
}
