/** Image files of a folder as they become complete: those that are there, then those that come. */
import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, relative, resolve, sep } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { type FSWatcher, watch } from 'chokidar';
import { isHiddenName, isImagePath } from '../../data/files.ts';

/** A file whose size has stopped changing. */
export interface CompleteFile {
  readonly path: string;
  /** Path below the watched folder, with `/`. */
  readonly name: string;
  readonly size: number;
  /** When it was last changed, in milliseconds. */
  readonly modified: number;
}

export interface FolderWatchOptions {
  /** Ends the watch: what waits is not given any more. */
  readonly signal: AbortSignal;
  /** Seconds that a file's size must stay the same. */
  readonly settle: number;
  /** Look every so many seconds, instead of being told by the system: for folders on other machines. */
  readonly poll?: number | undefined;
  /** Folders below it that are left out. */
  readonly without?: readonly string[];
  /** Told in words when the folder has gone, is there again, or cannot be watched. */
  readonly onNote: (text: string) => void;
}

// How often a folder that has gone is looked for.
const lookMilliseconds = 1000;

const isFolder = async (path: string) =>
  stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );

/** What waits to be taken; a file that changes while it waits is there once, as it is now. */
class Arrivals {
  readonly #files = new Map<string, CompleteFile>();
  /** What was given, as it was: a folder that comes back tells all of its files again. */
  readonly #given = new Map<string, CompleteFile>();
  #wake: () => void = () => {};

  add(file: CompleteFile): void {
    const before = this.#given.get(file.path);
    if (before?.size === file.size && before.modified === file.modified) return;
    this.#files.delete(file.path);
    this.#files.set(file.path, file);
    this.#wake();
  }

  remove(path: string): void {
    this.#files.delete(path);
  }

  /** A later file of this name is a new one. */
  forget(path: string): void {
    this.#given.delete(path);
  }

  /** The file that has waited longest; undefined when the signal is raised. */
  async next(signal: AbortSignal): Promise<CompleteFile | undefined> {
    const ended = () => this.#wake();
    signal.addEventListener('abort', ended);
    try {
      while (!signal.aborted) {
        const [file] = this.#files.values();
        if (file) {
          this.#files.delete(file.path);
          this.#given.set(file.path, file);
          return file;
        }
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      return undefined;
    } finally {
      signal.removeEventListener('abort', ended);
    }
  }
}

/**
 * Watches a folder, in depth, until the signal is raised. Hidden files, links and files that are no images by
 * their name are left out. A file that changes later is given again. A folder that goes (a network disk) is
 * watched again when it comes back.
 *
 * @throws Error where there is no such folder
 */
export async function* completeFiles(
  folder: string,
  { signal, settle, poll, without = [], onNote }: FolderWatchOptions,
): AsyncGenerator<CompleteFile, void, undefined> {
  if (!(await isFolder(folder))) throw new Error(`${folder}: there is no such folder to watch`);
  const root = resolve(folder);
  const left = without.map((path) => resolve(path));
  const arrivals = new Arrivals();
  const arrived = (path: string, info?: Stats) => {
    // An empty file is one that somebody is about to write.
    if (!info?.isFile() || !info.size) return;
    const name = relative(root, path).split(sep).join('/');
    arrivals.add({ path, name, size: info.size, modified: info.mtimeMs });
  };
  const isLeftOut = (path: string, info?: Stats) => {
    if (path === root) return false;
    if (isHiddenName(basename(path)) || left.includes(resolve(path))) return true;
    return info !== undefined && !info.isDirectory() && !(info.isFile() && isImagePath(path));
  };
  let watcher: FSWatcher | undefined;
  let gone = false;
  const begin = () => {
    watcher = watch(root, {
      ignored: isLeftOut,
      followSymlinks: false,
      ignorePermissionErrors: true,
      alwaysStat: true,
      awaitWriteFinish: { stabilityThreshold: settle * 1000, pollInterval: Math.min(100, settle * 500) },
      ...(poll !== undefined && { usePolling: true, interval: poll * 1000, binaryInterval: poll * 1000 }),
    });
    watcher
      .on('add', arrived)
      .on('change', arrived)
      .on('unlink', (path) => arrivals.remove(path));
    watcher.on('error', (error) => onNote(`${folder} cannot be watched: ${(error as Error).message}`));
  };
  const guard = async () => {
    while (!signal.aborted) {
      await wait(lookMilliseconds, undefined, { signal, ref: false }).catch(() => {});
      const there = await isFolder(root);
      if (signal.aborted || there === !gone) continue;
      gone = !there;
      onNote(gone ? `${folder} has gone; it is waited for` : `${folder} is there again`);
      await watcher?.close();
      if (!gone) begin();
    }
  };
  begin();
  void guard();
  try {
    for (;;) {
      const file = await arrivals.next(signal);
      if (!file) return;
      yield file;
    }
  } finally {
    await watcher?.close();
  }
}
