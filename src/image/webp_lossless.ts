/**
 * WebP's lossless pictures (RFC 9649, part 3), for browsers. Their own decoders multiply colours by alpha and
 * so lose colours; here every pixel keeps the colour that is stored.
 */
import { BitReader, PrefixCode } from './prefix_codes.ts';
import { checkSize } from './stored.ts';

const literals = 256;
const lengthCodes = 24;
const distanceCodes = 40;
const signature = 0x2f;

/** Pixels as 32-bit numbers: alpha, red, green, blue from the highest byte on. */
type Pixels = Uint32Array;

/**
 * What lies near a pixel, the nearest first: the first 120 distances count pixels to the left and rows up.
 */
const neighbours = Array.from({ length: 8 * 16 }, (_, i) => ({ up: i >> 4, left: (i & 15) - 7 }))
  .filter(({ up, left }) => up > 0 || left > 0)
  .sort((a, b) => a.up ** 2 + a.left ** 2 - b.up ** 2 - b.left ** 2 || b.up - a.up || b.left - a.left);

/** The order in which the lengths of the code for lengths are stored. */
const lengthOrder = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

function readCode(bits: BitReader, size: number): PrefixCode {
  const lengths = new Uint8Array(size);
  const set = (symbol: number) => {
    if (symbol >= size) throw new Error('its compressed data are damaged: a symbol does not exist');
    lengths[symbol] = 1;
  };
  if (bits.read(1) === 1) {
    const two = bits.read(1) === 1;
    set(bits.read(bits.read(1) === 1 ? 8 : 1));
    if (two) set(bits.read(8));
    return new PrefixCode(lengths);
  }
  const outer = new Uint8Array(19);
  const given = 4 + bits.read(4);
  for (let i = 0; i < given; i++) outer[lengthOrder[i] as number] = bits.read(3);
  const code = new PrefixCode(outer);
  let left = bits.read(1) === 1 ? 2 + bits.readLong(2 + 2 * bits.read(3)) : size;
  if (left > size) throw new Error('its compressed data are damaged: more symbols than there are');
  let previous = 8;
  for (let symbol = 0; symbol < size && left > 0; left--) {
    const length = code.read(bits);
    if (length < 16) {
      lengths[symbol++] = length;
      if (length > 0) previous = length;
      continue;
    }
    const count = length === 16 ? 3 + bits.read(2) : length === 17 ? 3 + bits.read(3) : 11 + bits.read(7);
    if (symbol + count > size) throw new Error('its compressed data are damaged: a code is too long');
    if (length === 16) lengths.fill(previous, symbol, symbol + count);
    symbol += count;
  }
  return new PrefixCode(lengths);
}

/** A number of a length or distance: its prefix says how many bits follow. */
function readNumber(bits: BitReader, prefix: number): number {
  if (prefix < 4) return prefix + 1;
  const extra = (prefix - 2) >> 1;
  return ((2 + (prefix & 1)) << extra) + bits.readLong(extra) + 1;
}

interface Groups {
  /** The codes of green or length, red, blue, alpha, distance. */
  readonly codes: readonly (readonly [PrefixCode, PrefixCode, PrefixCode, PrefixCode, PrefixCode])[];
  /** Which group a block of pixels uses; undefined where there is one. */
  readonly map: Pixels | undefined;
  readonly shift: number;
}

function readGroups(
  bits: BitReader,
  width: number,
  height: number,
  cacheSize: number,
  main: boolean,
): Groups {
  let map: Pixels | undefined;
  let shift = 0;
  let count = 1;
  if (main && bits.read(1) === 1) {
    shift = 2 + bits.read(3);
    map = readPixels(bits, blocks(width, shift), blocks(height, shift), false).map(
      (pixel) => (pixel >>> 8) & 0xffff,
    );
    for (const group of map) count = Math.max(count, group + 1);
  }
  const codes = Array.from(
    { length: count },
    () =>
      [
        readCode(bits, literals + lengthCodes + cacheSize),
        readCode(bits, literals),
        readCode(bits, literals),
        readCode(bits, literals),
        readCode(bits, distanceCodes),
      ] as const,
  );
  return { codes, map, shift };
}

function blocks(size: number, shift: number): number {
  return (size + (1 << shift) - 1) >> shift;
}

