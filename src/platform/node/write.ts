/**
 * Writing of files in Node: whole or not at all. A file is written beside its place under a name of its own,
 * brought to the disk, and moved into its place in one step.
 */
import { randomBytes } from 'node:crypto';
import { type FileHandle, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { WriteOptions } from '../platform.ts';
import { identityText, parseIdentity, processState, thisProcess } from './process.ts';

const ending = '.aand-tmp';
// Most file systems take names of 255 bytes.
const keptOfName = 150;

/** A name for the time of writing: hidden, with the process in it, and different every time. */
function temporaryPath(path: string): string {
  const name = Buffer.from(basename(path)).subarray(0, keptOfName).toString().replaceAll('\ufffd', '');
  const random = randomBytes(6).toString('hex');
  return join(dirname(path), `.${name}.${identityText(thisProcess())}-${random}${ending}`);
}

function megabytes(bytes: number): string {
  return bytes < 1e5 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Why a file cannot be written, as a sentence with the file, its size and the cause. */
export function writeError(path: string, bytes: number, error: unknown): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  const sentences: Readonly<Record<string, string>> = {
    ENOSPC: `the disk of ${dirname(path)} is full: ${path} needs ${megabytes(bytes)}`,
    EDQUOT: `the quota on the disk of ${dirname(path)} is used up: ${path} needs ${megabytes(bytes)}`,
    EFBIG: `${path}: files of ${megabytes(bytes)} are too large for this disk or this process`,
    EACCES: `${path}: there is no permission to write it`,
    EPERM: `${path}: there is no permission to write it`,
    EROFS: `${path}: the disk is read-only`,
    ENOTDIR: `${path}: a part of the path is a file, not a folder`,
    EISDIR: `${path}: a folder has this name`,
    EEXIST: `${path}: exists already`,
    ENAMETOOLONG: `${path}: the name is too long`,
  };
  const sentence = sentences[code ?? ''] ?? `${path} (${megabytes(bytes)}): cannot be written (${message})`;
  return Object.assign(new Error(sentence, { cause: error }), { code });
}

/** Makes a folder with those above it. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST')
      throw Object.assign(new Error(`${path}: a file has this name, not a folder`), { code });
    throw writeError(path, 0, error);
  }
}

/** Brings the names in a folder to the disk, where the system can. */
export async function syncFolder(path: string): Promise<void> {
  let folder: FileHandle;
  try {
    folder = await open(path, 'r');
  } catch {
    // Windows opens no folders.
    return;
  }
  try {
    await folder.sync();
  } catch {
    // Some network disks do not know this.
  } finally {
    await folder.close();
  }
}

/** Gives a file a second name, which must be new (code EEXIST). Where a disk has no links, it is moved. */
async function moveToNew(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code ?? '')) throw error;
    // An exclusive empty file holds the name until the move replaces it.
    await (await open(path, 'wx')).close();
    await rename(temporary, path);
    return;
  }
  await rm(temporary);
}

/**
 * Writes a file whole or not at all: a reader, a crash or a full disk never leaves half of it, and an older
 * file stays as it was until the new one is complete. Folders above it are made.
 *
 * @throws Error naming the file, its size and the cause; its `code` is the system's
 */
export async function writeBytes(
  path: string,
  data: Uint8Array | string,
  { durable = true, exclusive = false }: WriteOptions = {},
): Promise<void> {
  await makeFolder(dirname(path));
  const temporary = temporaryPath(path);
  try {
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(data);
      if (durable) await file.sync();
    } finally {
      await file.close();
    }
    await (exclusive ? moveToNew(temporary, path) : rename(temporary, path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    // Windows, and folders that are not empty, have other codes for the same.
    const folder = await stat(path).then(
      (info) => info.isDirectory(),
      () => false,
    );
    throw writeError(path, Buffer.byteLength(data), folder ? { code: 'EISDIR' } : error);
  }
  if (durable) await syncFolder(dirname(path));
}

// A living writer elsewhere touches its temporary file all the time.
const foreignMilliseconds = 10 * 60_000;

/**
 * Removes what writers left in a folder that were killed while they wrote.
 *
 * @param dead text of a process that is known to be gone, though it ran where this one cannot see it
 * @returns how many temporaries were removed
 */
export async function removeStaleTemporaries(folder: string, dead?: string): Promise<number> {
  const names = await readdir(folder).catch(() => []);
  let removed = 0;
  for (const name of names) {
    const [, text] = /\.([0-9a-f]{8}-\d+-\d+)-[0-9a-f]{12}\.aand-tmp$/.exec(name) ?? [];
    const writer = text === undefined ? undefined : parseIdentity(text);
    if (!writer) continue;
    const path = join(folder, name);
    const state = text === dead ? 'gone' : processState(writer);
    if (state === 'alive') continue;
    if (state === 'unknown') {
      const info = await stat(path).catch(() => undefined);
      if (!info || Date.now() - info.mtimeMs < foreignMilliseconds) continue;
    }
    await rm(path, { force: true });
    removed++;
  }
  return removed;
}
