/**
 * The walk of a new user through the page: from opening it over the demo to a trained model of 20
 * photographs, with the seconds that each step takes. Prints a table; `--pictures FOLDER` keeps a picture of
 * every state, `--json FILE` the figures.
 *
 *   npm run walk -- --teacher resnet18_half --pictures walk
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { ElementHandle, Page } from 'puppeteer-core';
import sirv from 'sirv';
import { encodePng } from '#platform';
import type { Provenance } from '../src/bench/provenance.ts';
import { provenance } from '../src/cli/provenance.ts';
import { demoProducts, drawPart, type Product } from '../src/synthetic/demo_products.ts';
import { launchChromium } from './support/browsers.ts';

const { values } = parseArgs({
  options: {
    pictures: { type: 'string' },
    photographs: { type: 'string', default: '20' },
    product: { type: 'string', default: 'washer' },
    teacher: { type: 'string', default: 'resnet18' },
    json: { type: 'string' },
  },
});

/** What `--json` writes. */
export interface WalkReport {
  readonly record: Provenance;
  readonly photographs: number;
  readonly teacher: string;
  readonly steps: readonly Step[];
  /** What the training said that it did, in order. */
  readonly parts: readonly { readonly name: string; readonly seconds: number }[];
  /** Seconds of the training, as the page had forecast them. */
  readonly forecast_s: number;
  readonly taken_s: number;
}

interface Step {
  readonly name: string;
  readonly seconds: number;
  /** What the page said at its end. */
  readonly said: string;
}
const steps: Step[] = [];
const viewports = [
  { width: 1440, height: 900 },
  { width: 390, height: 844 },
];

const textOf = (page: Page, selector: string) =>
  page.$eval(selector, (e) => (e as HTMLElement).innerText.replace(/\s+/g, ' ').trim());

const press = (page: Page, text: string) =>
  page.evaluate((text) => {
    const found = [...document.querySelectorAll('button')].find(
      (b) => b.textContent === text && b.offsetParent !== null && !b.disabled,
    );
    if (!found) throw new Error(`no button '${text}' that can be pressed`);
    found.click();
  }, text);

const longest = 3_600_000;

/**
 * Waits until what is seen in an element meets a pattern; any problem that the page tells ends the walk. It
 * asks again and again, for one question that waits may outlast the browser's patience.
 */
