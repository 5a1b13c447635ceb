/**
 * PNG: every colour type, depth and interlacing. Gamma, chromaticities and profiles are left alone; alpha is
 * left out, and pixels that are transparent keep their colours. Values of 16 bits stay 16.
 */
import { exifOrientation } from './exif.ts';
import { inflate } from './inflate.ts';
import { checkSize, firstChannels, type Header, type Stored } from './stored.ts';

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

export function isPng(bytes: Uint8Array): boolean {
  return signature.every((value, i) => bytes[i] === value);
}

interface Chunk {
  readonly type: string;
  readonly data: Uint8Array;
  /** Type and data, which the check sum covers, and the sum. */
  readonly checked: Uint8Array;
  readonly sum: number;
}

/**
 * The chunks up to the last one of the image; those of a file that ends too early as far as they are whole.
 */
function* chunks(bytes: Uint8Array): Generator<Chunk> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = signature.length;
  while (at + 12 <= bytes.length) {
    const length = view.getUint32(at);
    const end = at + 8 + length;
    if (end + 4 > bytes.length) return;
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    yield {
      type,
      data: bytes.subarray(at + 8, end),
      checked: bytes.subarray(at + 4, end),
      sum: view.getUint32(end),
    };
    if (type === 'IEND') return;
    at = end + 4;
  }
}

const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

function crc(bytes: Uint8Array): number {
  let c = 0xffffffff;
  for (let i = 0; i < bytes.length; i++)
    c = (crcTable[(c ^ (bytes[i] as number)) & 255] as number) ^ (c >>> 8);
  return ~c >>> 0;
}

const samplesOf: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const depthsOf: Readonly<Record<number, readonly number[]>> = {
  0: [1, 2, 4, 8, 16],
  2: [8, 16],
  3: [1, 2, 4, 8],
  4: [8, 16],
  6: [8, 16],
};

interface Layout {
  readonly colourType: number;
  readonly bits: number;
  readonly interlaced: boolean;
}

/** Size, depth and orientation; reads no pixels. */
export function readPng(bytes: Uint8Array): { header: Header; layout: Layout } {
  let first: Uint8Array | undefined;
  let orientation = 1;
  let transparency = false;
  for (const { type, data } of chunks(bytes)) {
    if (!first) {
      if (type !== 'IHDR' || data.length !== 13) throw new Error('its first chunk is no header');
      first = data;
    } else if (type === 'eXIf') orientation = exifOrientation(data);
    else if (type === 'tRNS') transparency = true;
  }
  if (!first) throw new Error('the file is truncated in its header');
  const view = new DataView(first.buffer, first.byteOffset, 13);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [bits, colourType] = [view.getUint8(8), view.getUint8(9)];
  if (!depthsOf[colourType]?.includes(bits))
    throw new Error(`no PNG has ${bits} bits with colour type ${colourType}`);
  if (view.getUint8(10) !== 0 || view.getUint8(11) !== 0 || view.getUint8(12) > 1)
    throw new Error('its header names an unknown compression, filter or interlacing');
  checkSize(width, height);
  const colours = colourType === 3 ? 3 : (samplesOf[colourType] as number);
  const channels = colours + (transparency && colourType < 4 ? 1 : 0);
  return {
    header: { format: 'png', width, height, channels, depth: colourType === 3 ? 8 : bits, orientation },
    layout: { colourType, bits, interlaced: view.getUint8(12) === 1 },
  };
}

/** Undoes the filters of one image or interlacing pass, in place; returns where the next one begins. */
function unfilter(
  data: Uint8Array,
  start: number,
  rows: number,
  rowBytes: number,
  pixelBytes: number,
): number {
  let at = start;
  for (let y = 0; y < rows; y++) {
    const filter = data[at++] as number;
    const end = at + rowBytes;
    // The row above; the first row of a pass has zeros above it.
    const above = y === 0 ? -1 : at - rowBytes - 1;
    const up = (i: number) => (above < 0 ? 0 : (data[above + i] as number));
    switch (filter) {
      case 0:
        break;
      case 1:
        for (let i = at + pixelBytes; i < end; i++)
          data[i] = (data[i] as number) + (data[i - pixelBytes] as number);
        break;
      case 2:
        if (above >= 0)
          for (let i = 0; i < rowBytes; i++)
            data[at + i] = (data[at + i] as number) + (data[above + i] as number);
        break;
      case 3:
        for (let i = 0; i < rowBytes; i++) {
          const left = i < pixelBytes ? 0 : (data[at + i - pixelBytes] as number);
          data[at + i] = (data[at + i] as number) + ((left + up(i)) >> 1);
        }
        break;
      case 4:
        for (let i = 0; i < rowBytes; i++) {
          const a = i < pixelBytes ? 0 : (data[at + i - pixelBytes] as number);
          const b = up(i);
          const c = i < pixelBytes ? 0 : up(i - pixelBytes);
          const pa = Math.abs(b - c);
          const pb = Math.abs(a - c);
          const pc = Math.abs(a + b - 2 * c);
          data[at + i] = (data[at + i] as number) + (pa <= pb && pa <= pc ? a : pb <= pc ? b : c);
        }
        break;
      default:
        throw new Error(`a row names filter ${filter}, which does not exist`);
    }
    at = end;
  }
  return at;
}

