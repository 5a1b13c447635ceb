/**
 * TIFF: the first page, in strips or tiles, planes together or apart, of either byte order. Grey (both
 * kinds), RGB, palette and CMYK of 1 to 16 bits. Compressions for which {@link needsCodec} is true are left
 * to the platform.
 */

import { decodeJpeg } from './jpeg.ts';
import { checkSize, cmykToRgb, firstChannels, type Header, type Stored } from './stored.ts';
import { unpackBits, unpackDeflate, unpackLzw } from './tiff_compression.ts';
import { type Directory, readDirectory } from './tiff_directory.ts';

const tags = {
  width: 256,
  height: 257,
  bits: 258,
  compression: 259,
  photometric: 262,
  fillOrder: 266,
  stripOffsets: 273,
  orientation: 274,
  samples: 277,
  rowsPerStrip: 278,
  stripBytes: 279,
  planar: 284,
  predictor: 317,
  colourMap: 320,
  tileWidth: 322,
  tileHeight: 323,
  tileOffsets: 324,
  tileBytes: 325,
  extraSamples: 338,
  jpegTables: 347,
  sampleFormat: 339,
} as const;

const whiteIsZero = 0;
const blackIsZero = 1;
const rgb = 2;
const palette = 3;
const cmyk = 5;
const ycc = 6;
const colours: Readonly<Record<number, number>> = {
  [whiteIsZero]: 1,
  [blackIsZero]: 1,
  [rgb]: 3,
  [palette]: 1,
  [cmyk]: 4,
  [ycc]: 3,
};

const none = 1;
const lzw = 5;
const jpeg = 7;
const deflate = 8;
const packBits = 32773;
const oldDeflate = 32946;
/** How many bytes one compressed byte can become at most. */
const expansions: Readonly<Record<number, number>> = {
  [none]: 1,
  [lzw]: 4096,
  [jpeg]: 1024,
  [deflate]: 1032,
  [packBits]: 128,
  [oldDeflate]: 1032,
};

/** How the pixels lie. */
export interface Layout {
  readonly directory: Directory;
  readonly compression: number;
  readonly photometric: number;
  readonly samples: number;
  readonly bits: number;
  /** 1 whole numbers, 2 signed ones, 3 floating point. */
  readonly sampleFormat: number;
  readonly tiled: boolean;
  readonly blockWidth: number;
  readonly blockHeight: number;
  readonly separate: boolean;
}

/** Size, depth, orientation and how the pixels lie. */
export function readTiff(bytes: Uint8Array): { header: Header; layout: Layout } {
  const directory = readDirectory(bytes);
  const one = (tag: number, missing: number) => directory.values(tag)[0] ?? missing;
  const [width, height] = [one(tags.width, 0), one(tags.height, 0)];
  checkSize(width, height);
  const samples = one(tags.samples, 1);
  const depths = directory.values(tags.bits);
  const bits = depths[0] ?? 1;
  if (samples < 1 || samples > 64 || bits < 1 || bits > 64)
    throw new Error(`its header says ${samples} channels of ${bits} bits`);
  if (depths.some((depth) => depth !== bits))
    throw new Error(`channels of ${depths.join(', ')} bits cannot be read together`);
  const photometric = one(tags.photometric, samples >= 3 ? rgb : blackIsZero);
  const tiled = directory.values(tags.tileWidth).length > 0;
  const orientation = one(tags.orientation, 1);
  const colourMap = photometric === palette ? 2 : 0;
  return {
    header: {
      format: 'tiff',
      width,
      height,
      channels: samples + colourMap,
      depth: photometric === palette ? 8 : bits,
      orientation: orientation >= 1 && orientation <= 8 ? orientation : 1,
    },
    layout: {
      directory,
      compression: one(tags.compression, none),
      photometric,
      samples,
      bits,
      sampleFormat: one(tags.sampleFormat, 1),
      tiled,
      blockWidth: tiled ? one(tags.tileWidth, 0) : width,
      blockHeight: tiled ? one(tags.tileHeight, 0) : Math.min(one(tags.rowsPerStrip, height), height),
      separate: one(tags.planar, 1) === 2 && samples > 1,
    },
  };
}

