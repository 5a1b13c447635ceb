/** Files of the page on this device: the browser's private file system (OPFS), by path. */

async function folderOf(path: string, create: boolean): Promise<{ folder: FileSystemDirectoryHandle; name: string }> {
  const parts = path.split('/');
  const name = parts.pop() as string;
  let folder = await navigator.storage.getDirectory();
  for (const part of parts) folder = await folder.getDirectoryHandle(part, { create });
  return { folder, name };
}

/** The file as it is now, without reading it. */
export async function openFile(path: string): Promise<File | undefined> {
  try {
    const { folder, name } = await folderOf(path, false);
    return await (await folder.getFileHandle(name)).getFile();
  } catch (error) {
    if ((error as Error).name === 'NotFoundError') return undefined;
    throw error;
  }
}

export async function readFile(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const file = await openFile(path);
  return file && new Uint8Array(await file.arrayBuffer());
}

/** Whole or not at all: the browser swaps the file in when it is closed. */
export async function writeFile(path: string, data: Uint8Array | string): Promise<void> {
  const { folder, name } = await folderOf(path, true);
  const stream = await (await folder.getFileHandle(name, { create: true })).createWritable();
  await stream.write(data as Uint8Array<ArrayBuffer>);
  await stream.close();
}

export async function removeTree(path: string): Promise<void> {
  try {
    const { folder, name } = await folderOf(path, false);
    await folder.removeEntry(name, { recursive: true });
  } catch (error) {
    if ((error as Error).name !== 'NotFoundError') throw error;
  }
}

/** Names of the files in a folder, sorted; empty where there is none. */
export async function filesIn(path: string): Promise<string[]> {
  try {
    const { folder, name } = await folderOf(path, false);
    const names: string[] = [];
    const directory = await folder.getDirectoryHandle(name);
    for await (const entry of (directory as unknown as { keys(): AsyncIterable<string> }).keys()) names.push(entry);
    return names.sort();
  } catch (error) {
    if ((error as Error).name === 'NotFoundError') return [];
    throw error;
  }
}
