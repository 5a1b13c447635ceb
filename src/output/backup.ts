/** Backups of what is replaced: NAME.backup-1.EXT and so on, never replaced themselves. */
import { constants, copyFile, link, lstat, rename, rm } from 'node:fs/promises';
import { dirname, extname } from 'node:path';
import { syncFolder, writeError } from '../platform/node/write.ts';

/** Gives the file or link at a path a second name. Where a disk has no links, a file is copied. */
async function secondName(path: string, target: string): Promise<void> {
  const info = await lstat(path);
  if (!info.isFile()) {
    // A link keeps its target only when it is moved. The name must be free: a move replaces what has the
    // name.
    const taken = await lstat(target).catch(() => undefined);
    if (taken) throw Object.assign(new Error(`${target} exists`), { code: 'EEXIST' });
    return rename(path, target);
  }
  try {
    await link(path, target);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw error;
    await copyFile(path, target, constants.COPYFILE_EXCL);
  }
}

/**
 * Keeps a file under the first free number beside it.
 *
 * @returns the path of the backup
 */
export async function keepBackup(path: string): Promise<string> {
  const extension = extname(path);
  const stem = path.slice(0, path.length - extension.length);
  for (let number = 1; ; number++) {
    const target = `${stem}.backup-${number}${extension}`;
    try {
      await secondName(path, target);
      await syncFolder(dirname(target));
      return target;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue;
      throw writeError(target, (await lstat(path)).size, error);
    }
  }
}

/** As {@link keepBackup}; the file's own name is free afterwards. */
export async function moveToBackup(path: string): Promise<string> {
  const target = await keepBackup(path);
  await rm(path, { force: true });
  return target;
}
