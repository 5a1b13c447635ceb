/**
 * Reading of files in Node. Only regular files are read: a read of a named pipe or a device may never end.
 * Decoder threads load this file, so it loads no GPU.
 */
import { constants, type Dirent, type Stats } from 'node:fs';
import { type FileHandle, mkdtemp, open, readdir, realpath, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { FolderEntry, ScratchFile } from '../platform.ts';

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  ENOTDIR: 'no such file (a part of the path is not a folder)',
  EACCES: 'there is no permission to read it',
  EPERM: 'there is no permission to read it',
  ELOOP: 'a link that leads back to itself',
  ENAMETOOLONG: 'the name is too long',
  EMFILE: 'too many files are open',
};

/** Why a file or folder cannot be read, as a sentence that begins with its path. */
function readError(path: string, error: unknown): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  const reason = reasons[code ?? ''] ?? `cannot be read (${message})`;
  return new Error(`${path}: ${reason}`, { cause: error });
}

function needRegular(path: string, info: Stats): void {
  const other = info.isDirectory()
    ? 'a folder'
    : info.isFIFO()
      ? 'a named pipe'
      : info.isSocket()
        ? 'a socket'
        : info.isFile()
          ? undefined
          : 'a device';
  if (other) throw new Error(`${path}: ${other}, not a file`);
}

/** @throws Error where a path is no regular file */
export async function needRegularFile(path: string): Promise<void> {
  try {
    needRegular(path, await stat(path));
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code ? readError(path, error) : error;
  }
}

/**
 * Opens a regular file. The path is asked first, because opening a device may do something. The opened file
 * is asked again, because another may have taken its place. Opening never waits.
 */
async function openRegular(path: string): Promise<FileHandle> {
  let file: FileHandle;
  await needRegularFile(path);
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw readError(path, error);
  }
  try {
    needRegular(path, await file.stat());
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * A file's bytes.
 *
 * @throws Error naming the file and why it cannot be read: missing, no permission, not a regular file, empty
 */
export async function readBytes(path: string): Promise<Uint8Array> {
  const file = await openRegular(path);
  try {
    const bytes = await file.readFile();
    if (!bytes.length) throw new Error(`${path}: the file is empty (0 bytes)`);
    return bytes;
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code ? readError(path, error) : error;
  } finally {
    await file.close();
  }
}

/**
 * What a path is, links followed: everything that is no folder counts as a file. Undefined where there is
 * nothing.
 *
 * @throws Error where it cannot be told, such as without permission
 */
export async function exists(path: string): Promise<'file' | 'folder' | undefined> {
  try {
    return (await stat(path)).isDirectory() ? 'folder' : 'file';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw readError(path, error);
  }
}

async function entryOf(folder: string, entry: Dirent): Promise<FolderEntry> {
  const { name } = entry;
  if (!entry.isSymbolicLink()) return { name, folder: entry.isDirectory(), link: false };
  // A link that leads nowhere counts as a file: whoever reads it gets the reason.
  const target = await exists(join(folder, name)).catch(() => undefined);
  return { name, folder: target === 'folder', link: true };
}

/**
 * What lies in a folder, by name. Empty where the folder does not exist.
 *
 * @throws Error naming a folder that cannot be listed
 */
export async function readFolder(path: string): Promise<FolderEntry[]> {
  let entries: Dirent[];
  try {
    entries = await readdir(path, { withFileTypes: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw readError(path, error);
  }
  const found: FolderEntry[] = [];
  for (const entry of entries) found.push(await entryOf(path, entry));
  return found;
}

/** Names in a folder, sorted; folders end with '/'. As {@link readFolder}. */
export async function listFolder(path: string): Promise<string[]> {
  return (await readFolder(path)).map(({ name, folder }) => (folder ? `${name}/` : name)).sort();
}

/** The path of a file or folder without links, `.` and `..`; an absolute path where it does not exist. */
export async function realPath(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    return resolve(path);
  }
}

/** A temporary file that is gone when it is closed, or when the process ends without closing it. */
export async function openScratchFile(): Promise<ScratchFile> {
  const folder = await mkdtemp(join(tmpdir(), 'aand-maps-'));
  const file = await open(join(folder, 'maps'), 'w+');
  // The open file lives on without its name, so nothing is left behind.
  await rm(folder, { recursive: true });
  let end = 0;
  return {
    async append(bytes) {
      const { bytesWritten } = await file.write(bytes, 0, bytes.length, end);
      if (bytesWritten !== bytes.length)
        throw new Error(`the disk of ${tmpdir()} is full: maps could not be kept`);
      end += bytes.length;
    },
    async read(offset, length) {
      const bytes = new Uint8Array(length);
      await file.read(bytes, 0, length, offset);
      return bytes;
    },
    close: () => file.close(),
  };
}