/** Pixels as they are coded: literally, copied from before, or from a cache of colours. */
function readPixels(bits: BitReader, width: number, height: number, main: boolean): Pixels {
  let cacheBits = 0;
  if (bits.read(1) === 1) {
    cacheBits = bits.read(4);
    if (cacheBits < 1 || cacheBits > 11)
      throw new Error('its compressed data are damaged: no cache is so large');
  }
  const cache = new Uint32Array(cacheBits ? 1 << cacheBits : 0);
  const { codes, map, shift } = readGroups(bits, width, height, cache.length, main);
  const across = blocks(width, shift);
  const pixels = new Uint32Array(width * height);
  let at = 0;
  const put = (pixel: number) => {
    pixels[at++] = pixel;
    if (cacheBits) cache[Math.imul(0x1e35a7bd, pixel) >>> (32 - cacheBits)] = pixel;
  };
  while (at < pixels.length) {
    const y = Math.floor(at / width);
    const group = map ? (map[(y >> shift) * across + ((at - y * width) >> shift)] as number) : 0;
    const [green, red, blue, alpha, distances] = codes[group] as Groups['codes'][number];
    const symbol = green.read(bits);
    if (symbol < literals) {
      const r = red.read(bits);
      const b = blue.read(bits);
      put(((alpha.read(bits) << 24) | (r << 16) | (symbol << 8) | b) >>> 0);
    } else if (symbol < literals + lengthCodes) {
      const count = readNumber(bits, symbol - literals);
      const code = readNumber(bits, distances.read(bits));
      const near = neighbours[code - 1];
      const distance = near ? Math.max(near.up * width + near.left, 1) : code - neighbours.length;
      if (distance > at || at + count > pixels.length)
        throw new Error('its compressed data are damaged: a copy leaves the picture');
      for (let i = 0; i < count; i++) put(pixels[at - distance] as number);
    } else put(cache[symbol - literals - lengthCodes] as number);
  }
  return pixels;
}

/** Sum of two pixels, channel by channel, without carry. */
function add(a: number, b: number): number {
  return (
    ((((a & 0xff00ff00) >>> 0) + ((b & 0xff00ff00) >>> 0)) & 0xff00ff00) |
    (((a & 0x00ff00ff) + (b & 0x00ff00ff)) & 0x00ff00ff)
  );
}

/** Mean of two pixels, channel by channel, rounded down. */
function mean(a: number, b: number): number {
  return (((a ^ b) & 0xfefefefe) >>> 1) + (a & b);
}

function channel(pixel: number, shift: number): number {
  return (pixel >>> shift) & 255;
}

const shifts = [24, 16, 8, 0] as const;

function perChannel(work: (shift: number) => number): number {
  let result = 0;
  for (const shift of shifts) result |= Math.min(Math.max(work(shift), 0), 255) << shift;
  return result;
}

function select(left: number, top: number, corner: number): number {
  let nearer = 0;
  for (const shift of shifts) {
    const c = channel(corner, shift);
    nearer += Math.abs(channel(left, shift) - c) - Math.abs(channel(top, shift) - c);
  }
  return nearer <= 0 ? top : left;
}

const black = 0xff000000;

/**
 * What a pixel is expected to be: by the pixels on its left (l), above (t), above on the left (c) and on the
 * right (r).
 */
const predictors: readonly ((l: number, t: number, c: number, r: number) => number)[] = [
  () => black,
  (l) => l,
  (_l, t) => t,
  (_l, _t, _c, r) => r,
  (_l, _t, c) => c,
  (l, t, _c, r) => mean(mean(l, r), t),
  (l, _t, c) => mean(l, c),
  (l, t) => mean(l, t),
  (_l, t, c) => mean(c, t),
  (_l, t, _c, r) => mean(t, r),
  (l, t, c, r) => mean(mean(l, c), mean(t, r)),
  (l, t, c) => select(l, t, c),
  (l, t, c) => perChannel((s) => channel(l, s) + channel(t, s) - channel(c, s)),
  (l, t, c) => {
    const m = mean(l, t);
    return perChannel((s) => channel(m, s) + Math.trunc((channel(m, s) - channel(c, s)) / 2));
  },
  () => black,
  () => black,
];

interface Transform {
  readonly kind: number;
  /** Width of the pixels once the transform is undone. */
  readonly width: number;
  readonly shift: number;
  readonly data: Pixels;
}

