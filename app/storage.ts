/**
 * Files of the page on this device: the browser's private file system (OPFS), by path. An origin may hold
 * several copies of the page, and other pages: each copy keeps to a folder of its own.
 */

/** The path of this copy of the page; the page and its worker lie side by side. */
export const copyPath = new URL('.', location.href).pathname;
const home = `aand-${encodeURIComponent(copyPath)}`;

async function folderOf(
  path: string,
  create: boolean,
): Promise<{ folder: FileSystemDirectoryHandle; name: string }> {
  const parts = [home, ...path.split('/')];
  const name = parts.pop() as string;
  let folder = await navigator.storage.getDirectory();
  for (const part of parts) folder = await folder.getDirectoryHandle(part, { create });
  return { folder, name };
}

const isAbsent = (error: unknown) => (error as Error).name === 'NotFoundError';

/** The file as it is now, without reading it. */
export async function openFile(path: string): Promise<File | undefined> {
  try {
    const { folder, name } = await folderOf(path, false);
    return await (await folder.getFileHandle(name)).getFile();
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

export async function readFile(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const file = await openFile(path);
  return file && new Uint8Array(await file.arrayBuffer());
}

/** A record that the page wrote; undefined where there is none, or it is damaged. */
export async function readRecord<T>(path: string): Promise<T | undefined> {
  const text = await readFile(path);
  if (!text) return undefined;
  try {
    return JSON.parse(new TextDecoder().decode(text)) as T;
  } catch {
    return undefined;
  }
}

/**
 * Whole or not at all: the browser swaps the file in when it is closed.
 *
 * @throws DOMException 'QuotaExceededError' where the storage is full; the file is then as it was before
 */
export async function writeFile(path: string, data: Uint8Array | Blob | string): Promise<void> {
  const { folder, name } = await folderOf(path, true);
  const stream = await (await folder.getFileHandle(name, { create: true })).createWritable();
  try {
    await stream.write(data as Uint8Array<ArrayBuffer> | Blob | string);
    await stream.close();
  } catch (error) {
    await stream.abort().catch(() => {});
    throw error;
  }
}

export async function removeTree(path: string): Promise<void> {
  try {
    const { folder, name } = await folderOf(path, false);
    await folder.removeEntry(name, { recursive: true });
  } catch (error) {
    if (!isAbsent(error)) throw error;
  }
}

/** Names of what a folder holds, sorted; empty where there is none. */
export async function namesIn(path: string): Promise<string[]> {
  try {
    const { folder, name } = await folderOf(path, false);
    const names: string[] = [];
    const directory = await folder.getDirectoryHandle(name);
    for await (const entry of (directory as unknown as { keys(): AsyncIterable<string> }).keys())
      names.push(entry);
    return names.sort();
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}
