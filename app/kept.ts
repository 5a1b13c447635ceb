/**
 * What is kept of trainings on this device: the images and checkpoints of one training, and one finished
 * model. A record names the folders that count. It is written last, so what was kept before stays until the
 * new training or model is complete.
 */
import { decodeImage } from '#platform';
import { forgetModel, keepModel, openKeptModel } from './kept_models.ts';
import { namesIn, openFile, readFile, readRecord, removeTree, writeFile } from './storage.ts';
import type { ChosenImage, TrainingJob } from './types.ts';

const trainingRecord = 'training.json';
const modelRecord = 'model.json';

/** A training that was begun: its images lie in its folder, by kind and place in the list. */
export interface TrainingRecord {
  readonly id: string;
  readonly job: TrainingJob;
  readonly good: readonly string[];
  readonly bad: readonly string[];
}

/** A finished model, by the training that made it. */
export interface ModelRecord {
  readonly id: string;
  readonly job: TrainingJob;
  /** Its place in the list of models on this device; absent in records of earlier versions. */
  readonly listed?: string;
}

const folderOf = (id: string) => `trainings/${id}`;
const modelPath = (id: string) => `models/${id}.safetensors`;
const imagePath = (id: string, kind: 'good' | 'bad', index: number) => `${folderOf(id)}/${kind}/${index}`;

export const keptTraining = () => readRecord<TrainingRecord>(trainingRecord);

const fileOf = ({ id, listed }: ModelRecord) =>
  listed === undefined ? openFile(modelPath(id)) : openKeptModel(listed);

/** The model of the last training; undefined where it was deleted since. */
export async function keptModel(): Promise<ModelRecord | undefined> {
  const record = await readRecord<ModelRecord>(modelRecord);
  return record && (await fileOf(record)) ? record : undefined;
}

/** The finished model as a file on the disk: it is not in memory before it is read. */
export async function modelFile(): Promise<File> {
  const record = await keptModel();
  const file = record && (await fileOf(record));
  if (!file) throw new Error('no finished model is kept');
  return new File([file], `${record.job.name || 'model'}.safetensors`);
}

export async function imageBytes(
  record: TrainingRecord,
  kind: 'good' | 'bad',
  index: number,
): Promise<Uint8Array> {
  const bytes = await readFile(imagePath(record.id, kind, index));
  if (!bytes)
    throw new Error(`${record[kind][index]}: the kept image is gone; discard the training and begin anew`);
  return bytes;
}

const checkpointIn = (folder: string, name: string) => ({
  name,
  advice: 'Discard this training to begin it anew',
  load: () => readFile(`${folder}/${name}`),
  save: (data: Uint8Array) => writeFile(`${folder}/${name}`, data),
});

/** A checkpoint of a training. */
export const checkpoint = ({ id }: TrainingRecord, name: string) => checkpointIn(folderOf(id), name);

const triesFolder = 'tries';

/** Works with checkpoints that are kept for nobody: they are written as a training's are, then removed. */
export async function withTriedCheckpoints<T>(
  work: (checkpoints: Record<'stage1' | 'stage2', ReturnType<typeof checkpoint>>) => Promise<T>,
): Promise<T> {
  const folder = `${triesFolder}/${crypto.randomUUID()}`;
  try {
    return await work({
      stage1: checkpointIn(folder, 'stage1.checkpoint'),
      stage2: checkpointIn(folder, 'stage2.checkpoint'),
    });
  } finally {
    // Those of a tab that was closed while it tried, too.
    await removeTree(triesFolder).catch(() => {});
  }
}

/** Folders that no record names: left by a tab that was closed while it stored. */
async function sweep(folder: string, keep: string | undefined): Promise<void> {
  for (const name of await namesIn(folder)) if (name !== keep) await removeTree(`${folder}/${name}`);
}

/**
 * Takes over the images of a new training; the training before it is gone when all of them are stored, and
 * its model stays.
 *
 * @returns the training, and what was left out because it cannot be read, with the reason
 * @throws Error where no good image is left; DOMException where the storage is full. What was kept is then as
 *   before
 */
export async function storeTraining(
  job: TrainingJob,
  images: readonly ChosenImage[],
  onStored: (done: number, total: number) => void,
  signal: AbortSignal,
): Promise<{ record: TrainingRecord; unreadable: string[] }> {
  await sweep('trainings', (await keptTraining())?.id);
  const id = crypto.randomUUID();
  const names: Record<'good' | 'bad', string[]> = { good: [], bad: [] };
  const unreadable: string[] = [];
  // Sorted by name, because the order of a list decides the order of an epoch.
  const sorted = [...images].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  try {
    for (const [i, { kind, name, file }] of sorted.entries()) {
      if (signal.aborted)
        throw new Error('the training was stopped before its images were stored; nothing was replaced');
      onStored(i, sorted.length);
      let bytes: Uint8Array;
      try {
        bytes = new Uint8Array(await file.arrayBuffer());
        await decodeImage(bytes, name);
      } catch (error) {
        unreadable.push((error as Error).message);
        continue;
      }
      await writeFile(imagePath(id, kind, names[kind].length), bytes);
      names[kind].push(name);
    }
    if (!names.good.length)
      throw new Error(
        `none of the good images can be read: ${unreadable.slice(0, 3).join('; ') || 'there are none'}`,
      );
    const record = { id, job, ...names };
    await writeFile(trainingRecord, JSON.stringify(record));
    await sweep('trainings', id);
    return { record, unreadable };
  } catch (error) {
    await removeTree(folderOf(id)).catch(() => {});
    throw error;
  }
}

/** Keeps a training whose images are not chosen files. */
export async function takeOver(
  record: TrainingRecord,
  bytes: (kind: 'good' | 'bad', index: number) => Promise<Uint8Array>,
): Promise<void> {
  for (const kind of ['good', 'bad'] as const)
    for (const index of record[kind].keys())
      await writeFile(imagePath(record.id, kind, index), await bytes(kind, index));
  await writeFile(trainingRecord, JSON.stringify(record));
}

/** Puts a training's model on the list of models on this device. @returns its place there */
async function list({ name, backbone, mode, imageSize }: TrainingJob, bytes: Uint8Array): Promise<string> {
  const facts = { name: `${name || 'model'}.safetensors`, product: name, backbone, mode, imageSize };
  return (await keepModel(bytes as Uint8Array<ArrayBuffer>, facts)).id;
}

/** Keeps the model of a training. Those of earlier trainings stay on the list of models on this device. */
export async function storeModel({ id, job }: TrainingRecord, bytes: Uint8Array): Promise<void> {
  const listed = await list(job, bytes);
  // One that an earlier version of the page kept is not on the list yet.
  const before = await keptModel();
  if (before && before.listed === undefined) {
    const kept = await readFile(modelPath(before.id));
    if (kept) await list(before.job, kept);
  }
  await writeFile(modelRecord, JSON.stringify({ id, job, listed } satisfies ModelRecord));
  await removeTree('models');
}

export async function discardTraining(): Promise<void> {
  await removeTree(trainingRecord);
  await removeTree('trainings');
}

export async function discardModel(): Promise<void> {
  const record = await keptModel();
  await removeTree(modelRecord);
  if (record?.listed !== undefined) await forgetModel(record.listed);
  await removeTree('models');
}
