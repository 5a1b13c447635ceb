/** Work over lists of files, several at a time, within a bound of memory. */

/**
 * Works on a list, `width` items at a time: decoding keeps all cores busy, and memory holds a few files.
 * After an error no further item is begun.
 *
 * @returns results in the list's order
 */
export async function mapConcurrently<T, R>(
  list: readonly T[],
  work: (item: T, index: number) => Promise<R>,
  onProgress?: (done: number, total: number) => void,
  width = 4,
): Promise<R[]> {
  const results = new Array<R>(list.length);
  let next = 0;
  let done = 0;
  const worker = async () => {
    while (next < list.length) {
      const index = next++;
      try {
        results[index] = await work(list[index] as T, index);
        onProgress?.(++done, list.length);
      } catch (error) {
        next = list.length;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, list.length) }, worker));
  return results;
}

/** Results in the list's order; up to `width` items are worked on ahead of who takes the results. */
export async function* mapAhead<T, R>(
  list: readonly T[],
  work: (item: T, index: number) => Promise<R>,
  width: number,
): AsyncGenerator<R, void, undefined> {
  const begun: Promise<R>[] = [];
  for (let next = 0; next < list.length || begun.length; ) {
    for (; next < list.length && begun.length < width; next++) {
      const result = work(list[next] as T, next);
      // The reader may stop before this item: then nobody waits for it, and its error is nobody's.
      result.catch(() => {});
      begun.push(result);
    }
    yield await (begun.shift() as Promise<R>);
  }
}

/**
 * A number of bytes that several users share. Who asks for bytes waits until there is room, in the order of
 * asking.
 */
export class ByteBudget {
  readonly #limit: number;
  readonly #waiting: { readonly bytes: number; readonly begin: () => void }[] = [];
  #used = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Bytes in use. */
  get used(): number {
    return this.#used;
  }

  /**
   * Works while it holds so many bytes. Work that asks for more than the limit runs alone. The work must not
   * ask the same budget again: two works that each hold a part and wait for more would wait for ever.
   */
  async run<T>(bytes: number, work: () => T | Promise<T>): Promise<T> {
    await new Promise<void>((begin) => {
      this.#waiting.push({ bytes, begin });
      this.#admit();
    });
    try {
      return await work();
    } finally {
      this.#used -= bytes;
      this.#admit();
    }
  }

  #admit(): void {
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      if (this.#used > 0 && this.#used + next.bytes > this.#limit) return;
      this.#waiting.shift();
      this.#used += next.bytes;
      next.begin();
    }
  }
}
