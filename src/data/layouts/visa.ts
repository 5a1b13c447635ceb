/**
 * VisA as it ships: CATEGORY/Data/Images/{Normal,Anomaly}, masks of class numbers, split_csv/1cls.csv with the columns
 * object,split,label,image,mask and CATEGORY/image_anno.csv with the kinds of defects; or a meta.json of the same lists.
 */
import { parse } from 'csv-parse/sync';
import { exists, readBytes } from '#platform';
import type { CategoryLocation, Dataset, Sample } from '../dataset.ts';
import { stemOf } from '../files.ts';

const splitFile = 'split_csv/1cls.csv';

export async function isVisa({ root, folder, category }: CategoryLocation): Promise<boolean> {
  if ((await exists(`${folder}/Data/Images`)) === 'folder') return true;
  return (await exists(`${root}/meta.json`)) === 'file' && category in (await readMeta(`${root}/meta.json`)).train;
}

async function text(path: string): Promise<string> {
  return new TextDecoder().decode(await readBytes(path));
}

async function readCsv(path: string, columns: readonly string[]): Promise<Record<string, string>[]> {
  let rows: Record<string, string>[];
  try {
    rows = parse(await text(path), { columns: true, skip_empty_lines: true, trim: true, bom: true });
  } catch (error) {
    throw new Error(`${path}: not a readable CSV file (${(error as Error).message})`);
  }
  const missing = columns.filter((column) => !(column in (rows[0] ?? {})));
  if (missing.length)
    throw new Error(`${path}: lacks the column${missing.length > 1 ? 's' : ''} ${missing.join(', ')}`);
  return rows;
}

interface MetaItem {
  readonly img_path: string;
  readonly mask_path: string;
  readonly specie_name?: string;
  readonly anomaly: 0 | 1;
}

interface Meta {
  readonly train: Readonly<Record<string, readonly MetaItem[]>>;
  readonly test: Readonly<Record<string, readonly MetaItem[]>>;
}

async function readMeta(path: string): Promise<Meta> {
  let meta: Partial<Meta>;
  try {
    meta = JSON.parse(await text(path)) as Partial<Meta>;
  } catch (error) {
    throw new Error(`${path}: not valid JSON (${(error as Error).message})`);
  }
  if (typeof meta?.train !== 'object' || typeof meta?.test !== 'object')
    throw new Error(`${path}: needs the lists 'train' and 'test'`);
  return meta as Meta;
}

/** Kinds of defects by image path, where image_anno.csv is there; several kinds of one image are joined. */
async function kinds(folder: string): Promise<Map<string, string>> {
  const path = `${folder}/image_anno.csv`;
  if ((await exists(path)) !== 'file') return new Map();
  const rows = await readCsv(path, ['image', 'label']);
  return new Map(
    rows.map(({ image, label }) => [image as string, (label as string).split(',').join(' + ').replaceAll('/', '-')]),
  );
}

function sample(root: string, image: string, anomalous: boolean, mask: string, kind: string): Sample {
  return {
    path: `${root}/${image}`,
    stem: stemOf(image),
    defect: anomalous ? kind : 'good',
    ...(anomalous && mask && { maskPath: `${root}/${mask}`, maskOfClasses: true }),
  };
}

/** Every file that a list names must be there. */
async function missingFiles(samples: readonly Sample[]): Promise<string[]> {
  const warnings: string[] = [];
  for (const { path, maskPath, defect } of samples) {
    if ((await exists(path)) !== 'file') warnings.push(`${path}: listed, but there is no such file`);
    if (maskPath && (await exists(maskPath)) !== 'file')
      warnings.push(`${maskPath}: listed as mask, but there is no such file`);
    if (defect !== 'good' && !maskPath) warnings.push(`${path}: the list names no mask`);
  }
  return warnings;
}

/** @throws Error where neither list names the category */
export async function openVisa({ root, folder, category }: CategoryLocation): Promise<Dataset> {
  const train: Sample[] = [];
  const test: Sample[] = [];
  const lists = [`${root}/${splitFile}`, `${root}/meta.json`];
  if ((await exists(lists[0] as string)) === 'file') {
    const kind = await kinds(folder);
    for (const row of await readCsv(lists[0] as string, ['object', 'split', 'label', 'image', 'mask'])) {
      if (row.object !== category) continue;
      const image = row.image as string;
      const anomalous = row.label !== 'normal';
      const item = sample(root, image, anomalous, row.mask ?? '', kind.get(image) ?? 'anomaly');
      (row.split === 'train' ? train : test).push(item);
    }
  } else if ((await exists(lists[1] as string)) === 'file') {
    const meta = await readMeta(lists[1] as string);
    const read = (items: readonly MetaItem[] = []) =>
      items.map((item) =>
        sample(root, item.img_path, item.anomaly === 1, item.mask_path, item.specie_name || 'anomaly'),
      );
    train.push(...read(meta.train[category]));
    test.push(...read(meta.test[category]));
  } else
    throw new Error(
      `${root}: VisA needs ${splitFile} or meta.json, which say what is for training and what for the test`,
    );
  if (!train.length) throw new Error(`${lists.join(' and ')} name no training image of '${category}'`);
  const warnings = await missingFiles([...train, ...test]);
  const gone = new Set(warnings.flatMap((warning) => /^(.*): listed, but/.exec(warning)?.[1] ?? []));
  const present = (list: readonly Sample[]) => list.filter(({ path }) => !gone.has(path));
  if (!present(train).length)
    throw new Error(`${folder}: none of the ${train.length} training images that are listed is there`);
  return { name: category, format: 'visa', train: present(train), test: present(test), warnings };
}
