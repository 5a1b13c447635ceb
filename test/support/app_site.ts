/** The page on a local server, a small model of the command line, and what tests do in the page; for every browser. */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Browser, ElementHandle, Page } from 'puppeteer-core';
import sirv from 'sirv';
import { expect } from 'vitest';
import { lavapipeDriver } from './browsers.ts';
import { bundle } from './bundle.ts';
import { part, writeImage, writeMvtec } from './layouts.ts';
import { sharedDir } from './shared.ts';

const run = promisify(execFile);

export interface Site {
  readonly folder: string;
  /** What the server serves. */
  readonly root: string;
  readonly url: string;
  /** A detector that the command line trained. */
  readonly model: string;
  /** Two good images and a defective one that it can judge. */
  readonly images: readonly string[];
  aand(args: readonly string[], driver?: string): Promise<string>;
  stop(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

/** Serves the built page without the demo model, which this machine may have or not. */
export async function openSite(): Promise<Site> {
  const folder = mkdtempSync(join(tmpdir(), 'aand-app-'));
  const page = join(folder, 'site');
  // Inside of the project, where the bundle finds its packages.
  const cliFolder = mkdtempSync(join(process.cwd(), 'node_modules', '.aand-app-'));
  const cli = join(cliFolder, 'cli.mjs');
  await bundle('src/cli/main.ts', cli, 'node');
  const aand = async (args: readonly string[], driver: string | undefined = lavapipeDriver) => {
    const env = { ...process.env, VK_DRIVER_FILES: driver as string };
    return (await run('node', [cli, ...args], { env, maxBuffer: 2 ** 26 })).stdout;
  };
  await writeMvtec(folder, 'washer', 0, 12);
  const shape = ['--image-size', '64', '--batch', '4', '--epochs', '1,2', '--foreground', 'none'];
  await aand(['train', join(folder, 'washer'), '--out', join(folder, 'out'), ...shape]);
  const images = ['good/000.png', 'good/001.png', 'rust/000.png'].map((name, i) => {
    const copy = join(folder, `shown${i}.png`);
    cpSync(join(folder, 'washer/test', name), copy);
    return copy;
  });
  cpSync('dist/app', page, { recursive: true, filter: (path) => !/demo\./.test(path) });
  writeFileSync(join(page, 'contents.json'), '{"demo":false}');
  let server: Server;
  const listen = async (port: number) => {
    server = createServer(sirv(page, { dev: true }));
    await new Promise<void>((ready) => server.listen(port, '127.0.0.1', ready));
    return (server.address() as AddressInfo).port;
  };
  const port = await listen(0);
  const stop = () =>
    new Promise<void>((closed) => {
      server.close(() => closed());
      server.closeAllConnections();
    });
  return {
    folder,
    root: page,
    url: `http://127.0.0.1:${port}/`,
    model: join(folder, 'out/model.safetensors'),
    images,
    aand,
    stop,
    async start() {
      await listen(port);
    },
    async close() {
      await stop();
      rmSync(folder, { recursive: true, force: true });
      rmSync(cliFolder, { recursive: true, force: true });
    },
  };
}

export interface Opened {
  readonly page: Page;
  /** Requests to other places than the page's own. */
  readonly foreign: string[];
  readonly errors: string[];
}

export const ready = (page: Page) =>
  page.waitForFunction(() => !/opening/.test(document.getElementById('device')?.textContent ?? ''), {
    timeout: 60_000,
  });

export async function openPage(browser: Browser, url: string): Promise<Opened> {
  const page = await browser.newPage();
  await page.setViewport({ width: 1440, height: 900 });
  const foreign: string[] = [];
  const errors: string[] = [];
  page.on('request', (request) => {
    if (!request.url().startsWith(url) && !/^(blob|data):/.test(request.url())) foreign.push(request.url());
  });
  page.on('pageerror', (error) => errors.push((error as Error).message));
  await page.goto(url);
  await ready(page);
  return { page, foreign, errors };
}

/** The file chooser whose label says this. */
export async function chooser(page: Page, view: string, label: string): Promise<ElementHandle<HTMLInputElement>> {
  const handle = await page.evaluateHandle(
    (view, label) =>
      [...document.querySelectorAll<HTMLLabelElement>(`#${view} label.file`)]
        .filter((e) => e.textContent?.trim() === label)
        .at(0)
        ?.querySelector('input'),
    view,
    label,
  );
  return handle as ElementHandle<HTMLInputElement>;
}

export const click = (page: Page, text: string) =>
  page.evaluate((text) => {
    const found = [...document.querySelectorAll('button')].find(
      (b) => b.textContent === text && b.offsetParent !== null,
    );
    if (!found) throw new Error(`no button '${text}'`);
    found.click();
  }, text);

export const textOf = (page: Page, selector: string) => page.$eval(selector, (e) => (e as HTMLElement).innerText);

/** Waits until a view's text meets a pattern. */
export const waitForText = (page: Page, view: string, pattern: RegExp, timeout = 120_000) =>
  page.waitForFunction(
    (view, source) => new RegExp(source).test(document.getElementById(view)?.textContent ?? ''),
    { timeout },
    view,
    pattern.source,
  );

/** What a button saves, caught before the browser's download. */
export async function saved(page: Page, text: string): Promise<Uint8Array> {
  await page.evaluate(() => {
    const scope = window as unknown as { savedBlob?: Blob };
    delete scope.savedBlob;
    const original = URL.createObjectURL;
    URL.createObjectURL = (blob: Blob) => {
      scope.savedBlob = blob;
      URL.createObjectURL = original;
      return original.call(URL, blob);
    };
    HTMLAnchorElement.prototype.click = () => {};
  });
  await click(page, text);
  await page.waitForFunction(() => (window as unknown as { savedBlob?: Blob }).savedBlob, { timeout: 60_000 });
  const base64 = await page.evaluate(async () => {
    const blob = (window as unknown as { savedBlob: Blob }).savedBlob;
    return new Promise<string>((done) => {
      const reader = new FileReader();
      reader.onload = () => done((reader.result as string).replace(/^[^,]*,/, ''));
      reader.readAsDataURL(blob);
    });
  });
  return Buffer.from(base64, 'base64');
}

export async function openModel(page: Page, path: string): Promise<void> {
  await (await chooser(page, 'inspect', 'Open model')).uploadFile(path);
  await waitForText(page, 'inspect', /resnet18, (aand|rd)/);
}

/** Inspects images in the page; raw scores by name, from the table that it saves. */
export async function inspect(page: Page, images: readonly string[]): Promise<Record<string, number>> {
  await (await chooser(page, 'inspect', 'Open images')).uploadFile(...images);
  await page.waitForFunction(
    (count) =>
      document.querySelectorAll('#inspect tbody tr').length === count &&
      /\d images,/.test(document.getElementById('inspect')?.textContent ?? ''),
    { timeout: 300_000 },
    images.length,
  );
  const csv = await saved(page, 'Save table (CSV)');
  const lines = new TextDecoder().decode(csv).trim().split('\n').slice(1);
  return Object.fromEntries(lines.map((line) => [/^"(.*?)"/.exec(line)?.[1] ?? '', Number(line.split(',')[1])]));
}

/** Raw scores of the command line by file name. */
export async function commandLineScores(
  site: Site,
  model: string,
  images: readonly string[],
  driver: string | undefined,
): Promise<Record<string, number>> {
  const printed = await site.aand(['predict', model, ...images, '--out', join(site.folder, 'p'), '--json'], driver);
  const rows = JSON.parse(printed) as { path: string; raw_score: number }[];
  return Object.fromEntries(rows.map((row) => [row.path.replace(/^.*\//, ''), row.raw_score]));
}

export async function checkThresholdAndCorrections(page: Page, site: Site): Promise<void> {
  const move = (value: string) =>
    page.$eval(
      '#threshold',
      (e, value) => {
        (e as HTMLInputElement).value = value;
        e.dispatchEvent(new Event('input'));
      },
      value,
    );
  await move('1000');
  expect(await textOf(page, '#inspect tbody')).not.toContain('anomalous');
  await move('0');
  expect(await textOf(page, '#inspect tbody')).not.toContain('good');
  for (const [image, verdict] of [
    ['shown0.png', 'This is good'],
    ['shown2.png', 'This is bad'],
  ] as const) {
    await click(page, image);
    await page.waitForFunction(
      (name) => document.querySelector('#inspect tr.selected')?.textContent?.includes(name),
      {},
      image,
    );
    await click(page, verdict);
  }
  await click(page, 'Recalibrate');
  expect(await textOf(page, '#inspect')).toMatch(/Threshold [\d.]+ → [\d.]+; \d of 3 verdicts changed/);
  expect(await textOf(page, '#inspect output')).toMatch(/^[\d.]+ \(F1-max over \d+ scores\)/);
  const corrected = join(site.folder, 'corrected.safetensors');
  writeFileSync(corrected, await saved(page, 'Save model'));
  const image = site.images[2] as string;
  const printed = await site.aand(['predict', corrected, image, '--out', join(site.folder, 'p'), '--json']);
  const [row] = JSON.parse(printed) as { pred_score: number; pred_label: string }[];
  expect(row?.pred_label).toBe((row?.pred_score ?? 0) >= 0.5 ? 'anomalous' : 'good');
  expect(readFileSync(corrected).length).toBeGreaterThan(10_000_000);
}

export async function checkSpot(page: Page): Promise<void> {
  const box = await (await page.$('#inspect .stage canvas'))?.boundingBox();
  if (!box) throw new Error('no picture');
  await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
  await page.waitForSelector('#inspect .levels figure', { timeout: 120_000 });
  expect((await page.$$('#inspect .levels figure')).length).toBe(9);
  expect(await textOf(page, '#inspect h3')).toMatch(/At \d+ %, \d+ %: [\d.]+ raw/);
}

export async function checkCamera(page: Page): Promise<void> {
  await click(page, 'Camera');
  await waitForText(page, 'inspect', /[1-9]\.\d frames per second; camera|0\.[1-9] frames per second; camera/);
  console.log(`live: ${/[\d.]+ frames per second.*ms/.exec(await textOf(page, '#inspect'))?.[0]}`);
  await click(page, 'Stop camera');
}

/** Real photographs where they are, else parts of the demo's product; one defective. */
async function trainingImages(site: Site, count: number): Promise<{ good: string[]; bad: string }> {
  const real = join(sharedDir, 'datasets/mvtec_ad/screw');
  if (existsSync(real)) {
    const names = readdirSync(join(real, 'train/good')).sort().slice(0, count);
    const good = names.map((name) => join(real, 'train/good', name));
    return { good, bad: join(real, 'test/scratch_neck/000.png') };
  }
  console.warn(`${real} is absent: the page trains on drawn parts instead of photographs`);
  const good: string[] = [];
  for (let i = 0; i < count; i++) {
    const path = join(site.folder, `good${String(i).padStart(2, '0')}.png`);
    await writeImage(path, part(0, i).image);
    good.push(path);
  }
  const bad = join(site.folder, 'bad.png');
  await writeImage(bad, part(0, 1, 'rust').image);
  return { good, bad };
}

/** Fills in the Train view. */
export async function prepareTraining(page: Page, site: Site, count: number, epochs: [number, number]): Promise<void> {
  const { good, bad } = await trainingImages(site, count);
  await click(page, 'Train');
  await (await chooser(page, 'train', 'Choose')).uploadFile(...good);
  const choosers = await page.$$('#train .drop input[type=file]');
  await (choosers[1] as ElementHandle<HTMLInputElement>).uploadFile(bad);
  expect(await textOf(page, '#train')).toContain(`${good.length} good, 1 bad`);
  await setFields(page, 'train', {
    'Image size': '64',
    Batch: '8',
    'Epochs, stage I': String(epochs[0]),
    'Epochs, stage II': String(epochs[1]),
  });
}

export async function setFields(page: Page, view: string, values: Readonly<Record<string, string>>): Promise<void> {
  for (const [label, value] of Object.entries(values))
    await page.evaluate(
      (view, label, value) => {
        const field = [...document.querySelectorAll<HTMLLabelElement>(`#${view} label.field`)].find(
          (e) => e.firstChild?.textContent === label,
        );
        (field?.querySelector('input') as HTMLInputElement).value = value;
      },
      view,
      label,
      value,
    );
}

/** Begins to note the page's long tasks, and how long its event loop lets a message wait. */
async function watchMainThread(page: Page): Promise<() => Promise<string>> {
  await page.evaluate(() => {
    const scope = window as unknown as { longTasks: number[]; waits: number[] };
    scope.longTasks = [];
    scope.waits = [];
    new PerformanceObserver((list) =>
      scope.longTasks.push(...list.getEntries().map((entry) => entry.duration)),
    ).observe({ entryTypes: ['longtask'] });
    let last = performance.now();
    setInterval(() => {
      const now = performance.now();
      scope.waits.push(now - last - 20);
      last = now;
    }, 20);
  });
  return () =>
    page.evaluate(() => {
      const { longTasks, waits } = window as unknown as { longTasks: number[]; waits: number[] };
      const sorted = waits.sort((a, b) => a - b);
      const reported = PerformanceObserver.supportedEntryTypes.includes('longtask')
        ? `${longTasks.length} tasks over 50 ms, longest ${Math.max(0, ...longTasks).toFixed(0)} ms; `
        : 'long tasks are not reported here; ';
      const at = (share: number) => (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(0);
      return `${reported}a timer is late by ${at(0.5)} ms (median), ${at(0.99)} ms (99 %), ${at(1)} ms (most)`;
    });
}

/** Trains in the page with a reload in the middle; the saved model must give the same scores in the command line. */
export async function trainAndResume(
  page: Page,
  site: Site,
  count: number,
  driver: string | undefined,
  tolerance: number,
): Promise<void> {
  await prepareTraining(page, site, count, [1, 2]);
  await click(page, 'Preview');
  await page.waitForFunction(() => document.querySelectorAll('#train .sheet canvas').length === 16, {
    timeout: 60_000,
  });
  await click(page, 'Forecast');
  await waitForText(page, 'train', /MiB of GPU memory/);
  const mainThread = await watchMainThread(page);
  await click(page, 'Start training');
  await waitForText(page, 'train', /stage II, epoch 2/, 300_000);
  expect(await page.title()).toMatch(/^stage II \d+ % – /);
  console.log(`main thread while training: ${await mainThread()}`);
  await page.reload();
  await ready(page);
  await click(page, 'Train');
  await waitForText(page, 'train', /\d+ good, 1 bad, resnet18, \d+ pixels.*not finished/);
  await click(page, 'Resume');
  await waitForText(page, 'train', /image AUROC/, 300_000);
  // What ran before the reload was not run again.
  expect(await textOf(page, '#train')).not.toMatch(/stage I,/);
  const trained = join(site.folder, 'browser.safetensors');
  writeFileSync(trained, await saved(page, 'Save model'));
  await click(page, 'Inspect with it');
  await waitForText(page, 'inspect', /my product resnet18/);
  await page.reload();
  await ready(page);
  await openModel(page, trained);
  const shown = [0, 2].map((i) => site.images[i] as string);
  const scores = await inspect(page, shown);
  const expected = await commandLineScores(site, trained, shown, driver);
  for (const [name, score] of Object.entries(scores))
    expect(Math.abs(score - (expected[name] as number)), name).toBeLessThanOrEqual(tolerance);
}

/**
 * axe in every view, light and dark. The page's own policy keeps scripts of others out, and the checker is one: the browser
 * must run with the policy off.
 */
export async function checkAccessibility(
  page: Page,
  schemes: readonly ('light' | 'dark')[],
  setScheme: (scheme: 'light' | 'dark') => Promise<void> = async () => {},
): Promise<void> {
  const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  await page.evaluate(axe);
  for (const scheme of schemes) {
    await setScheme(scheme);
    for (const view of ['Inspect', 'Train', 'Bench']) {
      await click(page, view);
      const found = await page.evaluate(async () => {
        const { axe } = window as unknown as {
          axe: { run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }> };
        };
        return (await axe.run()).violations.map(({ id, impact, nodes }) => ({
          id,
          impact,
          nodes: nodes.map(({ html }) => html.slice(0, 120)),
        }));
      });
      const serious = found.filter(({ impact }) => impact === 'serious' || impact === 'critical');
      expect(serious, `${view}, ${scheme}`).toEqual([]);
    }
  }
}

export async function checkOffline(page: Page, site: Site): Promise<void> {
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  await page.waitForFunction(
    async () =>
      (await caches.keys()).length === 1 &&
      (await (await caches.open((await caches.keys())[0] as string)).keys()).length >= 7,
    { timeout: 30_000 },
  );
  await site.stop();
  try {
    await page.reload();
    await ready(page);
    expect(await textOf(page, '#device')).not.toBe('no WebGPU');
  } finally {
    await site.start();
  }
}

export async function checkWithoutWebGpu(browser: Browser, url: string): Promise<void> {
  const page = await browser.newPage();
  await page.goto(url);
  await ready(page);
  expect(await textOf(page, '#device')).toBe('no WebGPU');
  expect(await textOf(page, '#problem')).toMatch(/gives the page no WebGPU\. Use a current Chrome/);
}
