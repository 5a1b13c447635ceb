/** The region of interest in browsers: the same pixels as in Node, and the drawing area of the page. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Browser, Page } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodePng } from '#platform';
import {
  chromiumPath,
  firefoxPath,
  launchChromium,
  launchFirefox,
  serve,
} from '../bench/support/browsers.ts';
import { RandomStream } from '../src/base/random.ts';
import { type RegionOfInterest, rasterizeRegion, regionMask } from '../src/data/region.ts';
import { parseRegion, regionText } from '../src/data/region_json.ts';
import { bundle } from './support/bundle.ts';
import { useFolder } from './support/command.ts';

/** What support/region_page.ts offers. */
interface RegionPage {
  pixels(json: string, width: number, height: number): string;
  show(width: number, height: number): Promise<void>;
  region(): string | undefined;
  problems(): string[];
  open(json: string): void;
}

const folder = useFolder();
let site: Awaited<ReturnType<typeof serve>>;
beforeAll(async () => {
  const script = join(folder, 'region_page.js');
  await bundle('test/support/region_page.ts', script, 'browser');
  site = await serve({ '/script.js': script });
});
afterAll(() => site?.server.close());

async function openPage(browser: Browser, width = 0, touch = false): Promise<Page> {
  const page = await browser.newPage();
  // Before the page is opened: another kind of device reloads it.
  if (width) await page.setViewport({ width, height: 800, hasTouch: touch });
  await page.goto(site.url);
  await page.addStyleTag({ content: readFileSync('app/style.css', 'utf8') });
  await page.waitForFunction(() => 'regionPage' in globalThis);
  return page;
}

function randomRegion(index: number): RegionOfInterest {
  const random = new RandomStream('regions', index);
  const polygons = (count: number) =>
    Array.from({ length: count }, () =>
      Array.from({ length: random.integer(3, 12) }, () => [random.next(), random.next()] as const),
    );
  const [width, height] = [random.integer(1, 40), random.integer(1, 40)];
  const mask = regionMask(
    Array.from({ length: width * height }, () => (random.next() < 0.8 ? 1 : 0)),
    width,
    height,
  );
  return { inspect: polygons(3), ignore: polygons(2), ...(index % 2 && { mask }) };
}

async function comparePixels(browser: Browser): Promise<void> {
  const page = await openPage(browser);
  for (let index = 0; index < 20; index++) {
    const region = randomRegion(index);
    for (const [width, height] of [
      [64, 64],
      [256, 256],
      [97, 33],
    ] as const) {
      const ours = rasterizeRegion(region, width, height);
      const theirs = await page.evaluate(
        (json, width, height) =>
          (globalThis as unknown as { regionPage: RegionPage }).regionPage.pixels(json, width, height),
        regionText(region),
        width,
        height,
      );
      expect(theirs === ours.join(''), `region ${index} at ${width} x ${height}`).toBe(true);
    }
  }
  await page.close();
}

describe('pixels of a region', () => {
  test.skipIf(!chromiumPath)('in Chromium are those of Node', async () => {
    const browser = await launchChromium([], false);
    await comparePixels(browser).finally(() => browser.close());
  });

  test.skipIf(!firefoxPath)('in Firefox are those of Node', async () => {
    const browser = await launchFirefox();
    await comparePixels(browser).finally(() => browser.close());
  });
});

