/**
 * Image files of every kind come out as Pillow's values in Node, Chromium and Firefox (docs/formats.md holds
 * the table).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  chromiumPath,
  firefoxPath,
  launchChromium,
  launchFirefox,
  serve,
} from '../bench/support/browsers.ts';
import { type Codecs, readImage } from '../src/image/decode.ts';
import type { Image, ImageFacts } from '../src/image/image.ts';
import { decodeJpeg } from '../src/image/jpeg.ts';
import { decodePng } from '../src/image/png.ts';
import { decodeTiff, readTiff } from '../src/image/tiff.ts';
import { losslessPicture } from '../src/image/webp_chunks.ts';
import { decodeLossless } from '../src/image/webp_lossless.ts';
import { decodeImage, inspectImage } from '../src/platform/node.ts';
import { type BrokenImage, damagedImages, lyingImages, truncatedImages } from './support/broken_images.ts';
import { bundle } from './support/bundle.ts';
import { difference, type ImageCase, imageBytes, imageFolder, imageSet } from './support/image_set.ts';

type Outcome =
  | { readonly rgb: Image; readonly grey: Image; readonly facts: ImageFacts }
  | { readonly error: string };

const { pillow, cases } = imageSet();
const inNode = new Map<string, Outcome>();

let folder: string;
let server: Server;
let url: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aand-images-'));
  await bundle('test/support/image_set_page.ts', join(folder, 'script.js'), 'browser');
  ({ server, url } = await serve({ '/script.js': join(folder, 'script.js') }, { '/images/': imageFolder }));
  for (const { file } of cases) inNode.set(file, await decodeHere(file));
});

afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

async function decodeHere(file: string, bytes = imageBytes(file)): Promise<Outcome> {
  try {
    const [rgb, grey] = [await decodeImage(bytes, file), await decodeImage(bytes, file, 1)];
    return { rgb, grey, facts: await inspectImage(bytes, file) };
  } catch (error) {
    return { error: (error as Error).message };
  }
}

async function inBrowser<T>(launch: () => Promise<Browser>, work: (page: Page) => Promise<T>): Promise<T> {
  const browser = await launch();
  try {
    const page = await browser.newPage();
    await page.goto(url);
    await page.waitForFunction('typeof decodeFiles === "function"');
    return await work(page);
  } finally {
    await browser.close();
  }
}

/** Decodes files of the set, or given ones, in a page. */
async function decodeThere(page: Page, names: readonly string[], given: readonly BrokenImage[] = []) {
  const texts = Object.fromEntries(
    given.map(({ name, bytes }) => [name, Buffer.from(bytes).toString('base64')]),
  );
  const call = `decodeFiles(${JSON.stringify(names)}, ${JSON.stringify(texts)})`;
  const results = JSON.parse((await page.evaluate(call)) as string) as (
    | { width: number; height: number; facts: ImageFacts; rgb: string; grey: string }
    | { error: string }
  )[];
  return new Map(
    results.map((result, i): [string, Outcome] => {
      const name = names[i] as string;
      if ('error' in result) return [name, result];
      const { width, height, facts } = result;
      const image = (channels: 1 | 3, text: string): Image => ({
        ...{ width, height, channels },
        data: new Uint8Array(Buffer.from(text, 'base64')),
      });
      return [name, { rgb: image(3, result.rgb), grey: image(1, result.grey), facts }];
    }),
  );
}

/** What is wrong with the outcomes of broken files: each must be refused by its name, where `refused`. */
function notRefused(
  files: readonly BrokenImage[],
  outcomes: ReadonlyMap<string, Outcome>,
  refused: boolean,
): string[] {
  return files.flatMap(({ name }) => {
    const outcome = outcomes.get(name) as Outcome;
    if (!('error' in outcome)) return refused ? [`${name}: was not refused`] : [];
    return new RegExp(`^${name}: cannot be read as an image \\(.+\\)$`, 's').test(outcome.error)
      ? []
      : [outcome.error];
  });
}

/**
 * Differing bytes and the largest difference of each kind of file, and every file that is not as it should
 * be.
 */
