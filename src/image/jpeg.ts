/**
 * JPEG decoding for what browsers do not give as stored: CMYK, and pieces of JPEG inside TIFF. The values are
 * bit for bit those of libjpeg with its usual settings, so those of Pillow and Node.
 */
import { type Component, HuffmanTable, readScan, zigzag } from './jpeg_scan.ts';
import type { JpegColours } from './jpeg_segments.ts';
import { enlarge, inverseTransform } from './jpeg_transform.ts';
import { checkSize, cmykToRgb, type Stored } from './stored.ts';

interface Frame {
  readonly progressive: boolean;
  readonly width: number;
  readonly height: number;
  readonly unitColumns: number;
  readonly unitRows: number;
  readonly components: readonly (Component & { readonly name: number; readonly table: number })[];
}

function readFrame(data: Uint8Array, marker: number, available: number): Frame {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (view.getUint8(0) !== 8) throw new Error(`a JPEG of ${view.getUint8(0)} bits cannot be read`);
  const [height, width, count] = [view.getUint16(1), view.getUint16(3), view.getUint8(5)];
  // A block of 64 samples takes a few bits at least.
  checkSize(width, height, 1, available, 1024);
  if (count < 1 || count > 4) throw new Error(`a JPEG of ${count} components cannot be read`);
  const found = Array.from({ length: count }, (_, i) => {
    const at = 6 + 3 * i;
    const [name, factors, table] = [view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2)];
    return { name, h: factors >> 4, v: factors & 15, table };
  });
  if (found.some(({ h, v }) => h < 1 || h > 4 || v < 1 || v > 4))
    throw new Error('its factors of sampling do not exist');
  const most = { h: Math.max(...found.map(({ h }) => h)), v: Math.max(...found.map(({ v }) => v)) };
  if (found.some(({ h, v }) => most.h % h !== 0 || most.v % v !== 0))
    throw new Error('its factors of sampling are no multiples of each other: save it as PNG');
  const unitColumns = Math.ceil(width / (8 * most.h));
  const unitRows = Math.ceil(height / (8 * most.v));
  const components = found.map(({ name, h, v, table }) => ({
    ...{ name, h, v, table },
    columns: Math.ceil(Math.ceil((width * h) / most.h) / 8),
    rows: Math.ceil(Math.ceil((height * v) / most.v) / 8),
    paddedColumns: unitColumns * h,
    coefficients: new Int16Array(unitColumns * h * unitRows * v * 64),
  }));
  return { progressive: marker === 0xc2, width, height, unitColumns, unitRows, components };
}

/** Tables that stand in one place and are used in others. */
interface Tables {
  readonly quantization: (Uint16Array | undefined)[];
  readonly direct: (HuffmanTable | undefined)[];
  readonly alternating: (HuffmanTable | undefined)[];
  restartInterval: number;
}

function readQuantization(data: Uint8Array, { quantization }: Tables): void {
  for (let at = 0; at < data.length; ) {
    const wide = (data[at] as number) >> 4 > 0;
    const table = new Uint16Array(64);
    for (let i = 0; i < 64; i++) {
      const from = at + 1 + (wide ? 2 * i : i);
      const value = wide
        ? ((data[from] as number) << 8) | (data[from + 1] as number)
        : (data[from] as number);
      table[zigzag[i] as number] = value;
    }
    quantization[(data[at] as number) & 15] = table;
    at += wide ? 129 : 65;
  }
}

function readHuffman(data: Uint8Array, tables: Tables): void {
  for (let at = 0; at < data.length; ) {
    const counts = data.subarray(at + 1, at + 17);
    const symbols = counts.reduce((sum, count) => sum + count, 0);
    const kind = (data[at] as number) >> 4 === 0 ? tables.direct : tables.alternating;
    kind[(data[at] as number) & 15] = new HuffmanTable(counts, data.subarray(at + 17, at + 17 + symbols));
    at += 17 + symbols;
  }
}

function scanOf(data: Uint8Array, frame: Frame, tables: Tables): Parameters<typeof readScan>[2] {
  const count = data[0] as number;
  const components = Array.from({ length: count }, (_, i) => {
    const component = frame.components.find(({ name }) => name === data[1 + 2 * i]);
    const used = data[2 + 2 * i] as number;
    if (!component) throw new Error('a scan names a component that does not exist');
    return { component, direct: tables.direct[used >> 4], alternating: tables.alternating[used & 15] };
  });
  const [start, end, bits] = data.subarray(1 + 2 * count) as unknown as [number, number, number];
  if (frame.progressive && (start > end || end > 63 || (start > 0 && count > 1)))
    throw new Error('a scan names coefficients that do not exist');
  const { progressive, unitColumns, unitRows } = frame;
  const { restartInterval } = tables;
  return {
    ...{ components, progressive, start, end, high: bits >> 4, low: bits & 15 },
    restartInterval,
    unitColumns,
    unitRows,
  };
}

/**
 * The components of a JPEG, interleaved and at the size of the image; `tables` of another file come before
 * its own.
 */
