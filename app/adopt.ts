/**
 * Takes over what earlier versions of the page kept at the top of the origin's storage, where every copy of
 * the page saw it.
 */
import { checkpoint, keptModel, keptTraining, storeModel, type TrainingRecord, takeOver } from './kept.ts';
import { namesIn, writeFile } from './storage.ts';
import type { TrainingJob } from './types.ts';

type Folder = FileSystemDirectoryHandle;

async function folderAt(parent: Folder, name: string): Promise<Folder | undefined> {
  return parent.getDirectoryHandle(name).catch(() => undefined);
}

async function filesAt(folder: Folder | undefined): Promise<Map<string, File>> {
  const files = new Map<string, File>();
  if (!folder) return files;
  const handles = (folder as unknown as { values(): AsyncIterable<FileSystemHandle> }).values();
  for await (const handle of handles)
    if (handle.kind === 'file') files.set(handle.name, await (handle as FileSystemFileHandle).getFile());
  return new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)));
}

const bytesOf = async (file: File) => new Uint8Array(await file.arrayBuffer());

async function adoptTraining(older: Folder): Promise<void> {
  const files = await filesAt(older);
  const text = await files.get('job.json')?.text();
  if (!text) return;
  const job = JSON.parse(text) as TrainingJob;
  const images = {
    good: await filesAt(await folderAt(older, 'good')),
    bad: await filesAt(await folderAt(older, 'bad')),
  };
  const record: TrainingRecord = {
    id: 'earlier',
    job,
    good: [...images.good.keys()],
    bad: [...images.bad.keys()],
  };
  for (const [name, file] of files)
    if (name.endsWith('.checkpoint')) await checkpoint(record, name).save(await bytesOf(file));
  await takeOver(record, (kind, index) => bytesOf([...images[kind].values()][index] as File));
  const model = files.get('model.safetensors');
  if (model) await storeModel(record, await bytesOf(model));
}

/** Does nothing where there is nothing older, or where this copy of the page keeps something already. */
export async function adoptOlder(): Promise<void> {
  const top = await navigator.storage.getDirectory();
  const older = await folderAt(top, 'training');
  if (older && !(await keptTraining()) && !(await keptModel())) {
    await adoptTraining(older);
    await top.removeEntry('training', { recursive: true });
  }
  const teachers = await folderAt(top, 'teachers');
  if (teachers && !(await namesIn('teachers')).length) {
    for (const [name, file] of await filesAt(teachers))
      await writeFile(`teachers/${name}`, await bytesOf(file));
    await top.removeEntry('teachers', { recursive: true });
  }
}
