/**
 * A folder that a command writes its results into: locked while it is open, with a record of what was written
 * there. A file that the same command did not write is replaced only where the user asks for that.
 */
import { lstat, realpath, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { compareWithRecord, type RecordEntry, RecordWriter, sha256 } from '../platform/node/record.ts';
import { makeFolder, removeStaleTemporaries, writeBytes } from '../platform/node/write.ts';
import { keepBackup } from './backup.ts';
import { type LockOptions, OutputLock } from './lock.ts';

/** Name of the lock file in its folder. */
export const lockName = '.aand-lock';

export interface FolderOptions extends LockOptions {
  /** Replace files of others too; each is kept as a backup. Default false. */
  readonly force?: boolean;
  /** Called with every backup that was made. Default: a note on stderr. */
  readonly onBackup?: (path: string, backup: string) => void;
}

export interface ResultOptions {
  /** The photograph that it shows, as an absolute path. */
  readonly from?: string;
  /** The model that made it, as an absolute path. */
  readonly model?: string;
  /** An image to learn from or to predict, not a result. */
  readonly data?: boolean;
  /** Whatever it replaces is kept as a backup, unless it is the same. For models. */
  readonly backup?: boolean;
}

export class OutputFolder implements AsyncDisposable {
  /** As the user spells it. */
  readonly path: string;
  readonly #real: string;
  readonly #by: string;
  readonly #force: boolean;
  readonly #lock: OutputLock;
  readonly #record: RecordWriter;
  readonly #onBackup: (path: string, backup: string) => void;
  /** Digests of what this run wrote. */
  readonly #written = new Map<string, string>();
  readonly #made: boolean;

  private constructor(
    path: string,
    real: string,
    made: boolean,
    options: FolderOptions,
    lock: OutputLock,
    record: RecordWriter,
  ) {
    this.path = path;
    this.#real = real;
    this.#made = made;
    this.#by = options.command;
    this.#force = options.force ?? false;
    this.#onBackup =
      options.onBackup ??
      ((path, backup) => console.error(`note: ${path} was there before; it is kept as ${backup}`));
    this.#lock = lock;
    this.#record = record;
  }

  /**
   * Makes the folder, locks it, and removes what killed writers left in it.
   *
   * @param options.command that writes, such as `aand train`: what another command wrote is a file of others
   * @throws Error where the folder is in use, or cannot be made
   */
  static async open(path: string, options: FolderOptions): Promise<OutputFolder> {
    const made = !(await lstat(path).catch(() => undefined));
    await makeFolder(path);
    const real = await realpath(path);
    const lock = await OutputLock.take(join(real, lockName), path, options);
    try {
      const record = await RecordWriter.open(real);
      const folders = new Set(['', ...[...record.entries.keys()].map((name) => name.replace(/[^/]*$/, ''))]);
      for (const folder of folders) await removeStaleTemporaries(join(real, folder));
      return new OutputFolder(path, real, made, options, lock, record);
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** What the record says of a name. */
  entry(name: string): RecordEntry | undefined {
    return this.#record.entries.get(name);
  }

  /** What lies at a name: nothing, this command's result (its digest), or a file of others. */
  async #found(name: string): Promise<'none' | 'other' | { readonly sha256: string }> {
    const written = this.#written.get(name);
    if (written !== undefined) return { sha256: written };
    const entry = this.entry(name);
    return compareWithRecord(join(this.#real, name), entry?.by === this.#by ? entry : undefined);
  }

  /** Whether there is a file at a name, whoever wrote it. */
  async has(name: string): Promise<boolean> {
    return (await this.#found(name)) !== 'none';
  }

  async #refusal(name: string): Promise<Error> {
    const path = join(this.path, name);
    if ((await lstat(join(this.#real, name))).isDirectory())
      return new Error(`${path}: a folder has this name`);
    const by = this.entry(name)?.by;
    const reason =
      by === undefined
        ? `was not written by ${this.#by}`
        : by === this.#by
          ? `was changed after ${by} wrote it`
          : `was written by ${by}`;
    return new Error(
      `${path} ${reason} and is not replaced: give another --out, or --force, which keeps it as a backup`,
    );
  }

  /**
   * Before the work starts: whether results of these names may be written.
   *
   * @param inputs files that are read: none of them is replaced, whatever is asked
   * @throws Error naming the first file that stands in the way; with `force` only where it is a folder or an
   *   input
   */
  async check(names: Iterable<string>, inputs: Iterable<string> = []): Promise<void> {
    const read = new Set<string>();
    for (const input of inputs) read.add(await realpath(input).catch(() => input));
    for (const name of names) {
      if ((await this.#found(name)) !== 'other') continue;
      if (read.has(await realpath(join(this.#real, name)).catch(() => '')))
        throw new Error(
          `${join(this.path, name)} is one of the files that are read; it is never replaced: give ` +
            'another --out',
        );
      const folder = (await lstat(join(this.#real, name))).isDirectory();
      if (folder || !this.#force) throw await this.#refusal(name);
    }
  }

  /**
   * Writes a result, whole or not at all.
   *
   * @param name below the folder, with `/`
   * @throws Error naming a file of others that stands in the way, a full disk, or who took the folder over
   */
  async write(name: string, data: Uint8Array | string, options: ResultOptions = {}): Promise<void> {
    this.#lock.check();
    const target = join(this.#real, name);
    const found = await this.#found(name);
    const digest = sha256(data);
    if (found === 'other' && (!this.#force || (await lstat(target)).isDirectory()))
      throw await this.#refusal(name);
    const same = typeof found === 'object' && found.sha256 === digest;
    if (found === 'other' || (typeof found === 'object' && options.backup && !same)) await this.#backup(name);
    const { backup, ...facts } = options;
    await this.#record.add({
      name,
      size: Buffer.byteLength(data),
      sha256: digest,
      ...(typeof found === 'object' && !same && { was: found.sha256 }),
      by: this.#by,
      ...facts,
    });
    try {
      await writeBytes(target, data, { exclusive: found === 'none' });
    } catch (error) {
      throw new Error((error as Error).message.replaceAll(this.#real, this.path), { cause: error });
    }
    this.#written.set(name, digest);
  }

  async #backup(name: string): Promise<void> {
    const kept = await keepBackup(join(this.#real, name));
    this.#onBackup(join(this.path, name), join(this.path, kept.slice(this.#real.length)));
  }

  /**
   * Removes what this command wrote; a file of others becomes a backup with `force` and is refused without.
   */
  async remove(name: string): Promise<void> {
    const found = await this.#found(name);
    if (found === 'none') return;
    const target = join(this.#real, name);
    if (found === 'other') {
      if (!this.#force || (await lstat(target)).isDirectory()) throw await this.#refusal(name);
      await this.#backup(name);
    }
    await rm(target, { force: true });
    this.#written.delete(name);
  }

  /** Unlocks the folder; one that was made for nothing is removed. */
  async close(): Promise<void> {
    await this.#record.close();
    await this.#lock.release();
    // Refused by the system where the folder holds anything.
    if (this.#made) await rmdir(this.#real).catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
