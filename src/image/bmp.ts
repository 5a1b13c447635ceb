/**
 * Windows and OS/2 bitmaps: palettes of 1, 2, 4 and 8 bits, 16, 24 and 32 bits with any masks, RLE4 and
 * RLE8, rows in either order. Values are Pillow's; what Pillow refuses but the format allows (unusual masks,
 * short headers) is read as the format says.
 */
import { checkSize, type Header, type Stored } from './stored.ts';

const uncompressed = 0;
const rle8 = 1;
const rle4 = 2;
const bitFields = 3;
const alphaBitFields = 6;
const fileHeader = 14;

/** How the pixels lie. */
export interface Layout {
  readonly bits: number;
  readonly compression: number;
  readonly topDown: boolean;
  /** Where the pixels begin. */
  readonly offset: number;
  /** RGB of each colour; empty without a palette. */
  readonly palette: readonly (readonly [number, number, number])[];
  readonly masks: readonly [number, number, number];
}

export function isBmp(bytes: Uint8Array): boolean {
  return bytes[0] === 0x42 && bytes[1] === 0x4d;
}

function readPalette(bytes: Uint8Array, start: number, entrySize: number, count: number): Layout['palette'] {
  const end = start + count * entrySize;
  if (end > bytes.length) throw new Error('the file is truncated in its palette');
  return Array.from({ length: count }, (_, i) => {
    const at = start + i * entrySize;
    return [bytes[at + 2] as number, bytes[at + 1] as number, bytes[at] as number] as const;
  });
}

/** Size, bits and where everything lies. */
export function readBmp(bytes: Uint8Array): { header: Header; layout: Layout } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = view.getUint32(fileHeader, true);
  const core = size === 12;
  if (!core && !(size >= 16 && size <= 124))
    throw new Error(`its header has ${size} bytes, no bitmap's header has`);
  // Short OS/2 headers leave out fields at their end. Those fields are zero.
  const field = (at: number) => (at + 4 <= size ? view.getUint32(fileHeader + at, true) : 0);
  const width = core ? view.getUint16(18, true) : view.getInt32(18, true);
  const signedHeight = core ? view.getUint16(20, true) : view.getInt32(22, true);
  const bits = view.getUint16(core ? 24 : 28, true);
  const compression = core ? uncompressed : field(16);
  const height = Math.abs(signedHeight);
  checkSize(width, height);
  const allowed: Readonly<Record<number, readonly number[]>> = {
    [uncompressed]: [1, 2, 4, 8, 16, 24, 32],
    [rle8]: [8],
    [rle4]: [4],
    [bitFields]: size === 64 ? [] : [16, 32],
    [alphaBitFields]: [16, 32],
  };
  if (!allowed[compression]?.includes(bits))
    throw new Error(
      `${bits} bits with compression ${compression} is no bitmap that can be read: save it as PNG`,
    );

  let masks: Layout['masks'] = bits === 16 ? [0x7c00, 0x03e0, 0x001f] : [0xff0000, 0xff00, 0xff];
  let start = fileHeader + size;
  if (compression === bitFields || compression === alphaBitFields) {
    const found = [0, 4, 8].map((at) => view.getUint32(fileHeader + 40 + at, true)) as [
      number,
      number,
      number,
    ];
    // All zero: the usual order, as Pillow takes it.
    if (found.some((mask) => mask !== 0)) masks = found;
    if (size === 40) start += compression === bitFields ? 12 : 16;
  }
  const entrySize = core ? 3 : 4;
  const stated = view.getUint32(10, true);
  // An offset that points into the header, or to the header's end where a palette follows, is wrong.
  const afterPalette = stated > start;
  const room = afterPalette ? Math.floor((stated - start) / entrySize) : 2 ** bits;
  const used = core ? 0 : field(32);
  const count = bits <= 8 ? Math.min(used || 2 ** bits, 2 ** bits, room) : 0;
  const palette = readPalette(bytes, start, entrySize, count);
  const offset = afterPalette || (bits > 8 && stated === start) ? stated : start + count * entrySize;
  const channels = palette.every(([r, g, b]) => r === g && g === b) && bits <= 8 ? 1 : bits === 32 ? 4 : 3;
  return {
    header: { format: 'bmp', width, height, channels, depth: bits === 16 ? 5 : 8, orientation: 1 },
    layout: { bits, compression, topDown: signedHeight < 0, offset, palette, masks },
  };
}

/** Indices of the palette, row by row as they lie in the file. Pixels that the file skips have index 0. */
function unpackRuns(
  bytes: Uint8Array,
  start: number,
  width: number,
  height: number,
  nibbles: boolean,
): Uint8Array {
  const indices = new Uint8Array(width * height);
  let at = start;
  let x = 0;
  let y = 0;
  const next = () => {
    if (at >= bytes.length) throw new Error('the file is truncated in its runs');
    return bytes[at++] as number;
  };
  const put = (value: number) => {
    if (x < width) indices[y * width + x++] = value;
  };
  while (y < height) {
    // A full picture needs no end mark.
    if (at >= bytes.length && y === height - 1 && x >= width) break;
    const count = next();
    const value = next();
    if (count > 0) {
      for (let i = 0; i < count; i++) put(nibbles ? (i % 2 ? value & 15 : value >> 4) : value);
    } else if (value === 0) {
      x = 0;
      y++;
    } else if (value === 1) {
      if (y < height - 1 || x < width) throw new Error('its runs end before the picture is full');
      break;
    } else if (value === 2) {
      x += next();
      y += next();
      if (x > width || y >= height) throw new Error('its runs leave the picture');
    } else {
      const size = nibbles ? Math.ceil(value / 2) : value;
      if (at + size > bytes.length) throw new Error('the file is truncated in its runs');
      for (let i = 0; i < value; i++) {
        const byte = bytes[at + (nibbles ? i >> 1 : i)] as number;
        put(nibbles ? (i % 2 ? byte & 15 : byte >> 4) : byte);
      }
      at += size + (size % 2);
    }
  }
  return indices;
}

