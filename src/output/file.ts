/**
 * A single file that a command writes. An existing file is replaced only where the user asks for that, and is
 * then kept as a backup.
 */
import { appendFile, lstat, readFile, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { makeFolder, removeStaleTemporaries, writeBytes, writeError } from '../platform/node/write.ts';
import { keepBackup } from './backup.ts';
import { type LockOptions, OutputLock } from './lock.ts';

export interface FileOptions extends LockOptions {
  /** Replace what is there; it is kept as a backup. Default false. */
  readonly force?: boolean;
  /** Files that the command reads: none of them is ever replaced. */
  readonly inputs?: readonly string[];
  /** The option that names the file, for messages; `--out` by default. */
  readonly option?: string;
}

async function realOf(path: string): Promise<string | undefined> {
  return realpath(path).catch(() => undefined);
}

export class OutputFile implements AsyncDisposable {
  readonly path: string;
  readonly #force: boolean;
  readonly #lock: OutputLock;

  private constructor(path: string, force: boolean, lock: OutputLock) {
    this.path = path;
    this.#force = force;
    this.#lock = lock;
  }

  /**
   * Checks and locks the place of the file before the work starts.
   *
   * @throws Error where a file or folder is there already, or another process writes it
   */
  static async open(path: string, options: FileOptions): Promise<OutputFile> {
    const info = await lstat(path).catch(() => undefined);
    if (info?.isDirectory() || path.endsWith('/'))
      throw new Error(`${path} is a folder: name the file to write`);
    const { option = '--out' } = options;
    const real = await realOf(path);
    for (const input of options.inputs ?? [])
      if (real !== undefined && real === (await realOf(input)))
        throw new Error(`${path} is what is read (${input}): give another ${option}`);
    if (info && !options.force)
      throw new Error(
        `${path} exists already: give another ${option}, or --force, which keeps it as a backup`,
      );
    const folder = dirname(path);
    await makeFolder(folder);
    const lock = await OutputLock.take(
      join(folder, `.${basename(path).slice(0, 80)}.aand-lock`),
      path,
      options,
    );
    await removeStaleTemporaries(folder);
    return new OutputFile(path, options.force ?? false, lock);
  }

  /** Writes the file, whole or not at all. */
  async write(data: Uint8Array | string): Promise<void> {
    this.#lock.check();
    const info = await lstat(this.path).catch(() => undefined);
    if (this.#force && info?.isFile() && Buffer.from(data).equals(await readFile(this.path))) return;
    const there = this.#force && info !== undefined;
    if (there)
      console.error(`note: ${this.path} was there before; it is kept as ${await keepBackup(this.path)}`);
    try {
      await writeBytes(this.path, data, { exclusive: !there });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      throw new Error(
        `${this.path} was made by another program meanwhile and is not replaced: give another --out`,
      );
    }
  }

  /** Adds a text to what {@link OutputFile.write} wrote, with one call of the system. */
  async append(text: string): Promise<void> {
    this.#lock.check();
    try {
      await appendFile(this.path, text);
    } catch (error) {
      throw writeError(this.path, Buffer.byteLength(text), error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lock.release();
  }
}
