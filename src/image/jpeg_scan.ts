/**
 * The entropy-coded scans of JPEG, sequential and progressive, with Huffman codes: coefficients of all
 * blocks.
 */

/** Where the coefficients stand in a block that is stored from the lowest frequency on. */
export const zigzag = Uint8Array.of(
  ...[
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21,
  ],
  ...[
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53,
    60, 61, 54,
  ],
  ...[47, 55, 62, 63],
);

const lookAhead = 8;

/** A Huffman code as a DHT segment gives it: words of each length, then the symbols. */
export class HuffmanTable {
  /** Symbol and length of the word that 8 bits begin with; 0 where it is longer. */
  readonly #short = new Uint16Array(1 << lookAhead);
  readonly #counts: Uint8Array;
  readonly #symbols: Uint8Array;

  constructor(counts: Uint8Array, symbols: Uint8Array) {
    this.#counts = counts;
    this.#symbols = symbols;
    let word = 0;
    let index = 0;
    for (let length = 1; length <= 16; length++, word <<= 1)
      for (let i = 0; i < (counts[length - 1] as number); i++, word++, index++) {
        if (word >= 1 << length) throw new Error('a Huffman table is damaged');
        const first = word << (lookAhead - length);
        if (length <= lookAhead)
          this.#short.fill(
            ((symbols[index] as number) << 4) | length,
            first,
            first + (1 << (lookAhead - length)),
          );
      }
  }

  read(bits: ScanBits): number {
    const entry = this.#short[bits.peek()] as number;
    if (entry !== 0) {
      bits.read(entry & 15);
      return entry >> 4;
    }
    let word = 0;
    let first = 0;
    let index = 0;
    for (let length = 0; length < 16; length++) {
      word |= bits.read(1);
      const count = this.#counts[length] as number;
      if (word - first < count) return this.#symbols[index + word - first] as number;
      index += count;
      first = (first + count) << 1;
      word <<= 1;
    }
    throw new Error('its compressed data are damaged');
  }
}