/**
 * Whether a codec of the platform must undo the compression: fax codes and newer ones are not undone here,
 * and for JPEG a codec is faster.
 */
export function needsCodec({ compression }: Layout): boolean {
  return compression === jpeg || expansions[compression] === undefined;
}

/** Compressions that predictors go with. */
const predicted: ReadonlySet<number> = new Set([lzw, deflate, oldDeflate]);

type Values = Uint8Array | Uint16Array | Uint32Array | Float32Array | Float64Array;

function valuesFor({ bits, sampleFormat }: Layout, count: number): Values {
  if (sampleFormat === 3) {
    if (bits === 32) return new Float32Array(count);
    if (bits === 64) return new Float64Array(count);
    throw new Error(`floating point of ${bits} bits cannot be read: save 8 bits`);
  }
  if (bits <= 8) return new Uint8Array(count);
  if (bits <= 16) return new Uint16Array(count);
  if (bits === 32) return new Uint32Array(count);
  throw new Error(`whole numbers of ${bits} bits cannot be read: save 8 bits`);
}

/** The values of one row of a block: whole bytes by the file's order, others from the highest bit on. */
function readRow(row: Uint8Array, target: Values, bits: number, little: boolean): void {
  const view = new DataView(row.buffer, row.byteOffset, row.byteLength);
  for (let i = 0; i < target.length; i++) {
    if (bits === 8) target[i] = row[i] as number;
    else if (bits === 16) target[i] = view.getUint16(2 * i, little);
    else if (bits === 32)
      target[i] =
        target instanceof Float32Array ? view.getFloat32(4 * i, little) : view.getUint32(4 * i, little);
    else if (bits === 64) target[i] = view.getFloat64(8 * i, little);
    else {
      let value = 0;
      for (let left = bits, at = i * bits; left > 0; ) {
        const free = 8 - (at & 7);
        const taken = Math.min(free, left);
        value = (value << taken) | (((row[at >> 3] as number) >> (free - taken)) & ((1 << taken) - 1));
        at += taken;
        left -= taken;
      }
      target[i] = value;
    }
  }
}

/**
 * Undoes the difference to the pixel on the left; the byte planes of floating point become the file's own
 * order.
 */
function undoPredictor(
  row: Uint8Array,
  samples: number,
  { bits, directory: { little } }: Layout,
  predictor: number,
): void {
  if (predictor === 3) {
    for (let i = samples; i < row.length; i++) row[i] = (row[i] as number) + (row[i - samples] as number);
    const size = bits / 8;
    const planes = row.slice();
    const count = row.length / size;
    for (let i = 0; i < count; i++)
      for (let b = 0; b < size; b++)
        row[i * size + (little ? size - 1 - b : b)] = planes[b * count + i] as number;
    return;
  }
  if (predictor !== 2 || ![8, 16, 32].includes(bits))
    throw new Error(`predictor ${predictor} of ${bits} bits cannot be read`);
  if (bits === 8) {
    for (let i = samples; i < row.length; i++) row[i] = (row[i] as number) + (row[i - samples] as number);
    return;
  }
  const view = new DataView(row.buffer, row.byteOffset, row.byteLength);
  const count = row.length / (bits / 8);
  for (let i = samples; i < count; i++) {
    const left = i - samples;
    if (bits === 16)
      view.setUint16(2 * i, view.getUint16(2 * i, little) + view.getUint16(2 * left, little), little);
    else view.setUint32(4 * i, view.getUint32(4 * i, little) + view.getUint32(4 * left, little), little);
  }
}

const reversed = Uint8Array.from({ length: 256 }, (_, value) => {
  let result = 0;
  for (let bit = 0; bit < 8; bit++) result |= ((value >> bit) & 1) << (7 - bit);
  return result;
});

function unpack(source: Uint8Array, compression: number, size: number): Uint8Array {
  if (compression === none) {
    if (source.length < size) throw new Error('the file is truncated: a block of its pixels is too short');
    return source.slice(0, size);
  }
  if (compression === packBits) return unpackBits(source, size);
  if (compression === lzw) return unpackLzw(source, size);
  return unpackDeflate(source, size);
}

