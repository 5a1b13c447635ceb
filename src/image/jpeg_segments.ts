/** What stands before the pixels of a JPEG file: its frame, its colour space, its orientation. */
import { exifOrientation } from './exif.ts';
import { checkSize, type Header } from './stored.ts';

const startOfImage = 0xd8;
const endOfImage = 0xd9;
const startOfScan = 0xda;
const app0 = 0xe0;
const app1 = 0xe1;
const app14 = 0xee;

export function isJpeg(bytes: Uint8Array): boolean {
  return bytes[0] === 0xff && bytes[1] === startOfImage && bytes[2] === 0xff;
}

/** How the components of a file become colours. */
export type JpegColours = 'grey' | 'ycc' | 'rgb' | 'cmyk' | 'ycck';

export interface Segment {
  readonly marker: number;
  /** What follows the segment's length; for a scan its header. */
  readonly data: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** The segments up to the first scan, that one included. */
export function* segments(bytes: Uint8Array): Generator<Segment> {
  let at = 2;
  while (at + 4 <= bytes.length) {
    if (bytes[at] !== 0xff) throw new Error(`byte ${at} is no marker: the file is damaged`);
    const marker = bytes[at + 1] as number;
    if (marker === 0xff) {
      at++;
      continue;
    }
    if (marker === endOfImage) return;
    const length = ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
    const end = at + 2 + length;
    if (length < 2 || end > bytes.length) throw new Error('the file is truncated before its pixels');
    yield { marker, data: bytes.subarray(at + 4, end), start: at, end };
    if (marker === startOfScan) return;
    at = end;
  }
}

/**
 * Frame headers: all markers from C0 to CF but those of tables (C4), extensions (C8) and arithmetic coding's
 * settings (CC).
 */
function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
}

function startsWith(data: Uint8Array, text: string): boolean {
  return data.length >= text.length && [...text].every((letter, i) => data[i] === letter.charCodeAt(0));
}

/**
 * Size, colours and orientation. Colours go by libjpeg's rules: Adobe's marker, else JFIF's, else the
 * components' names.
 */
export function readJpeg(bytes: Uint8Array): { header: Header; colours: JpegColours; adobe: boolean } {
  let orientation = 1;
  let frame: Segment | undefined;
  let transform: number | undefined;
  let jfif = false;
  for (const segment of segments(bytes)) {
    const { marker, data } = segment;
    if (marker === app0 && startsWith(data, 'JFIF\0')) jfif = true;
    else if (marker === app1 && startsWith(data, 'Exif\0\0')) orientation = exifOrientation(data.subarray(6));
    else if (marker === app14 && startsWith(data, 'Adobe') && data.length >= 12)
      transform = data[11] as number;
    else if (isFrame(marker)) frame ??= segment;
  }
  if (!frame || frame.data.length < 6) throw new Error('the file is truncated: it has no frame');
  const [depth, , , , , channels] = frame.data as unknown as readonly number[] & { 0: number; 5: number };
  const view = new DataView(frame.data.buffer, frame.data.byteOffset, frame.data.length);
  const [height, width] = [view.getUint16(1), view.getUint16(3)];
  checkSize(width, height);
  if (depth !== 8)
    throw new Error(`a JPEG of ${depth} bits cannot be read: save 8 bits, or PNG or TIFF of 16 bits`);
  if (frame.data.length < 6 + 3 * channels) throw new Error('the file is truncated in its frame');
  const names = Array.from({ length: channels }, (_, i) => frame.data[6 + 3 * i] as number);
  let colours: JpegColours;
  if (channels === 1) colours = 'grey';
  else if (channels === 4) colours = transform === 2 ? 'ycck' : 'cmyk';
  else if (channels !== 3) throw new Error(`a JPEG of ${channels} components cannot be read: save it as PNG`);
  else if (jfif) colours = 'ycc';
  else if (transform !== undefined) colours = transform === 0 ? 'rgb' : 'ycc';
  else colours = String.fromCharCode(...names) === 'RGB' ? 'rgb' : 'ycc';
  return {
    header: { format: 'jpeg', width, height, channels, depth, orientation },
    colours,
    adobe: transform !== undefined,
  };
}

function hasEnd(pixels: Uint8Array): boolean {
  for (let at = pixels.length - 2; at >= 0; at--)
    if (pixels[at] === 0xff && pixels[at + 1] === endOfImage) return true;
  return false;
}

/**
 * The same file without profiles, EXIF data and comments, so that a decoder converts and rotates nothing. The
 * markers that tell what the components are stay.
 */
export function bareJpeg(bytes: Uint8Array): Uint8Array {
  const kept: Uint8Array[] = [bytes.subarray(0, 2)];
  let last = 2;
  for (const { marker, start, end } of segments(bytes)) {
    const described =
      (marker >= app0 && marker <= 0xef && marker !== app0 && marker !== app14) || marker === 0xfe;
    if (!described) kept.push(bytes.subarray(start, end));
    last = end;
  }
  const pixels = bytes.subarray(last);
  // Browsers fill missing data with grey and report no error.
  if (!hasEnd(pixels)) throw new Error('the file is truncated: its end mark is missing');
  kept.push(pixels);
  return joined(kept);
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