function undoPrediction(pixels: Pixels, height: number, { width, shift, data }: Transform): void {
  const across = blocks(width, shift);
  for (let y = 0, at = 0; y < height; y++)
    for (let x = 0; x < width; x++, at++) {
      let expected: number;
      if (y === 0) expected = x === 0 ? black : (pixels[at - 1] as number);
      else if (x === 0) expected = pixels[at - width] as number;
      else {
        const mode = channel(data[(y >> shift) * across + (x >> shift)] as number, 8) & 15;
        const up = at - width;
        // On the right of the last pixel above lies the first one of this row.
        const [l, t, c, r] = [pixels[at - 1], pixels[up], pixels[up - 1], pixels[up + 1]] as [
          number,
          number,
          number,
          number,
        ];
        expected = (predictors[mode] as (typeof predictors)[number])(l, t, c, r);
      }
      pixels[at] = add(pixels[at] as number, expected);
    }
}

function signed(value: number): number {
  return (value << 24) >> 24;
}

function undoColours(pixels: Pixels, height: number, { width, shift, data }: Transform): void {
  const across = blocks(width, shift);
  for (let y = 0, at = 0; y < height; y++)
    for (let x = 0; x < width; x++, at++) {
      const factors = data[(y >> shift) * across + (x >> shift)] as number;
      const pixel = pixels[at] as number;
      const green = signed(channel(pixel, 8));
      const red = (channel(pixel, 16) + ((signed(channel(factors, 0)) * green) >> 5)) & 255;
      const fromGreen = (signed(channel(factors, 8)) * green) >> 5;
      const fromRed = (signed(channel(factors, 16)) * signed(red)) >> 5;
      const blue = (channel(pixel, 0) + fromGreen + fromRed) & 255;
      pixels[at] = (pixel & 0xff00ff00) | (red << 16) | blue;
    }
}

function undoGreen(pixels: Pixels): void {
  for (let at = 0; at < pixels.length; at++) {
    const green = channel(pixels[at] as number, 8);
    pixels[at] = add(pixels[at] as number, (green << 16) | green);
  }
}

function undoPalette(pixels: Pixels, height: number, { width, shift, data }: Transform): Pixels {
  const across = blocks(width, shift);
  const bitsEach = 8 >> shift;
  const result = new Uint32Array(width * height);
  for (let y = 0, at = 0; y < height; y++)
    for (let x = 0; x < width; x++, at++) {
      const packed = channel(pixels[y * across + (x >> shift)] as number, 8);
      const index = (packed >> ((x & ((1 << shift) - 1)) * bitsEach)) & ((1 << bitsEach) - 1);
      // Colours behind the palette's end are transparent black.
      result[at] = data[index] ?? 0;
    }
  return result;
}

/**
 * RGB of the data of a VP8L chunk.
 *
 * @throws Error where they are damaged or end too early
 */
export function decodeLossless(bytes: Uint8Array): { width: number; height: number; data: Uint8Array } {
  if (bytes[0] !== signature) throw new Error('its picture does not begin as a WebP picture');
  const bits = new BitReader(bytes, 1);
  const width = bits.read(14) + 1;
  const height = bits.read(14) + 1;
  // One bit hints at alpha, which is left out.
  bits.read(1);
  if (bits.read(3) !== 0) throw new Error('its picture is of a version that does not exist');
  checkSize(width, height);
  const transforms: Transform[] = [];
  let current = width;
  while (bits.read(1) === 1) {
    const kind = bits.read(2);
    if (transforms.some((other) => other.kind === kind))
      throw new Error('its compressed data are damaged: a step is there twice');
    let shift = 0;
    let data: Pixels = new Uint32Array();
    const before = current;
    if (kind < 2) {
      shift = 2 + bits.read(3);
      data = readPixels(bits, blocks(current, shift), blocks(height, shift), false);
    } else if (kind === 3) {
      const colours = bits.read(8) + 1;
      data = readPixels(bits, colours, 1, false);
      for (let i = 1; i < colours; i++) data[i] = add(data[i] as number, data[i - 1] as number);
      shift = colours <= 2 ? 3 : colours <= 4 ? 2 : colours <= 16 ? 1 : 0;
      current = blocks(current, shift);
    }
    transforms.push({ kind, width: before, shift, data });
  }
  let pixels = readPixels(bits, current, height, true);
  for (const transform of transforms.reverse()) {
    if (transform.kind === 0) undoPrediction(pixels, height, transform);
    else if (transform.kind === 1) undoColours(pixels, height, transform);
    else if (transform.kind === 2) undoGreen(pixels);
    else pixels = undoPalette(pixels, height, transform);
  }
  const data = new Uint8Array(width * height * 3);
  pixels.forEach((pixel, i) => {
    for (let c = 0; c < 3; c++) data[3 * i + c] = channel(pixel, 16 - 8 * c);
  });
  return { width, height, data };
}