function readComponents(bytes: Uint8Array, tables: Tables): { frame: Frame | undefined; data: Uint8Array } {
  let frame: Frame | undefined;
  let scans = 0;
  let at = 2;
  while (at + 4 <= bytes.length) {
    if (bytes[at] !== 0xff) throw new Error(`byte ${at} is no marker: the file is damaged`);
    const marker = bytes[at + 1] as number;
    if (marker === 0xd9) break;
    if (marker === 0xff || (marker >= 0xd0 && marker <= 0xd7)) {
      at += marker === 0xff ? 1 : 2;
      continue;
    }
    const end = at + 2 + (((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number));
    if (end > bytes.length) throw new Error('the file is truncated');
    const data = bytes.subarray(at + 4, end);
    at = end;
    if (marker === 0xdb) readQuantization(data, tables);
    else if (marker === 0xc4) readHuffman(data, tables);
    else if (marker === 0xdd) tables.restartInterval = ((data[0] as number) << 8) | (data[1] as number);
    else if (marker >= 0xc0 && marker <= 0xc2) {
      if (frame) throw new Error('it has two frames');
      frame = readFrame(data, marker, bytes.length);
    } else if (marker > 0xc2 && marker < 0xd0 && marker !== 0xc8)
      throw new Error('arithmetic coding and lossless JPEG cannot be read: save it as PNG');
    else if (marker === 0xda) {
      if (!frame) throw new Error('it has no frame');
      // A file may ask for endless passes over all blocks, each of which takes time. No encoder writes so
      // many.
      if (++scans > 100) throw new Error('it has more than 100 scans');
      at = readScan(bytes, end, scanOf(data, frame, tables));
    }
  }
  if (!frame) return { frame, data: new Uint8Array() };
  if (scans === 0) throw new Error('the file is truncated: it has no pixels');
  return { frame, data: interleaved(frame, tables) };
}

function interleaved({ width, height, components }: Frame, tables: Tables): Uint8Array {
  const [most, highest] = [
    Math.max(...components.map(({ h }) => h)),
    Math.max(...components.map(({ v }) => v)),
  ];
  const count = components.length;
  const result = new Uint8Array(width * height * count);
  components.forEach(({ h, v, rows, columns, paddedColumns, coefficients, table }, c) => {
    const steps = tables.quantization[table];
    if (!steps) throw new Error('a table of quantization is missing');
    const stride = columns * 8;
    const samples = new Uint8Array(stride * rows * 8);
    const block = new Int32Array(64);
    for (let y = 0; y < rows; y++)
      for (let x = 0; x < columns; x++) {
        const from = (y * paddedColumns + x) * 64;
        for (let i = 0; i < 64; i++)
          block[i] = Math.imul(coefficients[from + i] as number, steps[i] as number);
        inverseTransform(block, samples, y * 8 * stride + x * 8, stride);
      }
    const own = {
      width: Math.ceil((width * h) / most),
      height: Math.ceil((height * v) / highest),
      stride,
      data: samples,
    };
    const full = enlarge(own, most / h, highest / v);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        result[(y * width + x) * count + c] = full.data[y * full.stride + x] as number;
  });
  return result;
}

function clamp(value: number): number {
  return Math.min(Math.max(value, 0), 255);
}

/** Y, Cb, Cr at the start of each pixel become R, G, B, in place. */
function toRgb(data: Uint8Array, count: number): void {
  for (let i = 0; i + count <= data.length; i += count) {
    const [y, cb, cr] = [data[i] as number, (data[i + 1] as number) - 128, (data[i + 2] as number) - 128];
    data[i] = clamp(y + ((91881 * cr + 32768) >> 16));
    data[i + 1] = clamp(y + ((-22554 * cb - 46802 * cr + 32768) >> 16));
    data[i + 2] = clamp(y + ((116130 * cb + 32768) >> 16));
  }
}

/**
 * Decodes a JPEG.
 *
 * @param tablesFile a JPEG of tables alone, which pieces in TIFF share
 * @throws Error where it is damaged, ends too early, or is of a rare kind
 */
export function decodeJpeg(
  bytes: Uint8Array,
  colours: JpegColours,
  tablesFile?: Uint8Array,
): Stored & { data: Uint8Array } {
  const tables: Tables = { quantization: [], direct: [], alternating: [], restartInterval: 0 };
  if (tablesFile && tablesFile.length > 4) readComponents(tablesFile, tables);
  const { frame, data } = readComponents(bytes, tables);
  if (!frame) throw new Error('the file is truncated: it has no frame');
  const { width, height } = frame;
  const count = frame.components.length;
  const wanted = colours === 'grey' ? 1 : colours === 'cmyk' || colours === 'ycck' ? 4 : 3;
  if (count !== wanted) throw new Error(`it has ${count} components, ${wanted} were expected`);
  if (colours === 'ycc' || colours === 'ycck') toRgb(data, count);
  if (count < 4) return { width, height, channels: count as 1 | 3, data };
  // Files store inks inverted. The RGB that YCCK gives, inverted once more, is its inks.
  for (let i = 0; i < data.length; i++)
    if (colours === 'cmyk' || i % 4 === 3) data[i] = 255 - (data[i] as number);
  return { width, height, channels: 3, data: cmykToRgb(data) };
}
