/**
 * Images of a page: every form of an opaque PNG has the bytes that Node reads from the file, in Chromium and
 * in Firefox; what has no pixels, or pixels that are not known exactly, is refused.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'puppeteer-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  chromiumPath,
  firefoxPath,
  launchChromium,
  launchFirefox,
  serve,
} from '../bench/support/browsers.ts';
import { decodeImage } from '../src/platform/node.ts';
import { bundle } from './support/bundle.ts';

interface Outcome {
  readonly name: string;
  readonly rgb?: string;
  readonly error?: string;
}

const [width, height] = [37, 23];
/** Every value of 0 to 255 in every channel. */
const noise = Uint8Array.from({ length: width * height * 4 }, (_, i) =>
  i % 4 === 3 ? 255 : (i * 7919) >> 3,
);
const translucent = noise.map((value, i) => (i % 4 === 3 ? (i >> 2) % 256 : value));
const pngOf = (data: Uint8Array) =>
  sharp(data, { raw: { width, height, channels: 4 } })
    .png()
    .toBuffer();
let folder: string;
let servers: Server[];
let [url, otherUrl]: string[] = [];
let [opaque, clear]: Buffer[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aand-page-sources-'));
  await bundle('test/support/sources_page.ts', join(folder, 'script.js'), 'browser');
  opaque = await pngOf(noise);
  clear = await pngOf(translucent);
  writeFileSync(join(folder, 'picture.png'), opaque);
  const files = { '/script.js': join(folder, 'script.js'), '/picture.png': join(folder, 'picture.png') };
  const [own, other] = [await serve(files), await serve(files)];
  servers = [own.server, other.server];
  [url, otherUrl] = [own.url, other.url];
});
afterAll(() => {
  for (const server of servers) server.close();
  rmSync(folder, { recursive: true, force: true });
});

describe.each([
  ['Chromium', chromiumPath, () => launchChromium([], false)],
  ['Firefox', firefoxPath, () => launchFirefox()],
] as const)('%s', (name, path, launch) => {
  let browser: Browser;
  let page: Page;
  beforeAll(async () => {
    if (!path) return;
    browser = await launch();
    page = await browser.newPage();
    await page.goto(url as string);
    await page.waitForFunction('typeof readSources === "function"');
  }, 120_000);
  afterAll(() => browser?.close());
  const call = async <T>(code: string): Promise<T> => JSON.parse((await page.evaluate(code)) as string) as T;
  const read = (png: Buffer) =>
    call<Outcome[]>(`readSources(${JSON.stringify(png.toString('base64'))}, ${width}, ${height})`);

  test.skipIf(!path)('an opaque PNG has the bytes of Node in every form', async () => {
    const expected = Buffer.from((await decodeImage(opaque as Buffer, 'a.png')).data).toString('base64');
    const outcomes = await read(opaque as Buffer);
    expect(
      outcomes.filter(({ rgb }) => rgb !== expected).map(({ name, error }) => `${name}: ${error}`),
    ).toEqual([]);
    const drawn = ['ImageBitmap', 'HTMLImageElement', 'HTMLCanvasElement', 'OffscreenCanvas', 'ImageData'];
    expect(outcomes.map((outcome) => outcome.name)).toEqual(expect.arrayContaining(drawn));
    if (name === 'Chromium') expect(outcomes.at(-1)?.name).toBe('VideoFrame');
  });

  test.skipIf(!path)(
    'with alpha the file has its stored colours, and what was drawn is refused',
    async () => {
      const expected = Buffer.from((await decodeImage(clear as Buffer, 'a.png')).data).toString('base64');
      for (const { name, rgb, error } of await read(clear as Buffer))
        if (/File|Array|URL/.test(name)) expect(rgb, name).toBe(expected);
        else if (name !== 'address beside the page')
          expect(error, name).toMatch(/^image 2 of 3.*: pixel 0 is not opaque \(alpha 0\)/);
    },
  );

  test.skipIf(!path)('what has no picture is refused by its number, its kind and the reason', async () => {
    const outcomes = await call<Outcome[]>(`refusedSources(${JSON.stringify(`${otherUrl}picture.png`)})`);
    expect(Object.fromEntries(outcomes.map(({ name, error }) => [name, error]))).toMatchObject({
      'closed bitmap': 'image 2 of 3 is ImageBitmap without a picture: it is closed',
      'image that is not loaded': expect.stringContaining('without a picture: it is not loaded, or broken'),
      'video without a picture': expect.stringContaining('it shows no picture yet: await its play() first'),
      'canvas without pixels': 'image 2 of 3 is HTMLCanvasElement without a picture: it has no pixels',
      'empty canvas': expect.stringContaining('image 2 of 3 (HTMLCanvasElement): pixel 0 is not opaque'),
      'image of another site': expect.stringContaining(
        'HTMLImageElement of another site, whose pixels a page',
      ),
      'another element': expect.stringContaining('image 2 of 3 is HTMLDivElement, not an image: expected {'),
      'missing address': expect.stringContaining('image 2 of 3: nothing.png: the server answered 404'),
    });
    // Firefox has no canvas of another space.
    const wide = outcomes.find((one) => one.name === 'ImageData of another space');
    if (name === 'Chromium') expect(wide?.error).toMatch(/^image 2 of 3 has colours of display-p3/);
  });

  test.skipIf(!path)('a canvas is taken when the call is made', async () => {
    expect(await page.evaluate('takenAtOnce()')).toBe('1,2,3');
  });
});

test('the picture holds every value', () => {
  expect(new Set(noise).size).toBe(256);
});