describe.skipIf(!chromiumPath)('the drawing area in Chromium', () => {
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    browser = await launchChromium([], false);
  });
  afterAll(() => browser?.close());

  async function begin(width: number, touch = false): Promise<void> {
    page = await openPage(browser, width, touch);
    await page.evaluate(() =>
      (globalThis as unknown as { regionPage: RegionPage }).regionPage.show(400, 300),
    );
  }

  /** A place on the picture, in pixels of the page. */
  async function at(x: number, y: number): Promise<[number, number]> {
    const box = await (await page.$('canvas.drawing'))?.boundingBox();
    if (!box) throw new Error('no drawing area');
    return [box.x + x * box.width, box.y + y * box.height];
  }
  const press = (text: string) =>
    page.evaluate((text) => {
      const found = [...document.querySelectorAll('button')].find((b) => b.textContent === text && !b.hidden);
      if (!found) throw new Error(`no button '${text}'`);
      found.click();
    }, text);
  const drawn = async () => {
    const text = await page.evaluate(() =>
      (globalThis as unknown as { regionPage: RegionPage }).regionPage.region(),
    );
    return text === undefined ? undefined : parseRegion(text, 'drawn');
  };
  const said = () => page.$eval('.region [role=status]', (e) => (e as HTMLElement).innerText);
  async function drag(from: [number, number], to: [number, number]): Promise<void> {
    await page.mouse.move(...(await at(...from)));
    await page.mouse.down();
    await page.mouse.move(...(await at((from[0] + to[0]) / 2, (from[1] + to[1]) / 2)));
    await page.mouse.move(...(await at(...to)));
    await page.mouse.up();
  }
  /** The corners of a polygon, to a hundredth of the picture. */
  const corners = (polygon: readonly (readonly [number, number])[] | undefined) =>
    polygon?.map(([x, y]) => [Number(x.toFixed(2)), Number(y.toFixed(2))]);

  test('rectangles, polygons and strokes by mouse; undo and removal', async () => {
    await begin(1000);
    expect(await said()).toBe('All of the picture is inspected.');
    await drag([0.1, 0.1], [0.9, 0.6]);
    expect(corners((await drawn())?.inspect[0])).toEqual([
      [0.1, 0.1],
      [0.9, 0.1],
      [0.9, 0.6],
      [0.1, 0.6],
    ]);
    expect(await said()).toBe('40 % of the picture is inspected.');
    await press('Ignore this');
    await press('Polygon');
    for (const [x, y] of [
      [0.2, 0.2],
      [0.4, 0.2],
      [0.3, 0.4],
      [0.2, 0.2],
    ] as const)
      await page.mouse.click(...(await at(x, y)));
    expect(corners((await drawn())?.ignore[0])).toEqual([
      [0.2, 0.2],
      [0.4, 0.2],
      [0.3, 0.4],
    ]);
    await press('Brush');
    await drag([0.6, 0.3], [0.8, 0.3]);
    const { ignore } = (await drawn()) as RegionOfInterest;
    expect(ignore.length).toBeGreaterThan(1);
    const pixels = rasterizeRegion({ inspect: [], ignore }, 400, 300);
    expect([pixels[90 * 400 + 280], pixels[110 * 400 + 280], pixels[90 * 400 + 200]]).toEqual([0, 1, 1]);
    expect(await page.$$eval('.shapes li', (list) => list.map((e) => e.firstChild?.textContent))).toEqual([
      'Inspected rectangle 1',
      'Ignored polygon 2',
      'Ignored brush stroke 3',
    ]);
    await page.click('.shapes li:first-child button');
    expect((await drawn())?.inspect).toEqual([]);
    await press('Undo');
    expect((await drawn())?.inspect).toHaveLength(1);
    await press('Clear all');
    expect(await drawn()).toBeUndefined();
    await press('Undo');
    expect((await drawn())?.ignore.length).toBe(ignore.length);
  });

  test('the dark part of the picture is what the rule leaves out', async () => {
    await begin(1000);
    await drag([0.25, 0.25], [0.75, 0.75]);
    const dark = await page.$eval('canvas.drawing', (element) => {
      const canvas = element as HTMLCanvasElement;
      const context = canvas.getContext('2d') as CanvasRenderingContext2D;
      const light = (x: number, y: number) =>
        (context.getImageData(x * canvas.width, y * canvas.height, 1, 1).data[0] as number) > 80;
      return [light(0.1, 0.5), light(0.5, 0.5), light(0.9, 0.9), light(0.3, 0.3)];
    });
    expect(dark).toEqual([false, true, false, true]);
  });

  test('all of it by keys', async () => {
    await begin(1000);
    await page.focus('canvas.drawing');
    for (const key of [
      'ArrowLeft',
      'ArrowUp',
      'Space',
      'ArrowRight',
      'ArrowDown',
      'ArrowDown',
      'Space',
    ] as const)
      await page.keyboard.press(key);
    expect(corners((await drawn())?.inspect[0])).toEqual([
      [0.49, 0.49],
      [0.5, 0.49],
      [0.5, 0.51],
      [0.49, 0.51],
    ]);
    await press('Polygon');
    await page.focus('canvas.drawing');
    await page.keyboard.press('Space');
    await page.keyboard.down('Shift');
    for (const key of [
      'ArrowRight',
      'Space',
      'ArrowDown',
      'Space',
      'ArrowDown',
      'Space',
      'Backspace',
    ] as const)
      await page.keyboard.press(key);
    await page.keyboard.up('Shift');
    await page.keyboard.press('Enter');
    expect(corners((await drawn())?.inspect[1])).toEqual([
      [0.5, 0.51],
      [0.55, 0.51],
      [0.55, 0.56],
    ]);
    await page.keyboard.down('Control');
    await page.keyboard.press('z');
    await page.keyboard.up('Control');
    expect((await drawn())?.inspect).toHaveLength(1);
    await page.keyboard.press('Space');
    await page.keyboard.press('Escape');
    expect(await drawn()).toBeDefined();
  });

  test('by finger at 390 pixels; nothing is wider than the page', async () => {
    await begin(390, true);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
    await press('Ignore this');
    const [from, to] = [await at(0.2, 0.2), await at(0.6, 0.7)];
    await page.touchscreen.touchStart(...from);
    await page.touchscreen.touchMove(...to);
    await page.touchscreen.touchEnd();
    expect(corners((await drawn())?.ignore[0])).toEqual([
      [0.2, 0.2],
      [0.6, 0.2],
      [0.6, 0.7],
      [0.2, 0.7],
    ]);
    await press('Polygon');
    for (const [x, y] of [
      [0.7, 0.1],
      [0.9, 0.1],
      [0.8, 0.3],
    ] as const)
      await page.touchscreen.tap(...(await at(x, y)));
    await press('Close the polygon');
    expect((await drawn())?.ignore).toHaveLength(2);
  });

  test('a mask and a JSON file are loaded; a file that is neither says why', async () => {
    await begin(1000);
    const load = async (name: string, data: string | Uint8Array) => {
      writeFileSync(join(folder, name), data);
      const input = await page.$('.region input[type=file]');
      await (input as unknown as { uploadFile(path: string): Promise<void> }).uploadFile(join(folder, name));
    };
    const grey = [255, 0].flatMap((v) => [v, v, v]);
    await load(
      'mask.png',
      await encodePng({ width: 2, height: 1, channels: 3, data: Uint8Array.from(grey) }),
    );
    await page.waitForFunction(() => document.querySelector('.shapes')?.textContent?.includes('Mask'));
    expect(await said()).toBe('50 % of the picture is inspected.');
    const json = '{"ignore": [[[0, 0], [1, 0], [1, 0.25], [0, 0.25]]]}';
    await load('region.json', json);
    await page.waitForFunction(() => document.querySelector('.shapes')?.textContent?.includes('Ignored'));
    expect(await drawn()).toEqual(parseRegion(json, 'x'));
    await load('bad.json', '{"inspect": 3}');
    await page.waitForFunction(
      () => (globalThis as unknown as { regionPage: RegionPage }).regionPage.problems().length > 0,
    );
    expect(await page.evaluate(inPageProblems)).toEqual([
      expect.stringContaining("bad.json: 'inspect' must be a list of polygons"),
    ]);
    expect(await drawn()).toEqual(parseRegion(json, 'x'));
  });

  test('axe finds nothing serious, light and dark', async () => {
    await begin(390);
    await drag([0.1, 0.1], [0.9, 0.6]);
    const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
    await page.evaluate(axe);
    for (const value of ['light', 'dark']) {
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value }]);
      const found = await page.evaluate(async () => {
        const { axe } = window as unknown as {
          axe: { run(): Promise<{ violations: { id: string; impact: string }[] }> };
        };
        return (await axe.run()).violations
          .filter(({ impact }) => impact === 'serious' || impact === 'critical')
          .map(({ id }) => id);
      });
      expect(found).toEqual([]);
    }
  });
});

function inPageProblems(): string[] {
  return (globalThis as unknown as { regionPage: RegionPage }).regionPage.problems();
}
