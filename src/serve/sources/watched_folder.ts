/** A folder whose image files are judged as they become complete, each once. */
import { constants, copyFile, link, rm, stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { readBytes } from '#platform';
import { makeFolder } from '../../platform/node/write.ts';
import type { Inspector } from '../inspector.ts';
import type { ServedModel } from '../served_model.ts';
import { type CompleteFile, completeFiles, type FolderWatchOptions } from './folder_watch.ts';
import type { Source } from './source.ts';
import { WatchRecord } from './watch_record.ts';

export interface WatchedFolderOptions extends Pick<FolderWatchOptions, 'settle' | 'poll'> {
  readonly model: ServedModel;
  readonly inspector: Inspector;
  /** Judged files are moved there, below `good`, `anomalous`, `judged` or `unreadable`; else they stay. */
  readonly moveTo?: string | undefined;
  /** Bytes of an image file at most. */
  readonly largest: number;
  /** How long an image may take, in milliseconds. */
  readonly timeout: number;
  readonly onNote: (text: string) => void;
}

/** Moves a file to a name that nothing has yet: STEM.EXT, STEM~2.EXT and so on. */
export async function moveToFree(path: string, folder: string): Promise<string> {
  const extension = extname(path);
  const stem = basename(path, extension);
  await makeFolder(folder);
  for (let number = 1; ; number++) {
    const target = join(folder, `${stem}${number > 1 ? `~${number}` : ''}${extension}`);
    try {
      await link(path, target).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'EEXIST') throw error;
        // Another disk, or one without links.
        return copyFile(path, target, constants.COPYFILE_EXCL);
      });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue;
      throw error;
    }
    await rm(path);
    return target;
  }
}

/** Judges what comes into a folder. */
export class WatchedFolder implements Source {
  readonly name: string;
  readonly #options: WatchedFolderOptions;
  readonly #record: WatchRecord | undefined;
  readonly #end = new AbortController();
  readonly #working: Promise<void>;

  private constructor(folder: string, options: WatchedFolderOptions, record: WatchRecord | undefined) {
    this.name = folder;
    this.#options = options;
    this.#record = record;
    this.#working = this.#work();
  }

  /**
   * Begins to watch a folder: what is there is judged first, unless its record says that it was.
   *
   * @throws Error where there is no such folder, or the folder to move to cannot be made
   */
  static async open(folder: string, options: WatchedFolderOptions): Promise<WatchedFolder> {
    const info = await stat(folder).catch(() => undefined);
    if (!info?.isDirectory()) throw new Error(`${folder}: there is no such folder to watch`);
    if (options.moveTo !== undefined) await makeFolder(options.moveTo);
    const record = options.moveTo === undefined ? await WatchRecord.open(folder, options.onNote) : undefined;
    return new WatchedFolder(folder, options, record);
  }

  async close(): Promise<void> {
    this.#end.abort();
    await this.#working;
  }

  async #work(): Promise<void> {
    const { inspector, settle, poll, moveTo, onNote } = this.#options;
    const { places } = inspector;
    // Half of the places are left to requests and other sources.
    const most = Math.max(1, Math.floor(places.capacity / 2));
    const underWay = new Set<Promise<void>>();
    const { signal } = this.#end;
    const files = completeFiles(this.name, {
      signal,
      settle,
      poll,
      without: moveTo === undefined ? [] : [moveTo],
      onNote,
    });
    try {
      for await (const file of files) {
        if (this.#record?.has(file)) continue;
        while (underWay.size >= most) await Promise.race(underWay);
        await places.take(signal);
        const judging = this.#judge(file).finally(() => {
          places.give();
          underWay.delete(judging);
        });
        underWay.add(judging);
      }
    } catch (error) {
      if (!signal.aborted) onNote(`${this.name} is not watched any more: ${(error as Error).message}`);
    }
    await Promise.all(underWay);
  }

  async #judge(file: CompleteFile): Promise<void> {
    const { model, inspector, largest, timeout, onNote } = this.#options;
    let kind: string;
    try {
      if (file.size > largest)
        throw new Error(`${file.size} bytes are more than the ${largest} that --max-body allows`);
      const bytes = await readBytes(file.path);
      const signal = AbortSignal.timeout(timeout);
      const { judgement } = await inspector.judge(model, bytes, file.name, signal);
      kind = judgement.pred_label ?? 'judged';
      inspector.metrics.sourceImage(this.name, 'judged');
    } catch (error) {
      const now = await stat(file.path).catch(() => undefined);
      // Somebody took it away, or still writes it: it is told again when it is complete.
      if (now?.size !== file.size || now.mtimeMs !== file.modified) return;
      kind = 'unreadable';
      inspector.metrics.sourceImage(this.name, 'failed');
      const reason = (error as Error).message.replace(`${file.path}: `, '').replace(`${file.name}: `, '');
      onNote(`${file.path} was not judged: ${reason}`);
    }
    try {
      await this.#finish(file, kind);
    } catch (error) {
      onNote(`${file.path} was judged and cannot be moved: ${(error as Error).message}`);
    }
  }

  async #finish(file: CompleteFile, kind: string): Promise<void> {
    const { moveTo } = this.#options;
    if (moveTo !== undefined) await moveToFree(file.path, join(moveTo, kind, dirname(file.name)));
    else await this.#record?.add(file);
  }
}