/** Adam7: first column and row, steps to the right and down. */
const passes = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

/** Decodes a PNG file; damaged check sums are errors, as in Pillow and libpng. */
export async function decodePng(bytes: Uint8Array): Promise<Stored> {
  const { header, layout } = readPng(bytes);
  const { width, height } = header;
  const { bits, colourType, interlaced } = layout;
  const parts: Uint8Array[] = [];
  let palette: Uint8Array | undefined;
  for (const { type, data, checked, sum } of chunks(bytes)) {
    if (!['IHDR', 'PLTE', 'IDAT'].includes(type)) continue;
    if (crc(checked) !== sum)
      throw new Error(`the check sum of its ${type} chunk is wrong: the file is damaged`);
    if (type === 'IDAT') parts.push(data);
    if (type === 'PLTE') palette = data;
  }
  if (colourType === 3 && !palette) throw new Error('its palette is missing');
  const samples = samplesOf[colourType] as number;
  const bytesOf = (pixels: number) => Math.ceil((pixels * samples * bits) / 8);
  const parted = (interlaced ? passes : ([[0, 0, 1, 1]] as const)).map(([x, y, right, down]) => ({
    ...{ x, y, right, down },
    columns: Math.max(Math.ceil((width - x) / right), 0),
    rows: Math.max(Math.ceil((height - y) / down), 0),
  }));
  const filled = parted.filter(({ columns, rows }) => columns > 0 && rows > 0);
  const size = filled.reduce((sum, { columns, rows }) => sum + rows * (1 + bytesOf(columns)), 0);
  // Deflate makes at most 1032 bytes of one.
  const available = parts.reduce((sum, part) => sum + part.length, 0);
  checkSize(width, height, bytesOf(8) / 8, available, 1032);
  const data = await inflate(parts, size);
  const values =
    bits === 16 ? new Uint16Array(width * height * samples) : new Uint8Array(width * height * samples);
  const scale = colourType === 3 || bits >= 8 ? 1 : 255 / (2 ** bits - 1);
  let at = 0;
  for (const { x: left, y: top, right, down, columns, rows } of filled) {
    const rowBytes = bytesOf(columns);
    const end = unfilter(data, at, rows, rowBytes, bytesOf(1));
    for (let y = 0; y < rows; y++, at += rowBytes + 1) {
      const row = at + 1;
      let target = ((top + y * down) * width + left) * samples;
      if (bits === 8 && right === 1) values.set(data.subarray(row, row + rowBytes), target);
      else
        for (let x = 0; x < columns; x++, target += right * samples)
          for (let c = 0; c < samples; c++) {
            const i = x * samples + c;
            if (bits === 16)
              values[target + c] = ((data[row + 2 * i] as number) << 8) | (data[row + 2 * i + 1] as number);
            else if (bits === 8) values[target + c] = data[row + i] as number;
            else {
              const byte = data[row + ((i * bits) >> 3)] as number;
              values[target + c] = ((byte >> (8 - bits - ((i * bits) & 7))) & (2 ** bits - 1)) * scale;
            }
          }
    }
    at = end;
  }
  if (!palette) {
    const channels = samples < 3 ? 1 : 3;
    return { width, height, channels, data: firstChannels(values, samples, channels) };
  }
  const colours = Math.floor(palette.length / 3);
  const rgb = new Uint8Array(width * height * 3);
  values.forEach((index: number, i: number) => {
    if (index >= colours)
      throw new Error(`a pixel asks for colour ${index}, the palette has ${colours} colours`);
    for (let c = 0; c < 3; c++) rgb[i * 3 + c] = (palette as Uint8Array)[index * 3 + c] as number;
  });
  return { width, height, channels: 3, data: rgb };
}