function judge(outcomes: ReadonlyMap<string, Outcome>, refusal: (one: ImageCase) => string | undefined) {
  const kinds = new Map<string, { files: number; bytes: number; largest: number; refused: number }>();
  const wrong: string[] = [];
  for (const one of cases) {
    const row = kinds.get(one.kind) ?? { files: 0, bytes: 0, largest: 0, refused: 0 };
    kinds.set(one.kind, row);
    row.files++;
    const outcome = outcomes.get(one.file) as Outcome;
    const wanted = refusal(one);
    if ('error' in outcome) {
      row.refused++;
      if (
        wanted === undefined ||
        !new RegExp(`^${one.file}: cannot be read .*(${wanted})`).test(outcome.error)
      )
        wrong.push(outcome.error);
    } else if (wanted !== undefined || !one.expected) wrong.push(`${one.file}: was not refused`);
    else
      for (const [expected, found] of [
        [one.expected.rgb, outcome.rgb],
        [one.expected.grey, outcome.grey],
      ] as const) {
        const { bytes, largest, first } = difference(expected, found);
        row.bytes += bytes;
        row.largest = Math.max(row.largest, largest);
        if (bytes)
          wrong.push(
            `${one.file}: ${bytes} bytes of ${expected.channels} channels differ by ${largest}, from ${first} on`,
          );
      }
  }
  return { kinds, wrong };
}

function table(name: string, kinds: ReturnType<typeof judge>['kinds']): string {
  const rows = [...kinds].map(([kind, { files, bytes, largest, refused }]) => {
    const result = refused === files ? 'refused' : `${bytes} / ${largest}`;
    return `| ${kind} | ${files} | ${result} |`;
  });
  return [
    `${name} against Pillow ${pillow}: kind, files, differing bytes / largest difference`,
    ...rows,
  ].join('\n');
}

describe(`${cases.length} image files`, () => {
  test("Node gives Pillow's values", () => {
    const { kinds, wrong } = judge(inNode, ({ refused }) => refused);
    console.log(table('Node', kinds));
    expect(wrong).toEqual([]);
  });

  test("the decoders that browsers use give Pillow's values in Node too, of every JPEG", async () => {
    const codecs: Codecs = {
      png: decodePng,
      jpeg: async (bytes, _header, colours) => decodeJpeg(bytes, colours),
      async webp(bytes) {
        const lossless = losslessPicture(bytes);
        if (!lossless) throw new Error('lossy');
        return { channels: 3, ...decodeLossless(lossless) };
      },
      tiff: async (bytes, header, alpha) => decodeTiff(bytes, header, readTiff(bytes).layout, alpha),
    };
    const outcomes = new Map<string, Outcome>();
    for (const { file } of cases) {
      try {
        const { image, facts } = await readImage(imageBytes(file), file, 3, codecs);
        const { image: grey } = await readImage(imageBytes(file), file, 1, codecs);
        outcomes.set(file, { rgb: image, grey, facts });
      } catch (error) {
        outcomes.set(file, { error: (error as Error).message });
      }
    }
    const lossy = ({ file, kind }: ImageCase) =>
      kind.startsWith('WebP') && !losslessPicture(imageBytes(file));
    const { wrong } = judge(
      outcomes,
      (one) => one.browsers ?? one.refused ?? (lossy(one) ? 'lossy' : undefined),
    );
    expect(wrong).toEqual([]);
  });

  const refused = [...truncatedImages(), ...lyingImages()];
  const damaged = damagedImages(5);

  test(`Node refuses ${refused.length} broken files by name, and survives ${damaged.length * 6} damaged ones`, async () => {
    const outcomes = new Map<string, Outcome>();
    const more = [...damaged, ...damagedImages(25)];
    for (const { name, bytes } of [...refused, ...more]) outcomes.set(name, await decodeHere(name, bytes));
    expect(notRefused(refused, outcomes, true)).toEqual([]);
    expect(notRefused(more, outcomes, false)).toEqual([]);
  });

  for (const [name, path, launch] of [
    ['Chromium', chromiumPath, () => launchChromium([], false)],
    ['Firefox', firefoxPath, () => launchFirefox()],
  ] as const)
    test.skipIf(!path)(
      `${name} gives Pillow's values and refuses broken files`,
      { timeout: 120_000 },
      async () => {
        const names = cases.map(({ file }) => file);
        const [outcomes, ofBroken] = await inBrowser(launch, async (page) => [
          await decodeThere(page, names),
          await decodeThere(
            page,
            [...refused, ...damaged].map(({ name: file }) => file),
            [...refused, ...damaged],
          ),
        ]);
        const { kinds, wrong } = judge(outcomes, (one) => one.browsers ?? one.refused);
        console.log(table(name, kinds));
        expect(wrong).toEqual([]);
        for (const { file, browsers } of cases) {
          if (browsers) continue;
          const [here, there] = [inNode.get(file), outcomes.get(file)] as [Outcome, Outcome];
          expect('error' in there ? there.error : there.facts).toEqual(
            'error' in here ? here.error : here.facts,
          );
        }
        expect(notRefused(refused, ofBroken, true)).toEqual([]);
        expect(notRefused(damaged, ofBroken, false)).toEqual([]);
      },
    );
});
