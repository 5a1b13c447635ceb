/** Cuts a stream of bitmap files (BMP), which say their size, into files. */

const headBytes = 14;
const mostBytes = 2 ** 30;

/** Gives each file as soon as it is whole. */
export class BitmapSplitter {
  readonly #onFile: (bytes: Uint8Array) => void;
  #parts: Buffer[] = [];
  #length = 0;

  constructor(onFile: (bytes: Uint8Array) => void) {
    this.#onFile = onFile;
  }

  /**
   * Takes the next bytes of the stream.
   *
   * @throws Error where no bitmap begins where one should
   */
  add(bytes: Buffer): void {
    this.#parts.push(bytes);
    this.#length += bytes.length;
    for (let size = this.#size(); size !== undefined && this.#length >= size; size = this.#size()) {
      const all = Buffer.concat(this.#parts);
      this.#parts = [all.subarray(size)];
      this.#length -= size;
      this.#onFile(all.subarray(0, size));
    }
  }

  /** Bytes of the file at the start; undefined while that is not known. */
  #size(): number | undefined {
    if (this.#length < headBytes) return undefined;
    if ((this.#parts[0]?.length ?? 0) < headBytes) this.#parts = [Buffer.concat(this.#parts)];
    const head = this.#parts[0] as Buffer;
    const size = head.readUInt32LE(2);
    if (head.toString('latin1', 0, 2) !== 'BM' || size <= headBytes || size > mostBytes)
      throw new Error('what ffmpeg gives are no bitmaps');
    return size;
  }
}
