/**
 * A user's own photographs: folders of good and bad images under names of their choice, or a flat folder of good images and
 * nothing else. Keys as in the field's tools.
 */
import { exists } from '#platform';
import { RandomStream } from '../../engine/random.ts';
import type { CategoryLocation, Dataset, Sample } from '../dataset.ts';
import { duplicateStems, foldersIn, imagesIn, masksIn, stemOf } from '../files.ts';

export interface FolderKeys {
  /** Good images; relative to the folder. Default: good, normal or ok, else the folder itself. */
  readonly normalDir?: string;
  /** Bad images: every folder is one kind of defect. Default: the other folders. */
  readonly abnormalDirs?: readonly string[];
  /** Good images for the test. Default: a share of the good images, where there are bad ones. */
  readonly normalTestDir?: string;
  /** Masks: MASK_DIR/DEFECT/NAME.png or MASK_DIR/NAME.png, also with _mask. Default: ground_truth, masks, mask or gt. */
  readonly maskDir?: string;
  /** Extensions that count as images, with their dots. */
  readonly extensions?: readonly string[];
  /** Share of the good images that goes to the test where they have no folder of their own. Default .2. */
  readonly testSplit?: number;
  /** Which images the split draws. */
  readonly seed?: number;
}

const goodNames = ['good', 'normal', 'ok'];
const maskNames = ['ground_truth', 'masks', 'mask', 'gt'];
const testSplit = 0.2;

function joined(folder: string, name: string): string {
  if (name === '.' || name === '') return folder;
  return name.startsWith('/') ? name : `${folder}/${name.replace(/\/+$/, '')}`;
}

async function needFolder(folder: string, key: string): Promise<string> {
  if ((await exists(folder)) !== 'folder') throw new Error(`${folder} (${key}): no such folder`);
  return folder;
}

/** Splits off a share, the same for the same seed, both parts in the order of the list. */
function split(list: readonly Sample[], share: number, seed: number): { test: Sample[]; train: Sample[] } {
  const count = Math.min(Math.max(Math.round(list.length * share), 1), list.length - 1);
  const drawn = new Set(new RandomStream(seed, 'split').sample(list.length, count));
  return { test: list.filter((_, i) => drawn.has(i)), train: list.filter((_, i) => !drawn.has(i)) };
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
    warnings.push(...duplicateStems(path, names));
    return names.map((name) => {
      const stem = stemOf(name);
      const maskPath = masks?.get(stem);
      if (masks && !maskPath) warnings.push(`${path}/${name}: no mask ${stem}.png or ${stem}_mask.png`);
      return { path: `${path}/${name}`, stem, defect, ...(maskPath && { maskPath }) };
    });
  };

  const normalName = keys.normalDir ?? inside.find((name) => goodNames.includes(name.toLowerCase())) ?? '.';
  const normalDir = await needFolder(joined(folder, normalName), 'normal-dir');
  const normal = await read(normalDir, 'good');
  if (!normal.length)
    throw new Error(
      `${normalDir} holds no images: photographs of good parts are needed there (${(extensions ?? ['.png', '.jpg', '.bmp', '.webp', '.tif']).join(', ')}); ` +
        `${folder} holds ${inside.length ? `the folders ${inside.join(', ')}` : 'no folders'}; --normal-dir names another one`,
    );

  const maskName = keys.maskDir ?? inside.find((name) => maskNames.includes(name.toLowerCase()));
  const maskDir = maskName && (await needFolder(joined(folder, maskName), 'mask-dir'));
  const others = inside.filter((name) => ![normalName, maskName, keys.normalTestDir].includes(name));
  const abnormalNames = keys.abnormalDirs ?? (normalName === '.' ? [] : others);
  const bad: Sample[] = [];
  for (const name of abnormalNames) {
    const path = await needFolder(joined(folder, name), 'abnormal-dir');
    const defect = name.replace(/\/+$/, '').replace(/^.*\//, '');
    let masks: Map<string, string> | undefined;
    if (maskDir) {
      masks = await masksIn(`${maskDir}/${defect}`);
      if (!masks.size) masks = await masksIn(maskDir);
    }
    const images = await read(path, defect, masks);
    if (!images.length) {
      if (keys.abnormalDirs) throw new Error(`${path} (abnormal-dir) holds no images`);
      warnings.push(`${path} holds no images`);
    }
    bad.push(...images);
  }

  const dataset = { name: category, format: 'folder', warnings } as const;
  if (keys.normalTestDir) {
    const path = await needFolder(joined(folder, keys.normalTestDir), 'normal-test-dir');
    const good = await read(path, 'good');
    if (!good.length) throw new Error(`${path} (normal-test-dir) holds no images`);
    return { ...dataset, train: normal, test: [...good, ...bad] };
  }
  if (!bad.length) return { ...dataset, train: normal, test: [] };
  if (normal.length < 2) throw new Error(`${normalDir} holds one image: two are needed to test with one of them`);
  const { train, test } = split(normal, keys.testSplit ?? testSplit, keys.seed ?? 0);
  return { ...dataset, train, test: [...test, ...bad] };
}
