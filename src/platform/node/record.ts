/**
 * What this program wrote into a folder: a small file there names each result with its size and digest. By
 * this record a result is told from a file of the user, also from one that the user put in a result's place.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, lstat, open, readFile, realpath } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import * as v from 'valibot';
import type { ResultFinder } from '../platform.ts';
import { writeBytes, writeError } from './write.ts';

/** Name of the record in its folder. */
export const recordName = '.aand-outputs';

const digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));

const entrySchema = v.object({
  /** Path below the folder, with `/`. */
  name: v.pipe(
    v.string(),
    v.check((name) => !name.split('/').some((part) => ['', '.', '..'].includes(part))),
  ),
  size: v.pipe(v.number(), v.integer(), v.minValue(0)),
  sha256: digest,
  /**
   * Digest of the result that lay there before. After a crash between record and file, that one lies there
   * still.
   */
  was: v.optional(digest),
  /** The command that wrote it, such as `train`. */
  by: v.string(),
  /** The photograph that it shows. */
  from: v.optional(v.string()),
  /** The model that made it. */
  model: v.optional(v.string()),
  /** An image to learn from or to predict, not a result. */
  data: v.optional(v.boolean()),
});

export type RecordEntry = Readonly<v.InferOutput<typeof entrySchema>>;

export function sha256(data: Uint8Array | string): string {
  return createHash('sha256').update(data).digest('hex');
}

async function fileDigest(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/**
 * The entries of a folder's record by name; empty where there is none. Lines that are not whole are left out.
 */
export async function readRecord(folder: string): Promise<Map<string, RecordEntry>> {
  const entries = new Map<string, RecordEntry>();
  const text = await readFile(join(folder, recordName), 'utf8').catch(() => '');
  for (const line of text.split('\n')) {
    if (!line) continue;
    try {
      const entry = v.parse(entrySchema, JSON.parse(line));
      entries.set(entry.name, entry);
    } catch {
      // A crash cut this line off, before its file was written.
    }
  }
  return entries;
}

/** What lies at a path: nothing, what an entry describes (with its digest), or something else. */
export async function compareWithRecord(
  path: string,
  entry: RecordEntry | undefined,
): Promise<'none' | 'other' | { readonly sha256: string }> {
  const info = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  if (!info) return 'none';
  // A link is not what was written, wherever it leads.
  if (!entry || !info.isFile()) return 'other';
  if (info.size !== entry.size && !entry.was) return 'other';
  const found = await fileDigest(path);
  return found === entry.sha256 || found === entry.was ? { sha256: found } : 'other';
}

/** Adds entries to a folder's record. An entry is on the disk before its file is. */
export class RecordWriter {
  readonly #folder: string;
  readonly entries: Map<string, RecordEntry>;
  #file: Promise<FileHandle> | undefined;
  #last: Promise<void> = Promise.resolve();
  #torn = false;

  private constructor(folder: string, entries: Map<string, RecordEntry>) {
    this.#folder = folder;
    this.entries = entries;
  }

  static async open(folder: string): Promise<RecordWriter> {
    return new RecordWriter(folder, await readRecord(folder));
  }

  async #open(): Promise<FileHandle> {
    const path = join(this.#folder, recordName);
    // The file is written anew: one line per name, and no half line at the end.
    if (this.entries.size)
      await writeBytes(
        path,
        [...this.entries.values()].map((entry) => `${JSON.stringify(entry)}\n`).join(''),
      );
    return open(path, 'a');
  }

  /** Resolves when the entry is on the disk. Entries are written one after the other. */
  add(entry: RecordEntry): Promise<void> {
    this.#last = this.#last.catch(() => {}).then(() => this.#append(entry));
    return this.#last;
  }

  async #append(entry: RecordEntry): Promise<void> {
    const line = `${this.#torn ? '\n' : ''}${JSON.stringify(entry)}\n`;
    try {
      this.#file ??= this.#open();
      const file = await this.#file;
      this.#torn = true;
      await file.appendFile(line);
      await file.datasync();
      this.#torn = false;
    } catch (error) {
      throw writeError(join(this.#folder, recordName), Buffer.byteLength(line), error);
    }
    this.entries.set(entry.name, entry);
  }

  async close(): Promise<void> {
    await this.#last.catch(() => {});
    const file = await this.#file?.catch(() => undefined);
    this.#file = undefined;
    await file?.close();
  }
}

/** Reads the record of each folder once. */
export function resultFinder(): ResultFinder {
  const records = new Map<string, Promise<Map<string, RecordEntry>>>();
  const recordOf = (folder: string) => {
    const known = records.get(folder) ?? readRecord(folder);
    records.set(folder, known);
    return known;
  };
  // The folders of many files are few.
  const realFolders = new Map<string, Promise<string>>();
  const realFolder = (folder: string) => {
    const known = realFolders.get(folder) ?? realpath(folder).catch(() => folder);
    realFolders.set(folder, known);
    return known;
  };
  return {
    async isResult(path) {
      // A link is not what was written, wherever it leads.
      const real = join(await realFolder(dirname(path)), basename(path)).replaceAll(sep, '/');
      for (let at = real.lastIndexOf('/'); at >= 0; at = real.lastIndexOf('/', at - 1)) {
        const entry = (await recordOf(real.slice(0, at) || '/')).get(real.slice(at + 1));
        if (entry && !entry.data && typeof (await compareWithRecord(real, entry)) === 'object') return true;
        if (at === 0) break;
      }
      return false;
    },
  };
}