async function seen(page: Page, selector: string, pattern: RegExp): Promise<void> {
  const until = performance.now() + longest;
  for (;;) {
    const { problem, text } = await page.evaluate((selector) => {
      const box = document.getElementById('problem') as HTMLElement;
      const element = document.querySelector(selector) as HTMLElement | null;
      return { problem: box.hidden ? '' : box.innerText, text: element?.innerText ?? '' };
    }, selector);
    if (problem) throw new Error(problem);
    if (pattern.test(text)) return;
    if (performance.now() > until) throw new Error(`${selector} never said ${pattern}; it says: ${text}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

let count = 0;
/** A picture of the state, in both widths, light and dark. */
async function picture(page: Page, name: string): Promise<void> {
  const { pictures } = values;
  if (!pictures) return;
  mkdirSync(pictures, { recursive: true });
  count++;
  for (const viewport of viewports)
    for (const scheme of ['light', 'dark']) {
      await page.setViewport(viewport);
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
      const file = `${String(count).padStart(2, '0')}-${name}-${viewport.width}-${scheme}.png`;
      await page.screenshot({ path: join(pictures, file) as `${string}.png`, fullPage: true });
    }
  await page.setViewport(viewports[0] ?? null);
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }]);
}

/** A step of the walk. @param selector of what the page says at its end */
async function step(name: string, selector: string, work: () => Promise<void>, page: Page): Promise<number> {
  const started = performance.now();
  await work();
  const seconds = (performance.now() - started) / 1000;
  steps.push({ name, seconds, said: (await textOf(page, selector)).slice(0, 110) });
  console.error(`${seconds.toFixed(1)} s  ${name}`);
  return seconds;
}

async function drawPhotographs(folder: string, product: Product, good: number): Promise<string[]> {
  const paths: string[] = [];
  for (let i = 0; i < good; i++) {
    paths.push(join(folder, `good-${String(i).padStart(2, '0')}.png`));
    writeFileSync(paths[i] as string, await encodePng(drawPart(product, undefined, 7, i).image));
  }
  return paths;
}

/** When the status of a running training first said each of its parts. */
async function watchParts(page: Page): Promise<() => Promise<readonly (readonly [string, number])[]>> {
  await page.evaluate(() => {
    const scope = window as unknown as { partsSeen: [string, number][] };
    scope.partsSeen = [];
    setInterval(() => {
      const now = document.querySelector('#train .steps .now')?.firstChild?.textContent;
      const status = document.querySelector('#train .running')?.textContent ?? '';
      const [early] = /^(storing|trying out)/.exec(status) ?? [];
      const name = early ?? now;
      if (name && scope.partsSeen.at(-1)?.[0] !== name)
        scope.partsSeen.push([name, performance.now() / 1000]);
    }, 50);
  });
  return () => page.evaluate(() => (window as unknown as { partsSeen: [string, number][] }).partsSeen);
}

/** Seconds of `about 4 min`. */
function secondsOf(text: string): number {
  const [, number, unit] = /([\d.]+) (s|min|h)\b/.exec(text) ?? [];
  return Number(number) * ({ s: 1, min: 60, h: 3600 }[unit ?? ''] ?? Number.NaN);
}

/** States of the page that a new user may look at, but need not go through. */
async function lookAround(page: Page): Promise<void> {
  if (!values.pictures) return;
  await press(page, 'Explain the peak');
  await page.waitForSelector('#inspect .levels figure', { timeout: 120_000 });
  await picture(page, 'explained');
  const openRegion = (open: boolean) =>
    page.$eval(
      '#inspect details.region-box',
      (box, open) => {
        (box as HTMLDetailsElement).open = open;
      },
      open,
    );
  await openRegion(true);
  await seen(page, '#inspect .region-box', /Drawn on/);
  await picture(page, 'region');
  await openRegion(false);
  await press(page, 'Remove all images');
  await picture(page, 'question');
  await press(page, 'Keep them');
  for (const view of ['On the line', 'Bench']) {
    await press(page, view);
    await picture(page, view.toLowerCase().replaceAll(' ', '-'));
  }
  await press(page, 'Inspect');
}

const product = demoProducts.find(({ name }) => name === values.product) as Product;
const folder = mkdtempSync(join(tmpdir(), 'aand-walk-'));
const photographs = await drawPhotographs(folder, product, Number(values.photographs));
const defect = join(folder, 'new-part.png');
writeFileSync(defect, await encodePng(drawPart(product, Object.keys(product.defects).at(-2), 7, 99).image));
const server = createServer(sirv('dist/app', { dev: true }));
await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
const browser = await launchChromium();
const version = await browser.version();
const called = `npm run walk -- ${process.argv.slice(2).join(' ')}`.trim();
const record = provenance(called, `SwiftShader, ${version}`);
const load = [loadavg()[0] ?? 0];
try {
  const page = await browser.newPage();
  await page.setViewport(viewports[0] ?? null);
  await step(
    'open the page: the first screen can be used',
    '.start .lead',
    async () => {
      await page.goto(url);
      await page.waitForFunction(
        () => [...document.querySelectorAll<HTMLButtonElement>('.start button')].every((b) => !b.disabled),
        { polling: 50, timeout: 120_000 },
      );
    },
    page,
  );
  await picture(page, 'start');
  await step(
    'try the demo: the model is loaded and compiled, the first photograph is judged',
    '#inspect .verdict',
    async () => {
      await press(page, 'Try the demo');
      await new Promise((resolve) => setTimeout(resolve, 300));
      await picture(page, 'demo-opening');
      await seen(page, '#inspect .verdict', /Good|Anomalous/);
    },
    page,
  );
  await step(
    'all photographs of the demo are judged',
    '#inspect .verdict',
    () => seen(page, '#inspect', /6 images, \d anomalous/),
    page,
  );
  await picture(page, 'demo');
  await lookAround(page);
  await step(
    `learn my product: choose ${photographs.length} photographs`,
    '#train',
    async () => {
      await press(page, 'Train');
      await picture(page, 'train-empty');
      const [good] = await page.$$('#train .drop input[type=file]');
      await (good as ElementHandle<HTMLInputElement>).uploadFile(...photographs);
      await seen(page, '#train', new RegExp(`${photographs.length} good`));
      await page.evaluate((wanted) => {
        const label = [...document.querySelectorAll('#train label.field')].find(
          (e) => e.firstChild?.textContent === 'Teacher',
        );
        const teacher = label?.querySelector('select') as HTMLSelectElement;
        teacher.selectedIndex = [...teacher.options].findIndex(({ text }) => text.startsWith(`${wanted} `));
      }, values.teacher);
    },
    page,
  );
  await step(
    'preview',
    '#train h3',
    async () => {
      await press(page, 'Preview');
      await seen(page, '#train', /Made-up defects/);
    },
    page,
  );
  await picture(page, 'train-chosen');
  await step(
    'forecast: the device is tried out',
    '#train .forecast',
    async () => {
      await press(page, 'Forecast');
      await seen(page, '#train .forecast', /of GPU memory/);
    },
    page,
  );
  const forecast = await textOf(page, '#train .forecast');
  await picture(page, 'forecast');
  load.push(loadavg()[0] ?? 0);
  const parts = await watchParts(page);
  const taken = await step(
    'start the training, until its result',
    '#train .headline',
    async () => {
      await press(page, 'Start training');
      await seen(page, '#train', /stage I, epoch/);
      await picture(page, 'stage-1');
      await seen(page, '#train', /stage II, epoch/);
      await picture(page, 'stage-2');
      await seen(page, '#train .headline', /\w/);
    },
    page,
  );
  load.push(loadavg()[0] ?? 0);
  const seenParts = await parts();
  await picture(page, 'result');
  await step(
    'inspect a new, bad part with it: its verdict',
    '#inspect .verdict',
    async () => {
      await press(page, 'Inspect with it');
      await seen(page, '#inspect', /my product/);
      const [images] = await page.$$('#inspect label.file input[accept^="image"]');
      await (images as ElementHandle<HTMLInputElement>).uploadFile(defect);
      await seen(page, '#inspect', /new-part\.png/);
      await seen(page, '#inspect .verdict', /Good|Anomalous/);
    },
    page,
  );
  await picture(page, 'inspect');

  const expected = secondsOf(forecast.replace(/.* and /, ''));
  const end = seenParts.at(-1)?.[1] ?? 0;
  console.log('| step | seconds | the page says |\n|---|---:|---|');
  for (const { name, seconds, said } of steps) console.log(`| ${name} | ${seconds.toFixed(1)} | ${said} |`);
  const within = seenParts.map(([name, at], i) => ({ name, seconds: (seenParts[i + 1]?.[1] ?? end) - at }));
  const taking = within.filter(({ seconds }) => seconds > 0);
  console.log('\nWithin the training:\n\n| part | seconds |\n|---|---:|');
  for (const { name, seconds } of taking) console.log(`| ${name} | ${seconds.toFixed(1)} |`);
  console.log(
    `\nTeacher: ${values.teacher}. Forecast: ${expected} s; taken: ${taken.toFixed(0)} s; ` +
      `ratio ${(taken / expected).toFixed(2)}.\n` +
      `${version} on SwiftShader, ${cpus().length} cores (${cpus()[0]?.model}), load ` +
      `${load.map((value) => value.toFixed(1)).join(', ')} (first, and before and after the training).`,
  );
  if (values.json) {
    const report: WalkReport = {
      record,
      photographs: photographs.length,
      teacher: values.teacher,
      steps,
      parts: taking,
      forecast_s: expected,
      taken_s: taken,
    };
    writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
  }
} finally {
  await browser.close();
  server.close();
  server.closeAllConnections();
  rmSync(folder, { recursive: true, force: true });
}
