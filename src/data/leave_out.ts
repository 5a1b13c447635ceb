/** Training images that a person, or the program for a person, leaves out: lists of names. */

import { realPath } from '#platform';
import { InvalidDatasetError } from '../base/errors.ts';
import type { Dataset, Sample } from './dataset.ts';

/** The lines of a list of images: one name each; empty lines and those that begin with # are none. */
function namesInList(text: string): string[] {
  return text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line && !line.startsWith('#'));
}

/** A path in one spelling. */
function plain(path: string): string {
  return path
    .replaceAll('\\', '/')
    .replace(/\/(\.?\/)+/g, '/')
    .replace(/^(\.\/)+/, '')
    .normalize('NFC');
}

/** A training image as lists name it: below the category's folder where it lies there. */
export function nameInList({ path }: Sample, { folder }: Dataset): string {
  const [name, root] = [plain(path), `${plain(folder).replace(/\/+$/, '')}/`];
  return name.startsWith(root) ? name.slice(root.length) : name;
}

/** Training and calibration images of a data set without some of them. */
export function without(dataset: Dataset, left: ReadonlySet<Sample>): Dataset {
  const kept = (list: readonly Sample[]) => list.filter((sample) => !left.has(sample));
  const { train, validation } = dataset;
  return { ...dataset, train: kept(train), ...(validation && { validation: kept(validation) }) };
}

/**
 * The images that a list names, by their path as the data set has it, from its folder on, or absolute.
 *
 * @param list its name, for messages
 * @throws Error naming the line where it names no training image
 */
async function samplesInList(dataset: Dataset, names: readonly string[], list: string): Promise<Set<Sample>> {
  const known = new Map<string, Sample>();
  const real = await realPath(dataset.folder).catch(() => dataset.folder);
  for (const sample of [...dataset.train, ...(dataset.validation ?? [])]) {
    const below = nameInList(sample, dataset);
    for (const name of [plain(sample.path), below, plain(`${real}/${below}`)]) known.set(name, sample);
  }
  const found = new Set<Sample>();
  for (const name of names) {
    const sample = known.get(plain(name));
    if (!sample)
      throw new InvalidDatasetError(
        `${list} names ${name}, which is no training image of ${dataset.name}; they are named from ` +
          `${dataset.folder} on, such as ${dataset.train[0] ? nameInList(dataset.train[0], dataset) : ''}`,
      );
    found.add(sample);
  }
  return found;
}

/**
 * A data set without the training images that a list names.
 *
 * @param list its name, for messages
 * @throws Error naming what is no training image, and where none is left
 */
export async function withoutListed(dataset: Dataset, text: string, list: string): Promise<Dataset> {
  const left = await samplesInList(dataset, namesInList(text), list);
  const rest = without(dataset, left);
  if (!rest.train.length)
    throw new InvalidDatasetError(`${list} names all ${dataset.train.length} training images: none is left`);
  return { ...rest, leftOut: [...left] };
}
