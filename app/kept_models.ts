/**
 * Models on this device: each a file, named by the digest of its bytes, and a record beside it that is
 * written last. So a model is kept once, several tabs may add to the list at a time, and a file without a
 * record is what a closed tab has left.
 */
import { copyPath, namesIn, openFile, readRecord, removeTree, writeFile } from './storage.ts';

/** A model that is kept on this device. */
export interface KeptModel {
  readonly id: string;
  /** Of its file, or of the training that made it. */
  readonly name: string;
  readonly product: string;
  readonly backbone: string;
  readonly mode: string;
  readonly imageSize: number;
  /** When it was kept first, in milliseconds since 1970. */
  readonly added: number;
}

/** Tells every tab, and this page when a worker has changed the list. */
export const modelsChannel = `aand models ${copyPath}`;
const channel = new BroadcastChannel(modelsChannel);
const folder = 'library';
const recordPath = (id: string) => `${folder}/${id}.json`;
const filePath = (id: string) => `${folder}/${id}.safetensors`;

/** SHA-256 of the bytes, shortened: enough to tell a person's models apart. */
async function idOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest.subarray(0, 12), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The models, the one that was kept last first. */
export async function keptModels(): Promise<KeptModel[]> {
  const names = (await namesIn(folder)).filter((name) => name.endsWith('.json'));
  const records = await Promise.all(names.map((name) => readRecord<KeptModel>(`${folder}/${name}`)));
  return records.filter((record) => record !== undefined).sort((a, b) => b.added - a.added);
}

/**
 * Keeps a model; one that is kept already stays as it is.
 *
 * @throws DOMException 'QuotaExceededError' where the storage is full; what was kept stays
 */
export async function keepModel(
  bytes: Uint8Array<ArrayBuffer>,
  facts: Omit<KeptModel, 'id' | 'added'>,
): Promise<KeptModel> {
  const id = await idOf(bytes);
  const known = await readRecord<KeptModel>(recordPath(id));
  if (known && (await openFile(filePath(id)))) return known;
  const record: KeptModel = { ...facts, id, added: Date.now() };
  try {
    await writeFile(filePath(id), bytes);
    await writeFile(recordPath(id), JSON.stringify(record));
  } catch (error) {
    await removeTree(filePath(id)).catch(() => {});
    throw error;
  }
  channel.postMessage('changed');
  return record;
}

/** The model as a file under its name, without reading it. */
export async function openKeptModel(id: string): Promise<File | undefined> {
  const [file, record] = [await openFile(filePath(id)), await readRecord<KeptModel>(recordPath(id))];
  return file && record && new File([file], record.name);
}

export async function forgetModel(id: string): Promise<void> {
  await removeTree(recordPath(id));
  await removeTree(filePath(id));
  channel.postMessage('changed');
}
