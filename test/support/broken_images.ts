/** Image files that are broken on purpose: cut off, lying, damaged. */
import { imageBytes } from './image_set.ts';

export interface BrokenImage {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** One file of each way in which pixels are stored. */
const samples = [
  ...['bmp-8-grey.bmp', 'bmp-24.bmp', 'bmp-rle8-runs.bmp', 'bmp-rle4-absolute.bmp', 'bmp-8-colours-os2.bmp'],
  ...[
    'png-rgb8.png',
    'png-palette8.png',
    'png-grey16-interlaced.png',
    'jpeg-420.jpg',
    'jpeg-420-progressive.jpg',
  ],
  ...['jpeg-cmyk.jpg', 'webp-lossy.webp', 'webp-lossless.webp', 'webp-lossy-alpha.webp', 'tiff-rgb-raw.tif'],
  ...[
    'tiff-rgb-lzw.tif',
    'tiff-rgb-tiled.tif',
    'tiff-1bit-packbits.tif',
    'tiff-bigtiff.tif',
    'tiff-planar.tif',
  ],
];

function edited(file: string, edit: (view: DataView, bytes: Uint8Array) => void): Uint8Array {
  const bytes = imageBytes(file).slice();
  edit(new DataView(bytes.buffer), bytes);
  return bytes;
}

/** Where the entry of a field of a little-endian TIFF lies. */
function tiffEntry(view: DataView, tag: number): number {
  const directory = view.getUint32(4, true);
  for (let i = 0; i < view.getUint16(directory, true); i++)
    if (view.getUint16(directory + 2 + 12 * i, true) === tag) return directory + 2 + 12 * i;
  throw new Error(`no field ${tag}`);
}

/** Files that end too early; the last one lacks a tenth. Each must be refused. */
export function truncatedImages(): BrokenImage[] {
  return samples.flatMap((file) => {
    const bytes = imageBytes(file);
    const lengths = [1, 2, 4, 9, 20, 33, Math.floor(bytes.length / 2), Math.floor(bytes.length * 0.9)];
    return lengths.map((length) => ({
      name: `first-${length}-of-${file}`,
      bytes: bytes.subarray(0, length),
    }));
  });
}

/** Headers that say what is not so. Each must be refused, before memory or time is taken for it. */
export function lyingImages(): BrokenImage[] {
  const tiff = (tag: number, value: number, file = 'tiff-rgb-raw.tif') =>
    edited(file, (view) => view.setUint32(tiffEntry(view, tag) + 8, value, true));
  const bmp = (at: number, value: number, file = 'bmp-8-grey.bmp') =>
    edited(file, (view) => view.setInt32(at, value, true));
  // The check sum of the header is not made right again: sizes are judged before.
  const png = (at: number, value: number) => edited('png-rgb8.png', (view) => view.setUint32(at, value));
  const jpegFrame = (edit: (view: DataView, at: number) => void) =>
    edited('jpeg-420.jpg', (view, bytes) =>
      edit(
        view,
        bytes.findIndex((v, i) => v === 0xff && bytes[i + 1] === 0xc0),
      ),
    );
  const all: Readonly<Record<string, Uint8Array>> = {
    'empty.png': new Uint8Array(),
    'zeros.bmp': new Uint8Array(1000),
    'text.jpg': new TextEncoder().encode(
      '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'.repeat(3),
    ),
    'magic-bmp.bmp': new TextEncoder().encode('BM'.padEnd(200, 'x')),
    'magic-png.png': imageBytes('png-rgb8.png').subarray(0, 8),
    'bmp-wide.bmp': bmp(18, 0x7fffffff),
    'bmp-negative.bmp': bmp(18, -23),
    'bmp-no-rows.bmp': bmp(22, 0),
    'bmp-lowest.bmp': bmp(22, -0x80000000),
    'bmp-large.bmp': edited('bmp-8-grey.bmp', (view) => {
      view.setInt32(18, 16000, true);
      view.setInt32(22, 16000, true);
    }),
    'bmp-large-runs.bmp': edited('bmp-rle8-runs.bmp', (view) => {
      view.setInt32(18, 16000, true);
      view.setInt32(22, 16000, true);
    }),
    'bmp-header.bmp': bmp(14, 1000),
    'bmp-offset.bmp': bmp(10, 0x7fffffff),
    'bmp-3bit.bmp': bmp(28, 3),
    'png-no-columns.png': png(16, 0),
    'png-wide.png': png(16, 0x7fffffff),
    'png-large.png': edited('png-rgb8.png', (view) => {
      view.setUint32(16, 16000);
      view.setUint32(20, 16000);
    }),
    'png-3bit.png': edited('png-rgb8.png', (view) => view.setUint8(24, 3)),
    'png-check-sum.png': edited('png-rgb8.png', (view, bytes) => {
      const at = bytes.length - 30;
      view.setUint8(at, view.getUint8(at) ^ 255);
    }),
    'jpeg-no-columns.jpg': jpegFrame((view, at) => view.setUint16(at + 7, 0)),
    'jpeg-2-components.jpg': jpegFrame((view, at) => view.setUint8(at + 9, 2)),
    'jpeg-no-scan.jpg': edited('jpeg-420.jpg', (_view, bytes) => {
      bytes[bytes.findIndex((v, i) => v === 0xff && bytes[i + 1] === 0xda) + 1] = 0xd9;
    }),
    'webp-large-chunk.webp': edited('webp-lossy.webp', (view) => view.setUint32(16, 0x7fffffff, true)),
    'webp-mark.webp': edited('webp-lossy.webp', (view) => view.setUint8(23, 0)),
    'tiff-wide.tif': tiff(256, 0x7fffffff),
    'tiff-no-rows.tif': tiff(257, 0),
    'tiff-outside.tif': tiff(273, 0x7ffffff0),
    'tiff-short-strip.tif': tiff(279, 5),
    'tiff-large.tif': edited('tiff-rgb-raw.tif', (view) => {
      view.setUint32(tiffEntry(view, 256) + 8, 16000, true);
      view.setUint32(tiffEntry(view, 257) + 8, 16000, true);
    }),
    'tiff-directory-outside.tif': edited('tiff-rgb-raw.tif', (view) => view.setUint32(4, 0x7ffffff0, true)),
    'tiff-directory-itself.tif': edited('tiff-rgb-raw.tif', (view) => view.setUint32(4, 0, true)),
    'tiff-many-values.tif': edited('tiff-rgb-raw.tif', (view) =>
      view.setUint32(tiffEntry(view, 273) + 4, 0x3fffffff, true),
    ),
    'tiff-compression.tif': tiff(259, 999),
    'tiff-photometric.tif': tiff(262, 32803),
    'tiff-samples.tif': tiff(277, 60000),
  };
  return Object.entries(all).map(([name, bytes]) => ({ name, bytes }));
}

/**
 * Files with some changed bytes, the same ones in every run. They may still be images; what matters is that
 * nothing else happens.
 */
export function damagedImages(perFile: number): BrokenImage[] {
  let state = 12345;
  const next = (limit: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % limit;
  };
  return samples.flatMap((file) =>
    Array.from({ length: perFile }, (_, i) => ({
      name: `damaged-${i}-${file}`,
      bytes: edited(file, (_view, bytes) => {
        for (let n = 1 + next(4); n > 0; n--)
          bytes[next(Math.min(bytes.length, 1 + next(bytes.length)))] = next(256);
      }),
    })),
  );
}