/** A block that is a JPEG of its own, but for tables that all blocks share. */
function unpackJpeg(source: Uint8Array, layout: Layout, rows: number, samples: number): Uint8Array {
  const { directory, photometric, bits, blockWidth } = layout;
  if (bits !== 8) throw new Error(`JPEG of ${bits} bits in TIFF cannot be read: save it with LZW`);
  const kind = samples === 1 ? 'grey' : photometric === ycc ? 'ycc' : 'rgb';
  const { width, height, data } = decodeJpeg(source, kind, directory.bytes(tags.jpegTables));
  if (width !== blockWidth || height < rows) throw new Error('a block of its pixels is too small');
  return data;
}

/** All values of the file, channels interleaved. */
function readValues(bytes: Uint8Array, { width, height }: Header, layout: Layout): Values {
  const { directory, compression, samples, bits, tiled, blockWidth, blockHeight, separate } = layout;
  if (!(blockWidth > 0 && blockHeight > 0) || blockWidth > 2 * width + 65536)
    throw new Error(`its blocks have ${blockWidth}x${blockHeight} pixels`);
  const across = Math.ceil(width / blockWidth);
  const down = Math.ceil(height / blockHeight);
  const planes = separate ? samples : 1;
  const perBlock = separate ? 1 : samples;
  const offsets = directory.values(tiled ? tags.tileOffsets : tags.stripOffsets);
  let sizes = directory.values(tiled ? tags.tileBytes : tags.stripBytes);
  if (!sizes.length && offsets.length === 1) sizes = [bytes.length - (offsets[0] as number)];
  if (Math.min(offsets.length, sizes.length) < across * down * planes)
    throw new Error(
      `its header names ${offsets.length} blocks, ${width}x${height} pixels need ${across * down * planes}`,
    );
  const available = sizes.reduce((sum, size) => sum + size, 0);
  checkSize(width, height, (samples * bits) / 8, Math.min(available, bytes.length), expansions[compression]);
  const values = valuesFor(layout, width * height * samples);
  const predictor = directory.values(tags.predictor)[0] ?? 1;
  const reverse = directory.values(tags.fillOrder)[0] === 2;
  const rowBytes = Math.ceil((blockWidth * perBlock * bits) / 8);
  const line = new (values.constructor as new (length: number) => Values)(blockWidth * perBlock);
  for (let block = 0; block < across * down * planes; block++) {
    const plane = Math.floor(block / (across * down));
    const top = Math.floor((block % (across * down)) / across) * blockHeight;
    const left = (block % across) * blockWidth;
    const rows = Math.min(blockHeight, height - top);
    const columns = Math.min(blockWidth, width - left);
    const at = offsets[block] as number;
    let source = bytes.subarray(at, at + (sizes[block] as number));
    if (source.length < (sizes[block] as number))
      throw new Error('the file is truncated: its pixels lie outside');
    if (reverse) source = source.map((byte) => reversed[byte] as number);
    const unpacked =
      compression === jpeg
        ? unpackJpeg(source, layout, rows, perBlock)
        : unpack(source, compression, rows * rowBytes);
    for (let y = 0; y < rows; y++) {
      const packed = unpacked.subarray(y * rowBytes, (y + 1) * rowBytes);
      if (predictor !== 1 && predicted.has(compression)) undoPredictor(packed, perBlock, layout, predictor);
      const target = ((top + y) * width + left) * samples + plane;
      if (bits === 8 && !separate) values.set(packed.subarray(0, columns * samples), target);
      else {
        readRow(packed, line, bits, directory.little);
        if (!separate) values.set(line.subarray(0, columns * samples), target);
        else for (let x = 0; x < columns; x++) values[target + x * samples] = line[x] as number;
      }
    }
  }
  return values;
}

