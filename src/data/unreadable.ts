/**
 * Files that cannot be read are named, counted and left out. Too many of them mean that something else is
 * wrong.
 */
import { MissingPackageError, UnreadableError } from '../base/errors.ts';

/** A file that could not be read, and why. */
export interface UnreadableFile {
  readonly path: string;
  /** Why, without the path. */
  readonly reason: string;
}

/** Runs work that reads a file. Whatever it throws becomes an {@link UnreadableError}. */
export async function reading<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof UnreadableError || error instanceof MissingPackageError) throw error;
    throw new UnreadableError(path, error);
  }
}

/** So many files may be unreadable, however small the set is. */
const fewest = 10;
const mostShare = 0.1;

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

/** When unreadable files are an error. */
export interface UnreadableOptions {
  /** The first unreadable file is an error. */
  readonly strict?: boolean;
  /**
   * Every file has a result of its own, as in `predict`. By default the result is one of all files together
   * (a training, a metric), and most of them must be readable.
   */
  readonly separate?: boolean;
  /** Files come for ever: however many are unreadable, none ends the work. */
  readonly endless?: boolean;
  /** Told each file when it is found. */
  readonly onFile?: (file: UnreadableFile) => void;
}

/**
 * Collects the files that cannot be read. Up to a tenth of the files may be unreadable, in small sets up to
 * ten. Where the result is one of all files together, at most half of them.
 */
export class UnreadableFiles {
  readonly #options: UnreadableOptions;
  readonly #files = new Map<string, UnreadableFile>();
  #total = 0;

  /** No file yet. */
  constructor(options: UnreadableOptions = {}) {
    this.#options = options;
  }

  get files(): readonly UnreadableFile[] {
    return [...this.#files.values()];
  }

  get strict(): boolean {
    return this.#options.strict ?? false;
  }

  /** Announces so many more files: the limit is a share of all. */
  expect(count: number): void {
    this.#total += count;
  }

  /** Whether this file could not be read. */
  has(path: string): boolean {
    return this.#files.has(path);
  }

  /** How many files may be unreadable. */
  get limit(): number {
    const few = this.#options.separate ? fewest : Math.min(fewest, Math.floor(this.#total / 2));
    return Math.max(1, few, Math.floor(this.#total * mostShare));
  }

  /**
   * Counts a file that could not be read; one that is known already is not counted again.
   *
   * @throws Error with `strict`, and where too many files are unreadable
   */
  add(path: string, error: unknown): void {
    if (this.#files.has(path)) return;
    const { message } = error as Error;
    if (this.strict) throw error;
    const reason = message.startsWith(`${path}: `) ? message.slice(path.length + 2) : message;
    const file = { path, reason };
    this.#files.set(path, file);
    this.#options.onFile?.(file);
    if (!this.#options.endless && this.#files.size > this.limit)
      throw new Error(
        `${this.#files.size} of ${this.#total} files cannot be read, the last is ${path} (${reason}): ` +
          'so many mean that something else is wrong, such as a disk or an unfinished copy; mend or ' +
          'remove them',
      );
  }

  /**
   * Runs work that reads files. Undefined where one of them could not be read; that file is counted.
   *
   * @throws whatever else the work throws, and as {@link add}
   */
  async skip<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof UnreadableError)) throw error;
      this.add(error.path, error);
      return undefined;
    }
  }

  /** One line for the end of a command; undefined where everything could be read. */
  get summary(): string | undefined {
    if (!this.#files.size) return undefined;
    const shown = 5;
    const names = this.files.slice(0, shown).map(({ path }) => path);
    const more = this.#files.size > shown ? ` and ${this.#files.size - shown} more` : '';
    return (
      `${plural(this.#files.size, 'file')} could not be read and ` +
      `${this.#files.size === 1 ? 'was' : 'were'} left out, the results are of the others: ` +
      `${names.join(', ')}${more}`
    );
  }

  /** @throws Error with the summary where a file could not be read */
  finish(): void {
    if (this.summary) throw new Error(this.summary);
  }
}
