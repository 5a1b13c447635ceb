/**
 * Canonical prefix codes (Huffman's) whose bits come from the lowest of each byte on, as in WebP's lossless
 * pictures.
 */

export class BitReader {
  readonly #bytes: Uint8Array;
  #at: number;
  #held = 0;
  #count = 0;

  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = bytes;
    this.#at = start;
  }

  /** Up to 15 bits that are not taken yet; zeros stand behind the end. */
  peek(count: number): number {
    while (this.#count < count) {
      this.#held |= (this.#bytes[this.#at++] ?? 0) << this.#count;
      this.#count += 8;
    }
    return this.#held & ((1 << count) - 1);
  }

  /** @throws Error behind the end of the data */
  take(count: number): void {
    this.#held >>>= count;
    this.#count -= count;
    if (this.#at - (this.#count >> 3) > this.#bytes.length)
      throw new Error('its compressed data end too early');
  }

  /** Up to 15 bits. */
  read(count: number): number {
    const value = this.peek(count);
    this.take(count);
    return value;
  }

  /** Up to 24 bits. */
  readLong(count: number): number {
    if (count <= 15) return this.read(count);
    const low = this.read(12);
    return low | (this.read(count - 12) << 12);
  }
}

const longest = 15;
const rootBits = 9;

/** One prefix code: short words in a table, longer ones by counting. */
export class PrefixCode {
  /** Symbol times 16 plus the length of its word; 0 where the word is longer. */
  readonly #root: Uint16Array;
  readonly #rootBits: number;
  /** Words of each length. */
  readonly #counts = new Uint16Array(longest + 1);
  /** Symbols by length, then by number. */
  readonly #symbols: Uint16Array;

  /**
   * @param lengths of the word of each symbol, 0 where it has none
   * @throws Error where words of these lengths are no code
   */
  constructor(lengths: Uint8Array) {
    for (const length of lengths) if (length > 0) (this.#counts[length] as number)++;
    const used = this.#counts.reduce((sum, count) => sum + count, 0);
    const starts = new Uint16Array(longest + 2);
    for (let l = 1; l <= longest; l++) starts[l + 1] = (starts[l] as number) + (this.#counts[l] as number);
    this.#symbols = new Uint16Array(used);
    const next = starts.slice();
    lengths.forEach((length, symbol) => {
      if (length > 0) this.#symbols[(next[length] as number)++] = symbol;
    });
    if (used === 1) {
      // A single symbol takes no bits.
      this.#rootBits = 0;
      this.#root = Uint16Array.of((this.#symbols[0] as number) << 4);
      return;
    }
    let free = 1;
    for (let l = 1; l <= longest; l++) {
      free = free * 2 - (this.#counts[l] as number);
      if (free < 0) break;
    }
    if (free !== 0) throw new Error('its compressed data are damaged: no prefix code has such lengths');
    this.#rootBits = Math.min(
      this.#counts.findLastIndex((count) => count > 0),
      rootBits,
    );
    this.#root = new Uint16Array(1 << this.#rootBits);
    let word = 0;
    for (let l = 1; l <= this.#rootBits; l++, word <<= 1)
      for (let i = starts[l] as number; i < (starts[l + 1] as number); i++, word++) {
        let mirrored = 0;
        for (let bit = 0; bit < l; bit++) mirrored |= ((word >> bit) & 1) << (l - 1 - bit);
        for (let at = mirrored; at < this.#root.length; at += 1 << l)
          this.#root[at] = ((this.#symbols[i] as number) << 4) | l;
      }
  }

  read(bits: BitReader): number {
    const entry = this.#root[bits.peek(this.#rootBits)] as number;
    if (entry !== 0 || this.#rootBits === 0) {
      bits.take(entry & 15);
      return entry >> 4;
    }
    const ahead = bits.peek(longest);
    let word = 0;
    let first = 0;
    let index = 0;
    for (let l = 1; l <= longest; l++) {
      word |= (ahead >> (l - 1)) & 1;
      const count = this.#counts[l] as number;
      if (word - first < count) {
        bits.take(l);
        return this.#symbols[index + word - first] as number;
      }
      index += count;
      first = (first + count) << 1;
      word <<= 1;
    }
    throw new Error('its compressed data are damaged');
  }
}