/** Bits of a scan, the highest first; a zero that is stuffed behind 255 is left out. */
export class ScanBits {
  readonly #bytes: Uint8Array;
  /** The next byte. */
  at: number;
  #held = 0;
  #count = 0;

  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = bytes;
    this.at = start;
  }

  /** True where a byte was there; markers and the end of the file are not read. */
  #fill(): boolean {
    const byte = this.#bytes[this.at];
    if (byte === undefined || (byte === 0xff && this.#bytes[this.at + 1] !== 0)) return false;
    this.at += byte === 0xff ? 2 : 1;
    this.#held = ((this.#held << 8) | byte) & 0xffffff;
    this.#count += 8;
    return true;
  }

  /** The next 8 bits, zeros where there are fewer. */
  peek(): number {
    if (this.#count < lookAhead) this.#fill();
    return (
      (this.#count >= lookAhead
        ? this.#held >> (this.#count - lookAhead)
        : this.#held << (lookAhead - this.#count)) & 255
    );
  }

  /** Up to 16 bits. */
  read(count: number): number {
    while (this.#count < count) if (!this.#fill()) throw new Error('its compressed data end too early');
    this.#count -= count;
    return (this.#held >> this.#count) & ((1 << count) - 1);
  }

  /** A number of so many bits, of which the lower half are the negative ones. */
  signed(count: number): number {
    if (count === 0) return 0;
    const value = this.read(count);
    return value < 1 << (count - 1) ? value - (1 << count) + 1 : value;
  }

  /** Leaves out the rest of a byte and the restart marker that follows. */
  restart(): void {
    this.#count = 0;
    const marker = this.#bytes[this.at + 1] as number;
    if (this.#bytes[this.at] !== 0xff || marker < 0xd0 || marker > 0xd7)
      throw new Error('its compressed data are damaged: a restart mark is missing');
    this.at += 2;
  }
}

export interface Component {
  /** Factors of sampling. */
  readonly h: number;
  readonly v: number;
  /** Blocks that hold pixels, and those that the rows of blocks are padded to. */
  readonly columns: number;
  readonly rows: number;
  readonly paddedColumns: number;
  readonly coefficients: Int16Array;
}

export interface Scan {
  readonly components: readonly {
    readonly component: Component;
    readonly direct: HuffmanTable | undefined;
    readonly alternating: HuffmanTable | undefined;
  }[];
  readonly progressive: boolean;
  /** The first and the last coefficient, in zigzag order. */
  readonly start: number;
  readonly end: number;
  /** Bits that earlier scans and this one leave out. */
  readonly high: number;
  readonly low: number;
  /** Units from one restart marker to the next, 0 without. */
  readonly restartInterval: number;
  /** Units of the image: blocks of all components together. */
  readonly unitColumns: number;
  readonly unitRows: number;
}

function needed(table: HuffmanTable | undefined): HuffmanTable {
  if (!table) throw new Error('a Huffman table is missing');
  return table;
}

/** Reads one scan into the coefficients of its components; returns where it ends. */
export function readScan(bytes: Uint8Array, from: number, scan: Scan): number {
  const { start, end, high, low, components } = scan;
  const bits = new ScanBits(bytes, from);
  const predictions = new Int32Array(components.length);
  let ended = 0;

  const sequential = (
    c: Int16Array,
    at: number,
    direct: HuffmanTable,
    alternating: HuffmanTable,
    i: number,
  ) => {
    predictions[i] = (predictions[i] as number) + bits.signed(direct.read(bits) & 15);
    c[at] = predictions[i] as number;
    for (let k = 1; k < 64; k++) {
      const symbol = alternating.read(bits);
      const size = symbol & 15;
      if (size === 0 && symbol < 0xf0) break;
      k += symbol >> 4;
      if (k > 63) throw new Error('its compressed data are damaged: a block is too long');
      if (size > 0) c[at + (zigzag[k] as number)] = bits.signed(size);
    }
  };
  const first = (c: Int16Array, at: number, table: HuffmanTable) => {
    if (ended > 0) {
      ended--;
      return;
    }
    for (let k = start; k <= end; k++) {
      const symbol = table.read(bits);
      const size = symbol & 15;
      const run = symbol >> 4;
      if (size === 0 && run < 15) {
        ended = (1 << run) + bits.read(run) - 1;
        return;
      }
      k += run;
      if (k > 63) throw new Error('its compressed data are damaged: a block is too long');
      if (size > 0) c[at + (zigzag[k] as number)] = bits.signed(size) << low;
    }
  };
  /** One more bit of a coefficient that is not zero yet. */
  const refine = (c: Int16Array, i: number) => {
    if (bits.read(1) === 0) return;
    const value = c[i] as number;
    if ((Math.abs(value) & (1 << low)) === 0) c[i] = value + (value < 0 ? -1 << low : 1 << low);
  };
  const again = (c: Int16Array, at: number, table: HuffmanTable) => {
    let k = start;
    if (ended === 0)
      for (; k <= end; k++) {
        const symbol = table.read(bits);
        let run = symbol >> 4;
        let value = 0;
        if ((symbol & 15) > 0) value = bits.read(1) === 1 ? 1 << low : -1 << low;
        else if (run < 15) {
          ended = (1 << run) + bits.read(run);
          break;
        }
        for (; k <= end; k++) {
          const i = at + (zigzag[k] as number);
          if (c[i] !== 0) refine(c, i);
          else if (run-- === 0) {
            if (value !== 0) c[i] = value;
            break;
          }
        }
      }
    if (ended === 0) return;
    for (; k <= end; k++) {
      const i = at + (zigzag[k] as number);
      if (c[i] !== 0) refine(c, i);
    }
    ended--;
  };
  const block = (i: number, row: number, column: number) => {
    const { component, direct, alternating } = components[i] as Scan['components'][number];
    const c = component.coefficients;
    const at = (row * component.paddedColumns + column) * 64;
    if (!scan.progressive) sequential(c, at, needed(direct), needed(alternating), i);
    else if (start > 0) (high === 0 ? first : again)(c, at, needed(alternating));
    else if (high === 0) {
      predictions[i] = (predictions[i] as number) + bits.signed(needed(direct).read(bits) & 15);
      c[at] = (predictions[i] as number) << low;
    } else if (bits.read(1) === 1) c[at] = (c[at] as number) | (1 << low);
  };

  const only = components.length === 1 ? (components[0] as Scan['components'][number]).component : undefined;
  const across = only ? only.columns : scan.unitColumns;
  const count = across * (only ? only.rows : scan.unitRows);
  for (let unit = 0; unit < count; unit++) {
    if (scan.restartInterval > 0 && unit > 0 && unit % scan.restartInterval === 0) {
      bits.restart();
      predictions.fill(0);
      ended = 0;
    }
    const [y, x] = [Math.floor(unit / across), unit % across];
    if (only) block(0, y, x);
    else
      components.forEach(({ component: { h, v } }, i) => {
        for (let r = 0; r < v; r++) for (let q = 0; q < h; q++) block(i, y * v + r, x * h + q);
      });
  }
  return bits.at;
}