/** Refuses values that become 8 bits only by a choice of the user; the message names what was found. */
function refuse(values: Values, { bits, sampleFormat }: Layout): never {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const shift = 2 ** bits;
  for (const value of values) {
    const signed = sampleFormat === 2 && value >= shift / 2 ? value - shift : value;
    if (signed < low) low = signed;
    if (signed > high) high = signed;
  }
  const kind =
    sampleFormat === 3 ? 'floating point' : sampleFormat === 2 ? 'signed whole numbers' : 'whole numbers';
  throw new Error(
    `${kind} of ${bits} bits, values ${Number(low.toPrecision(6))} to ${Number(high.toPrecision(6))}: ` +
      'which of them is black and which is white is not known. Scale them to 0 to 255, all images alike, ' +
      'and save 8 bits',
  );
}

function fromPalette(values: Values, map: readonly number[]): Uint8Array {
  const size = map.length / 3;
  // Some writers store 8 bits where 16 belong.
  const shift = map.every((value) => value < 256) ? 0 : 8;
  const result = new Uint8Array(values.length * 3);
  for (let i = 0; i < values.length; i++) {
    const index = values[i] as number;
    if (index >= size) throw new Error(`a pixel asks for colour ${index}, the palette has ${size} colours`);
    for (let c = 0; c < 3; c++) result[i * 3 + c] = (map[c * size + index] as number) >> shift;
  }
  return result;
}

/** Colours that were multiplied by alpha, divided by it again as Pillow does. */
function divideByAlpha(values: Uint8Array, samples: number): void {
  for (let i = 0; i + samples <= values.length; i += samples) {
    const alpha = values[i + 3] as number;
    if (alpha === 255) continue;
    for (let c = 0; c < 3; c++)
      values[i + c] = alpha === 0 ? 0 : Math.min(Math.floor((255 * (values[i + c] as number)) / alpha), 255);
  }
}

/**
 * Decodes the first page of a TIFF file.
 *
 * @param alpha whether the alpha channel is kept
 * @throws Error for floating point, signed and 32-bit values, with the range that was found
 */
export function decodeTiff(bytes: Uint8Array, header: Header, layout: Layout, alpha: boolean): Stored {
  const { photometric, samples, bits, sampleFormat, directory, compression } = layout;
  const used = photometric === ycc && compression !== jpeg ? undefined : colours[photometric];
  if (used === undefined || samples < used)
    throw new Error(
      `photometric interpretation ${photometric} with ${samples} channels cannot be read: save RGB or grey`,
    );
  if (expansions[compression] === undefined)
    throw new Error(
      `TIFF with compression ${compression} cannot be read here, but without compression, with LZW, ` +
        'deflate, PackBits or JPEG: save it so, or as PNG',
    );
  const values = readValues(bytes, header, layout);
  if (!(values instanceof Uint8Array || values instanceof Uint16Array) || sampleFormat > 1)
    refuse(values, layout);
  const { width, height } = header;
  if (photometric === palette) {
    const data = fromPalette(firstChannels(values, samples, 1), directory.values(tags.colourMap));
    return { width, height, channels: 3, data };
  }
  const full = 2 ** bits - 1;
  if (photometric === whiteIsZero)
    for (let i = 0; i < values.length; i++) values[i] = full - (values[i] as number);
  let data: Uint8Array | Uint16Array = values;
  if (bits < 8) data = values.map((value) => Math.floor((value * 255) / full));
  // Packed 9 to 15 bits say how many they are: they fill 16.
  if (bits > 8 && bits < 16) data = Uint8Array.from(values, (value) => value >> (bits - 8));
  if (photometric === cmyk) {
    const bytesOfInk = data instanceof Uint8Array ? data : Uint8Array.from(data, (value) => value >> 8);
    const inks = samples === 4 ? bytesOfInk : bytesOfInk.filter((_, i) => i % samples < 4);
    return { width, height, channels: 3, data: cmykToRgb(inks) };
  }
  const colour = photometric === rgb || photometric === ycc;
  const extra = directory.values(tags.extraSamples)[0];
  if (colour && extra === 1 && samples >= 4 && data instanceof Uint8Array) divideByAlpha(data, samples);
  const channels = ((colour ? 3 : 1) + (alpha && (extra === 1 || extra === 2) ? 1 : 0)) as Stored['channels'];
  return { width, height, channels, data: firstChannels(data, samples, channels) };
}
