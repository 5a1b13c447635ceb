/**
 * VisA as it ships: CATEGORY/Data/Images/{Normal,Anomaly}, masks of class numbers, split_csv/1cls.csv with
 * the columns object,split,label,image,mask and CATEGORY/image_anno.csv with the kinds of defects; or a
 * meta.json of the same lists.
 */

import { parse } from 'csv-parse/sync';
import { exists, readBytes } from '#platform';
import { InvalidDatasetError } from '../../base/errors.ts';
import { append } from '../../base/lists.ts';
import type { CategoryLocation, Dataset, Sample } from '../dataset.ts';
import { extensionOf, stemOf } from '../files.ts';
import { isGoodLabel } from '../labels.ts';

const splitFile = 'split_csv/1cls.csv';

export async function isVisa({ root, folder, category, alias }: CategoryLocation): Promise<boolean> {
  if ((await exists(`${folder}/Data/Images`)) === 'folder') return true;
  if ((await exists(`${root}/meta.json`)) !== 'file') return false;
  const { train } = await readMeta(`${root}/meta.json`);
  return Object.hasOwn(train, category) || (alias !== undefined && Object.hasOwn(train, alias));
}

async function text(path: string): Promise<string> {
  return new TextDecoder().decode(await readBytes(path));
}

async function readCsv(path: string, columns: readonly string[]): Promise<Record<string, string>[]> {
  let rows: Record<string, string>[];
  try {
    rows = parse(await text(path), { columns: true, skip_empty_lines: true, trim: true, bom: true });
  } catch (error) {
    throw new InvalidDatasetError(`${path}: not a readable CSV file (${(error as Error).message})`);
  }
  const missing = columns.filter((column) => !(column in (rows[0] ?? {})));
  if (missing.length)
    throw new InvalidDatasetError(
      `${path}: lacks the column${missing.length > 1 ? 's' : ''} ${missing.join(', ')}`,
    );
  return rows;
}

interface MetaItem {
  readonly img_path: string;
  readonly mask_path: string;
  readonly specie_name?: string;
  /** 0 for good; a number, a text or a boolean. */
  readonly anomaly: unknown;
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
    throw new InvalidDatasetError(`${path}: not valid JSON (${(error as Error).message})`);
  }
  if (typeof meta?.train !== 'object' || typeof meta?.test !== 'object')
    throw new InvalidDatasetError(`${path}: needs the lists 'train' and 'test'`);
  return meta as Meta;
}

/** Kinds of defects by image path, where image_anno.csv is there; several kinds of one image are joined. */
async function kinds(folder: string): Promise<Map<string, string>> {
  const path = `${folder}/image_anno.csv`;
  if ((await exists(path)) !== 'file') return new Map();
  const rows = await readCsv(path, ['image', 'label']);
  return new Map(
    rows.map(({ image, label }) => [
      image as string,
      (label as string).split(',').join(' + ').replaceAll('/', '-'),
    ]),
  );
}

/** A line of a list. */
interface Entry {
  readonly image: string;
  readonly mask: string;
  readonly training: boolean;
  /** As the list says it; 0 or `normal` for good parts. */
  readonly label: unknown;
  readonly kind: string;
}

function sample(root: string, { image, mask, kind }: Entry, anomalous: boolean): Sample {
  // Masks of class numbers are no JPEG files: JPEG changes values.
  const classes = !['.jpg', '.jpeg'].includes(extensionOf(mask));
  const maskPath = mask && `${root}/${mask}`;
  return {
    path: `${root}/${image}`,
    stem: stemOf(image),
    defect: anomalous ? (isGoodLabel(kind) ? 'anomaly' : kind) : 'good',
    ...(maskPath && (anomalous ? { maskPath, maskOfClasses: classes } : { goodMaskPath: maskPath })),
  };
}

/** Checks that every file in a list is there. */
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

/**
 * The lines of the lists that are about a category, under the name that they use; `list` is the file that was
 * read.
 */
async function readLists(
  location: CategoryLocation,
): Promise<{ list: string; category: string; entries: Entry[] }> {
  const { root, folder } = location;
  const named = (names: Iterable<unknown>) => {
    const all = new Set(names);
    return location.alias !== undefined && !all.has(location.category) ? location.alias : location.category;
  };
  const [csv, json] = [`${root}/${splitFile}`, `${root}/meta.json`];
  if ((await exists(csv)) === 'file') {
    const kind = await kinds(folder);
    const rows = await readCsv(csv, ['object', 'split', 'label', 'image', 'mask']);
    const category = named(rows.map(({ object }) => object));
    const entries = rows
      .filter(({ object }) => object === category)
      .map(({ split, label, image = '', mask = '' }) => ({
        image,
        mask,
        training: split?.toLowerCase() === 'train',
        label,
        kind: kind.get(image) ?? 'anomaly',
      }));
    return { list: csv, category, entries };
  }
  if ((await exists(json)) === 'file') {
    const meta = await readMeta(json);
    const category = named(Object.keys(meta.train));
    const read = (items: readonly MetaItem[] = [], training: boolean) =>
      items.map((item) => ({
        image: item.img_path,
        mask: item.mask_path ?? '',
        training,
        label: item.anomaly ?? item.specie_name,
        kind: item.specie_name || 'anomaly',
      }));
    return {
      list: json,
      category,
      entries: [...read(meta.train[category], true), ...read(meta.test[category], false)],
    };
  }
  throw new InvalidDatasetError(
    `${root}: VisA needs ${splitFile} or meta.json, which say what is for training and what for the test`,
  );
}

const usualLabels: readonly unknown[] = ['normal', 'anomaly', 0, 1];

/** @throws Error where neither list names the category */
export async function openVisa(location: CategoryLocation): Promise<Dataset> {
  const { folder, root } = location;
  const { list, category, entries } = await readLists(location);
  const warnings: string[] = [];
  const train: Sample[] = [];
  const test: Sample[] = [];
  const taken = new Map<unknown, string>();
  for (const entry of entries) {
    const { image, label, training } = entry;
    if (label === undefined || label === '') {
      warnings.push(`${root}/${image}: left out, for ${list} does not say whether it is good`);
      continue;
    }
    const anomalous = !isGoodLabel(label);
    if (!usualLabels.includes(label)) taken.set(label, anomalous ? 'anomaly' : 'good');
    if (training && anomalous)
      warnings.push(`${root}/${image}: left out, for ${list} calls it an anomaly to train on`);
    else (training ? train : test).push(sample(root, entry, anomalous));
  }
  for (const [label, meaning] of taken) warnings.push(`${list}: the label '${label}' is taken as ${meaning}`);
  if (!train.length)
    throw new InvalidDatasetError(
      `${root}/${splitFile} and ${root}/meta.json name no training image of '${category}'`,
    );
  const missing = await missingFiles([...train, ...test]);
  const gone = new Set(missing.flatMap((warning) => /^(.*): listed, but/.exec(warning)?.[1] ?? []));
  const present = (samples: readonly Sample[]) => samples.filter(({ path }) => !gone.has(path));
  if (!present(train).length)
    throw new InvalidDatasetError(
      `${folder}: none of the ${train.length} training images that are listed is there`,
    );
  append(warnings, missing);
  return { name: category, format: 'visa', folder, train: present(train), test: present(test), warnings };
}