/** Bytes of one row, without its padding. */
function rowBytes(width: number, bits: number): number {
  return Math.ceil((width * bits) / 8);
}

/** Indices of the palette, row by row as they lie in the file. */
function unpackIndices(
  bytes: Uint8Array,
  width: number,
  height: number,
  { bits, offset }: Layout,
): Uint8Array {
  const stride = Math.ceil((width * bits) / 32) * 4;
  const indices = new Uint8Array(width * height);
  const mask = 2 ** bits - 1;
  for (let y = 0; y < height; y++) {
    const row = offset + y * stride;
    if (bits === 8) indices.set(bytes.subarray(row, row + width), y * width);
    else
      for (let x = 0; x < width; x++)
        indices[y * width + x] =
          ((bytes[row + ((x * bits) >> 3)] as number) >> (8 - bits - ((x * bits) & 7))) & mask;
  }
  return indices;
}

/** The shift of a mask and the 8-bit value of each of its values. */
function maskTable(mask: number): { shift: number; table: Uint8Array } {
  if (mask === 0) return { shift: 0, table: new Uint8Array(1) };
  let shift = Math.log2((mask & -mask) >>> 0);
  let largest = mask >>> shift;
  if ((largest & (largest + 1)) !== 0) throw new Error(`its mask ${mask.toString(16)} has gaps`);
  while (largest > 255) {
    largest >>>= 1;
    shift++;
  }
  return {
    shift,
    table: Uint8Array.from({ length: largest + 1 }, (_, i) => Math.floor((i * 255) / largest)),
  };
}

/** RGB rows as they lie in the file. */
function unpackColours(bytes: Uint8Array, width: number, height: number, layout: Layout): Uint8Array {
  const { bits, offset, masks } = layout;
  const size = bits / 8;
  const stride = Math.ceil((width * bits) / 32) * 4;
  const rgb = new Uint8Array(width * height * 3);
  const plain = bits >= 24 && masks[0] === 0xff0000 && masks[1] === 0xff00 && masks[2] === 0xff;
  const tables = masks.map(maskTable);
  let target = 0;
  for (let y = 0; y < height; y++) {
    let at = offset + y * stride;
    for (let x = 0; x < width; x++, at += size) {
      if (plain) {
        rgb[target++] = bytes[at + 2] as number;
        rgb[target++] = bytes[at + 1] as number;
        rgb[target++] = bytes[at] as number;
        continue;
      }
      let pixel = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
      if (size === 4) pixel |= ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24);
      for (const { shift, table } of tables)
        rgb[target++] = table[(pixel >>> shift) & (table.length - 1)] as number;
    }
  }
  return rgb;
}

function reverseRows(data: Uint8Array, height: number): void {
  const row = data.length / height;
  for (let top = 0, bottom = height - 1; top < bottom; top++, bottom--) {
    const kept = data.slice(top * row, (top + 1) * row);
    data.copyWithin(top * row, bottom * row, (bottom + 1) * row);
    data.set(kept, bottom * row);
  }
}

/**
 * Decodes a bitmap.
 *
 * @throws Error where data end too early, or a pixel asks for a colour that the palette does not have
 */
export function decodeBmp(bytes: Uint8Array, header: Header, layout: Layout): Stored {
  const { width, height } = header;
  const runs = layout.compression === rle8 || layout.compression === rle4;
  if (!runs) {
    const stride = Math.ceil((width * layout.bits) / 32) * 4;
    const needed = layout.offset + (height - 1) * stride + rowBytes(width, layout.bits);
    if (needed > bytes.length)
      throw new Error(
        `the file is truncated: ${bytes.length} bytes, ${width}x${height} pixels need ${needed}`,
      );
  }
  // Four bytes of RLE skip 255 x 255 pixels at most.
  if (runs) checkSize(width, height, 1, Math.max(bytes.length - layout.offset, 0), 255 ** 2 / 4);
  const grey = header.channels === 1;
  let data: Uint8Array;
  if (layout.bits > 8) data = unpackColours(bytes, width, height, layout);
  else {
    const indices = runs
      ? unpackRuns(bytes, layout.offset, width, height, layout.compression === rle4)
      : unpackIndices(bytes, width, height, layout);
    const { palette } = layout;
    let largest = 0;
    for (const index of indices) if (index > largest) largest = index;
    if (largest >= palette.length)
      throw new Error(`a pixel asks for colour ${largest}, the palette has ${palette.length} colours`);
    data = grey ? indices : new Uint8Array(indices.length * 3);
    const table = Uint8Array.from(palette.flat());
    indices.forEach((index, i) => {
      if (grey) data[i] = table[index * 3] as number;
      else for (let c = 0; c < 3; c++) data[i * 3 + c] = table[index * 3 + c] as number;
    });
  }
  if (!layout.topDown) reverseRows(data, height);
  return { width, height, channels: grey ? 1 : 3, data };
}
