/** What stands around the pixels of a WebP file: its size, its alpha channel, its orientation. */
import { exifOrientation } from './exif.ts';
import { joined } from './jpeg_segments.ts';
import { checkSize, type Header } from './stored.ts';

function name(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + 4));
}

export function isWebp(bytes: Uint8Array): boolean {
  return name(bytes, 0) === 'RIFF' && name(bytes, 8) === 'WEBP';
}

interface Chunk {
  readonly type: string;
  readonly data: Uint8Array;
}

function chunks(bytes: Uint8Array): Chunk[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: Chunk[] = [];
  let at = 12;
  while (at + 8 <= bytes.length) {
    const length = view.getUint32(at + 4, true);
    if (at + 8 + length > bytes.length)
      throw new Error(`the file is truncated in its ${name(bytes, at)} chunk`);
    found.push({ type: name(bytes, at), data: bytes.subarray(at + 8, at + 8 + length) });
    at += 8 + length + (length % 2);
  }
  return found;
}

/** The chunk that holds colours. */
function imageChunk(found: readonly Chunk[]): Chunk {
  if (found.some(({ type }) => type === 'ANIM' || type === 'ANMF'))
    throw new Error('an animation cannot be read: save the frame that is meant');
  const image = found.find(({ type }) => type === 'VP8 ' || type === 'VP8L');
  if (!image || image.data.length < 10) throw new Error('the file is truncated: it has no picture');
  return image;
}

/** Size, channels and orientation. */
export function readWebp(bytes: Uint8Array): Header {
  const found = chunks(bytes);
  const { type, data } = imageChunk(found);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let [width, height, alpha] = [0, 0, false];
  if (type === 'VP8L') {
    const bits = view.getUint32(1, true);
    if (view.getUint8(0) !== 0x2f) throw new Error('its picture does not begin as a WebP picture');
    [width, height, alpha] = [(bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1, ((bits >>> 28) & 1) === 1];
  } else {
    if (view.getUint8(3) !== 0x9d || view.getUint8(4) !== 0x01 || view.getUint8(5) !== 0x2a)
      throw new Error('its picture does not begin as a WebP picture');
    [width, height] = [view.getUint16(6, true) & 0x3fff, view.getUint16(8, true) & 0x3fff];
    alpha = found.some((chunk) => chunk.type === 'ALPH');
  }
  checkSize(width, height);
  const exif = found.find((chunk) => chunk.type === 'EXIF');
  const orientation = exif ? exifOrientation(exif.data) : 1;
  return { format: 'webp', width, height, channels: alpha ? 4 : 3, depth: 8, orientation };
}

/** The data of a lossless picture; undefined for a lossy one. */
export function losslessPicture(bytes: Uint8Array): Uint8Array | undefined {
  const { type, data } = imageChunk(chunks(bytes));
  return type === 'VP8L' ? data : undefined;
}

/**
 * The same lossy picture without its alpha channel, profile and EXIF data, so that a decoder blends, converts
 * and rotates nothing. Each of them is a chunk of its own.
 */
export function bareWebp(bytes: Uint8Array): Uint8Array {
  const { data } = imageChunk(chunks(bytes));
  const padded = data.length + (data.length % 2);
  const header = new Uint8Array(20);
  header.set(new TextEncoder().encode('RIFF....WEBPVP8 '));
  const view = new DataView(header.buffer);
  view.setUint32(4, 12 + padded, true);
  view.setUint32(16, data.length, true);
  return joined([header, data, new Uint8Array(padded - data.length)]);
}
