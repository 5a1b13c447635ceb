/** Images and files of every kind of source come out as the same pixels; what cannot is refused by its name. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorCode } from '../src/base/errors.ts';
import { fileBytes, type ImageSource, nameOfSource, takeImage, takeImages } from '../src/data/sources.ts';
import type { Image } from '../src/image/image.ts';
import { resizeBicubic } from '../src/image/resize.ts';
import { encodePng } from '../src/platform/node.ts';

const image: Image = {
  width: 5,
  height: 4,
  channels: 3,
  data: Uint8Array.from({ length: 60 }, (_, i) => (i * 37) & 255),
};
const opaque = new Uint8ClampedArray(5 * 4 * 4).map((_, i) =>
  i % 4 === 3 ? 255 : (image.data[Math.floor(i / 4) * 3 + (i % 4)] as number),
);
let folder: string;
let server: Server;
let site: string;
let png: Uint8Array<ArrayBuffer>;
let path: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aand-sources-'));
  png = new Uint8Array(await encodePng(image));
  path = join(folder, 'a part.png');
  writeFileSync(path, png);
  writeFileSync(join(folder, 'text.png'), 'no picture');
  server = createServer(({ url }, response) => {
    response.statusCode = url === '/a.png' ? 200 : 404;
    response.end(url === '/a.png' ? png : 'nothing');
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  site = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

const kinds: [string, () => ImageSource][] = [
  ['pixels', () => image],
  ['the pixels of a canvas', () => ({ width: 5, height: 4, data: opaque })],
  ['a path', () => path],
  ['a URL of a file', () => pathToFileURL(path)],
  ['a text with the address of a file', () => pathToFileURL(path).href],
  ['a Buffer', () => Buffer.from(png)],
  ['an ArrayBuffer', () => png.buffer],
  ['a part of a larger array', () => Uint8Array.of(0, ...png, 0).subarray(1, png.length + 1)],
  ['a Blob', () => new Blob([png])],
  ['a File', () => new File([png], 'a.png')],
  ['a data URL', () => `data:image/png;base64,${Buffer.from(png).toString('base64')}`],
  ['a web address', () => `${site}/a.png`],
  ['a URL of the web', () => new URL('/a.png', site)],
];

describe('one picture as', () => {
  test.each(kinds)('%s has the same pixels, whole, resized and in bands', async (_, source) => {
    const taken = takeImage(source(), 'image 1 of 1');
    expect(await taken.whole()).toEqual(image);
    expect(await taken.resized(32)).toEqual(resizeBicubic(image, 32, 32));
    const rows = await taken.bands(async (bands) => [bands.width, bands.height, await bands.rows(1, 2)]);
    expect(rows).toEqual([5, 4, { width: 5, height: 2, channels: 3, data: image.data.slice(15, 45) }]);
  });
});

/** What is refused, by what error, in what words. */
const wrong: [string, () => unknown, string, RegExp][] = [
  ['nothing', () => undefined, 'invalid-image', /^part 2 is undefined, not an image: expected \{ width,/],
  ['a promise', () => Promise.resolve(image), 'invalid-image', /^part 2 is Promise, not an image/],
  ['a number', () => 7, 'invalid-image', /^part 2 is Number, not an image/],
  ['an empty text', () => '', 'invalid-image', /^part 2 is an empty text, no path or URL$/],
  ['a missing file', () => 'no/such.png', 'unreadable-file', /^part 2: no\/such\.png: no such file/],
  ['a folder', () => folder, 'unreadable-file', /^part 2: .*: a folder, not a file$/],
  [
    'a file of text',
    () => join(folder, 'text.png'),
    'unreadable-file',
    /^part 2: .*text\.png: cannot be read/,
  ],
  [
    'a Blob of text',
    () => new Blob(['no picture']),
    'invalid-image',
    /^part 2 \(a Blob of 10 bytes\): cannot/,
  ],
  [
    'a File of text',
    () => new File(['x'], 'b.png'),
    'invalid-image',
    /^part 2 \(b\.png\): cannot be read as/,
  ],
  [
    'half of a file',
    () => png.slice(0, png.length / 2),
    'invalid-image',
    /^part 2 \(Uint8Array of \d+ bytes\): cannot be read as an image/,
  ],
  [
    'an address without an answer',
    () => `${site}/b.png`,
    'unreadable-file',
    /^part 2: http.*\/b\.png: the server answered 404 Not Found$/,
  ],
  [
    'an address without a server',
    () => 'http://127.0.0.1:9/a.png',
    'unreadable-file',
    /^part 2: http:\/\/127\.0\.0\.1:9\/a\.png: could not be fetched \(.+\)$/,
  ],
  [
    'pixels of another length',
    () => ({ ...image, width: 6 }),
    'invalid-image',
    /^part 2: its data have 60 values, expected 72 \(6 x 4 pixels x 3 channels\)$/,
  ],
  [
    'colours of another space',
    () =>
      Object.defineProperty(
        { width: 5, height: 4, data: opaque, colorSpace: 'display-p3' },
        Symbol.toStringTag,
        {
          value: 'ImageData',
        },
      ),
    'invalid-image',
    /^part 2 has colours of display-p3, .* \{ colorSpace: 'srgb' \}\)$/,
  ],
];

test.each(wrong)('%s is refused: number, kind and reason', async (_, source, code, message) => {
  const error = await (async () => takeImage(source(), 'part 2').resized(32))().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect((error as Error).message).toMatch(message);
  expect(errorCode(error)).toBe(code);
});

test('a list names the place of what is wrong, and is a list', () => {
  expect(() => takeImages([image, path, null])).toThrow(/^image 3 of 3 is null, not an image/);
  expect(() => takeImages('photographs', 'good image')).toThrow('expected a list of images, not String');
  expect(takeImages([image, path]).map(({ name }) => name)).toEqual([undefined, path]);
});

test('sources are called by their own names', () => {
  const names = [path, new File([png], 'a.png'), new Blob([png]), png, 'data:image/png;base64,AA'].map(
    nameOfSource,
  );
  expect(names).toEqual([path, 'a.png', undefined, undefined, undefined]);
});

test('the bytes of a file come from every kind of it, and from nothing else', async () => {
  for (const source of [png, png.buffer, new Blob([png]), path, pathToFileURL(path), `${site}/a.png`])
    expect(new Uint8Array(await fileBytes(source, 'model'))).toEqual(png);
  await expect(fileBytes(image as never, 'model')).rejects.toThrow(
    /^model: expected the bytes of a file as Uint8Array, ArrayBuffer or Blob, or its path or URL, not an object$/,
  );
});

test('a raised signal ends a fetch', async () => {
  await expect(fileBytes(`${site}/a.png`, 'model', AbortSignal.abort(new Error('enough')))).rejects.toThrow(
    'enough',
  );
});
