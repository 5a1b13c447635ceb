/**
 * Which files of a watched folder were judged already: a hidden file in that folder with a line for each, so
 * that a new start judges none of them again. Size and time of change tell a file from a later one of the
 * same name.
 */
import { appendFile, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { writeBytes } from '../../platform/node/write.ts';
import type { CompleteFile } from './folder_watch.ts';

/** Name of the record in the watched folder. */
export const watchRecordName = '.aand-watched';

const lineSchema = v.object({ name: v.string(), size: v.number(), modified: v.number() });

type Line = v.InferOutput<typeof lineSchema>;

/** Lines that are whole; a killed process leaves a part of one. */
function parse(text: string): Line[] {
  return text.split('\n').flatMap((line) => {
    try {
      return [v.parse(lineSchema, JSON.parse(line))];
    } catch {
      return [];
    }
  });
}

/** The record of one folder. */
export class WatchRecord {
  readonly #path: string;
  readonly #judged: Map<string, Line>;
  readonly #onNote: (text: string) => void;
  #last: Promise<void> = Promise.resolve();
  #writable = true;

  private constructor(path: string, judged: Map<string, Line>, onNote: (text: string) => void) {
    this.#path = path;
    this.#judged = judged;
    this.#onNote = onNote;
  }

  /**
   * Reads the record, and writes it anew without files that are gone.
   *
   * @param onNote told once where the folder cannot be written, and a new start will judge its files again
   */
  static async open(folder: string, onNote: (text: string) => void): Promise<WatchRecord> {
    const path = join(folder, watchRecordName);
    const judged = new Map<string, Line>();
    const lines = parse(await readFile(path, 'utf8').catch(() => ''));
    for (const line of lines) {
      const there = await stat(join(folder, line.name)).catch(() => undefined);
      if (there) judged.set(line.name, line);
    }
    const record = new WatchRecord(path, judged, onNote);
    const text = [...judged.values()].map((line) => `${JSON.stringify(line)}\n`).join('');
    await record.#try(() => writeBytes(path, text));
    return record;
  }

  /** Whether a file was judged as it is now. */
  has({ name, size, modified }: CompleteFile): boolean {
    const line = this.#judged.get(name);
    return line !== undefined && line.size === size && line.modified === modified;
  }

  /** Remembers a file. Resolves when that is written. */
  add({ name, size, modified }: CompleteFile): Promise<void> {
    const line = { name, size, modified };
    this.#judged.set(name, line);
    const text = `${JSON.stringify(line)}\n`;
    this.#last = this.#last.then(() => this.#try(() => appendFile(this.#path, text)));
    return this.#last;
  }

  async #try(write: () => Promise<void>): Promise<void> {
    if (!this.#writable) return;
    try {
      await write();
    } catch (error) {
      this.#writable = false;
      this.#onNote(
        `${this.#path} cannot be written (${(error as Error).message}): the next start judges the files of ` +
          'this folder again',
      );
    }
  }
}
