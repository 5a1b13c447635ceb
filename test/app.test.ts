/**
 * The page in real browsers: inspect with the command line's scores, camera, train with a reload in the middle, corrections,
 * no WebGPU, offline, no foreign requests, accessibility.
 */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Browser, ElementHandle, Page } from 'puppeteer-core';
import puppeteer from 'puppeteer-core';
import sirv from 'sirv';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chromiumPath, firefoxPath, launchFirefox, lavapipeDriver, swiftShaderDriver } from './support/browsers.ts';
import { bundle } from './support/bundle.ts';
import { part, writeImage, writeMvtec } from './support/layouts.ts';
import { sharedDir } from './support/shared.ts';

const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), 'aand-app-'));
const washer = join(folder, 'washer');
// The page without the demo model, which this machine may have built or not.
const site = join(folder, 'site');
const modelPath = join(folder, 'out/model.safetensors');
let cliFolder: string;
let cli: string;
let server: Server;
let url: string;

function aand(args: readonly string[], driver: string | undefined = lavapipeDriver): Promise<{ stdout: string }> {
  return run('node', [cli, ...args], {
    env: { ...process.env, VK_DRIVER_FILES: driver as string },
    maxBuffer: 2 ** 26,
  });
}

/** Raw scores of the command line by file name. */
async function commandLineScores(model: string, images: readonly string[], driver: string | undefined) {
  const { stdout } = await aand(['predict', model, ...images, '--out', join(folder, 'p'), '--json'], driver);
  const rows = JSON.parse(stdout) as { path: string; raw_score: number; pred_label: string }[];
  return Object.fromEntries(rows.map((row) => [row.path.replace(/^.*\//, ''), row.raw_score]));
}

async function listen(): Promise<Server> {
  const made = createServer(sirv(site, { dev: true }));
  await new Promise<void>((ready) => made.listen(0, '127.0.0.1', ready));
  return made;
}

beforeAll(async () => {
  cliFolder = mkdtempSync(join(process.cwd(), 'node_modules', '.aand-app-'));
  cli = join(cliFolder, 'cli.mjs');
  await bundle('src/cli/main.ts', cli, 'node');
  await writeMvtec(folder, 'washer', 0, 12);
  await aand([
    'train',
    washer,
    '--out',
    join(folder, 'out'),
    '--image-size',
    '64',
    '--batch',
    '4',
    '--epochs',
    '1,2',
    '--foreground',
    'none',
  ]);
  cpSync('dist/app', site, { recursive: true, filter: (path) => !/demo\./.test(path) });
  writeFileSync(join(site, 'contents.json'), '{"demo":false}');
  server = await listen();
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
  rmSync(cliFolder, { recursive: true, force: true });
});

function chromium(webgpu = true): Promise<Browser> {
  return puppeteer.launch({
    executablePath: chromiumPath as string,
    headless: true,
    protocolTimeout: 600_000,
    args: [
      '--no-sandbox',
      ...(webgpu ? ['--enable-unsafe-webgpu'] : ['--disable-features=WebGPU']),
      '--use-fake-device-for-media-stream',
      '--use-fake-ui-for-media-stream',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
    ],
  });
}

interface Opened {
  readonly page: Page;
  /** Requests to other places than the page's own. */
  readonly foreign: string[];
  readonly errors: string[];
}

async function open(browser: Browser): Promise<Opened> {
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

const ready = (page: Page) =>
  page.waitForFunction(() => !/opening/.test(document.getElementById('device')?.textContent ?? ''), {
    timeout: 60_000,
  });

/** The file chooser whose label says this. */
async function chooser(page: Page, view: string, label: string): Promise<ElementHandle<HTMLInputElement>> {
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

const click = (page: Page, text: string) =>
  page.evaluate((text) => {
    const found = [...document.querySelectorAll('button')].find(
      (b) => b.textContent === text && b.offsetParent !== null,
    );
    if (!found) throw new Error(`no button '${text}'`);
    found.click();
  }, text);

const textOf = (page: Page, selector: string) => page.$eval(selector, (e) => (e as HTMLElement).innerText);

async function openModel(page: Page, path: string): Promise<void> {
  await (await chooser(page, 'inspect', 'Open model')).uploadFile(path);
  await page.waitForFunction(() => /resnet18, (aand|rd)/.test(document.getElementById('inspect')?.textContent ?? ''), {
    timeout: 60_000,
  });
}

/** Inspects images in the page; raw scores by name, from the table that it saves. */
async function inspect(page: Page, images: readonly string[]): Promise<Record<string, number>> {
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

/** What a button saves, caught before the browser's download. */
async function saved(page: Page, text: string): Promise<Uint8Array> {
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

const testImages = () => ['good/000.png', 'good/001.png', 'rust/000.png'].map((name) => join(washer, 'test', name));

/** Real photographs where they are, else parts of the demo's product; one defective. */
async function trainingImages(count: number): Promise<{ good: string[]; bad: string; size: string }> {
  const real = join(sharedDir, 'datasets/mvtec_ad/screw');
  if (existsSync(real)) {
    const names = readdirSync(join(real, 'train/good')).sort().slice(0, count);
    const good = names.map((name) => join(real, 'train/good', name));
    return { good, bad: join(real, 'test/scratch_neck/000.png'), size: '64' };
  }
  console.warn(`${real} is absent: the page trains on drawn parts instead of photographs`);
  const good: string[] = [];
  for (let i = 0; i < count; i++) {
    const path = join(folder, `good${String(i).padStart(2, '0')}.png`);
    await writeImage(path, part(0, i).image);
    good.push(path);
  }
  const bad = join(folder, 'bad.png');
  await writeImage(bad, part(0, 1, 'rust').image);
  return { good, bad, size: '64' };
}

/** Trains in the page with a reload in the middle; the saved model must give the same scores in the command line. */
async function trainAndResume(page: Page, count: number, driver: string | undefined, tolerance: number): Promise<void> {
  const { good, bad, size } = await trainingImages(count);
  await click(page, 'Train');
  await (await chooser(page, 'train', 'Choose')).uploadFile(...good);
  const choosers = await page.$$('#train .drop input[type=file]');
  await (choosers[1] as ElementHandle<HTMLInputElement>).uploadFile(bad);
  expect(await textOf(page, '#train')).toContain(`${good.length} good, 1 bad`);
  const values = { 'Image size': size, Batch: '8', 'Epochs, stage I': '1', 'Epochs, stage II': '2' };
  for (const [label, value] of Object.entries(values))
    await page.evaluate(
      (label, value) => {
        const field = [...document.querySelectorAll<HTMLLabelElement>('#train label.field')].find(
          (e) => e.firstChild?.textContent === label,
        );
        (field?.querySelector('input') as HTMLInputElement).value = value;
      },
      label,
      value,
    );
  await click(page, 'Preview');
  await page.waitForFunction(() => document.querySelectorAll('#train .sheet canvas').length === 16, {
    timeout: 60_000,
  });
  await click(page, 'Forecast');
  await page.waitForFunction(() => /MiB of GPU memory/.test(document.getElementById('train')?.textContent ?? ''), {
    timeout: 120_000,
  });
  // Long tasks of the page's own thread while the worker trains.
  await page.evaluate(() => {
    const scope = window as unknown as { longTasks: number[] };
    scope.longTasks = [];
    new PerformanceObserver((list) =>
      scope.longTasks.push(...list.getEntries().map((entry) => entry.duration)),
    ).observe({ entryTypes: ['longtask'] });
  });
  await click(page, 'Start training');
  await page.waitForFunction(() => /stage II, epoch 2/.test(document.getElementById('train')?.textContent ?? ''), {
    timeout: 300_000,
  });
  const longTasks = await page.evaluate(() =>
    PerformanceObserver.supportedEntryTypes.includes('longtask')
      ? (window as unknown as { longTasks: number[] }).longTasks
      : null,
  );
  console.log(
    longTasks
      ? `main thread while training: ${longTasks.length} tasks over 50 ms, longest ${Math.max(0, ...longTasks).toFixed(0)} ms`
      : 'this browser does not report long tasks',
  );
  await page.reload();
  await ready(page);
  await click(page, 'Train');
  await page.waitForFunction(
    () => /\d+ good, 1 bad, \d+ pixels.*not finished/.test(document.getElementById('train')?.textContent ?? ''),
    { timeout: 60_000 },
  );
  await click(page, 'Resume');
  await page.waitForFunction(() => /image AUROC/.test(document.getElementById('train')?.textContent ?? ''), {
    timeout: 300_000,
  });
  // What ran before the reload was not run again.
  const stageOne = await page.evaluate(() => /stage I,/.test(document.getElementById('train')?.textContent ?? ''));
  expect(stageOne).toBe(false);
  const trained = join(folder, 'browser.safetensors');
  writeFileSync(trained, await saved(page, 'Save model'));
  await click(page, 'Inspect with it');
  await page.waitForFunction(() => /my product resnet18/.test(document.getElementById('inspect')?.textContent ?? ''), {
    timeout: 60_000,
  });
  await page.reload();
  await ready(page);
  await openModel(page, trained);
  const shown = [0, 2].map((i) => join(folder, `shown${i}.png`));
  const scores = await inspect(page, shown);
  const expected = await commandLineScores(trained, shown, driver);
  for (const [name, score] of Object.entries(scores))
    expect(Math.abs(score - (expected[name] as number)), name).toBeLessThanOrEqual(tolerance);
}

describe.skipIf(!chromiumPath || !swiftShaderDriver)('in Chromium on SwiftShader', () => {
  let browser: Browser;
  let opened: Opened;
  beforeAll(async () => {
    browser = await chromium();
    opened = await open(browser);
  });
  afterAll(() => browser?.close());

  test("scores equal the command line's on the same driver, bit for bit", async () => {
    const images = testImages().map((path, i) => {
      const copy = join(folder, `shown${i}.png`);
      return { path, copy };
    });
    for (const { path, copy } of images) await run('cp', [path, copy]);
    const copies = images.map(({ copy }) => copy);
    await openModel(opened.page, modelPath);
    const scores = await inspect(opened.page, copies);
    expect(scores).toEqual(await commandLineScores(modelPath, copies, swiftShaderDriver));
    expect(await textOf(opened.page, '#inspect .verdict')).toMatch(/Good|Anomalous/);
  });

  test('a click on the picture shows the score there and the levels behind it', async () => {
    const { page } = opened;
    await click(page, 'shown2.png');
    const box = await (await page.$('#inspect .stage canvas'))?.boundingBox();
    if (!box) throw new Error('no picture');
    await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
    await page.waitForSelector('#inspect .levels figure', { timeout: 120_000 });
    expect((await page.$$('#inspect .levels figure')).length).toBe(9);
    expect(await textOf(page, '#inspect h3')).toMatch(/At \d+ %, \d+ %: [\d.]+ raw/);
  });

  test('the threshold moves the verdicts; corrections draw it anew; the saved model keeps it', async () => {
    const { page } = opened;
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
    await click(page, 'shown0.png');
    await click(page, 'This is good');
    await click(page, 'shown2.png');
    await click(page, 'This is bad');
    await click(page, 'Recalibrate');
    expect(await textOf(page, '#inspect')).toMatch(/Threshold [\d.]+ → [\d.]+; \d of 3 verdicts changed/);
    const line = await textOf(page, '#inspect output');
    expect(line).toMatch(/^[\d.]+ \(F1-max over \d+ scores\)/);
    const corrected = join(folder, 'corrected.safetensors');
    writeFileSync(corrected, await saved(page, 'Save model'));
    const { stdout } = await aand([
      'predict',
      corrected,
      join(folder, 'shown2.png'),
      '--out',
      join(folder, 'p'),
      '--json',
    ]);
    const [row] = JSON.parse(stdout) as { pred_score: number; pred_label: string }[];
    expect(row?.pred_label).toBe((row?.pred_score ?? 0) >= 0.5 ? 'anomalous' : 'good');
    expect(readFileSync(corrected).length).toBeGreaterThan(10_000_000);
  });

  test('the camera is inspected live', async () => {
    const { page } = opened;
    await click(page, 'Camera');
    await page.waitForFunction(
      () => /frames per second; camera/.test(document.getElementById('inspect')?.textContent ?? ''),
      { timeout: 120_000 },
    );
    console.log(`live: ${/[\d.]+ frames per second.*ms/.exec(await textOf(page, '#inspect'))?.[0]}`);
    await click(page, 'Stop camera');
  });

  test('trains, is paused by a reload, resumes, and gives a model with the same scores in the command line', async () => {
    await trainAndResume(opened.page, 24, swiftShaderDriver, 0);
  }, 600_000);

  test('fine-tuning learns what was marked as good', async () => {
    const { page } = opened;
    await click(page, 'shown0.png');
    const before = await textOf(page, '#inspect');
    await click(page, 'This is good');
    await click(page, 'Fine-tune');
    await page.waitForFunction(
      () => /Learned from \d+ good images/.test(document.getElementById('inspect')?.textContent ?? ''),
      { timeout: 300_000 },
    );
    const text = await textOf(page, '#inspect');
    const [, from, to] = /shown0\.png (\d+\.\d+) → (\d+\.\d+)/.exec(text) ?? [];
    console.log(`fine-tuning: raw score ${from} before, ${to} after`);
    expect(Number(to)).toBeLessThan(Number(from));
    expect(before).not.toContain('Learned from');
  }, 400_000);

  test('accessibility: no serious finding in any view, light or dark', async () => {
    const { page } = opened;
    // The page's own policy keeps scripts of others out, and the checker is one: it runs where the policy is off.
    const other = await browser.newPage();
    await other.setBypassCSP(true);
    await other.goto(url);
    await ready(other);
    const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
    await other.evaluate(axe);
    for (const scheme of ['light', 'dark']) {
      await other.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
      for (const view of ['Inspect', 'Train', 'Bench']) {
        await click(other, view);
        const found = await other.evaluate(async () => {
          const { axe } = window as unknown as {
            axe: { run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }> };
          };
          return (await axe.run()).violations.map(({ id, impact, nodes }) => ({
            id,
            impact,
            nodes: nodes.map(({ html }) => html.slice(0, 120)),
          }));
        });
        expect(
          found.filter(({ impact }) => impact === 'serious' || impact === 'critical'),
          `${view}, ${scheme}`,
        ).toEqual([]);
      }
    }
    await other.close();
    await page.bringToFront();
  });

  test('nothing left the machine, nothing failed', () => {
    expect(opened.foreign).toEqual([]);
    expect(opened.errors).toEqual([]);
  });

  test('works without its server after the first visit', async () => {
    const { page } = opened;
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
    await page.waitForFunction(
      async () =>
        (await caches.keys()).length === 1 &&
        (await (await caches.open((await caches.keys())[0] as string)).keys()).length >= 7,
      { timeout: 30_000 },
    );
    await new Promise<void>((closed) => {
      server.close(() => closed());
      server.closeAllConnections();
    });
    await page.reload();
    await ready(page);
    expect(await textOf(page, '#device')).toMatch(/swiftshader/i);
    server = createServer(sirv(site, { dev: true }));
    await new Promise<void>((again) => server.listen(Number(new URL(url).port), '127.0.0.1', again));
  });

  test('without WebGPU the page says what to do', async () => {
    const plain = await chromium(false);
    try {
      const page = await plain.newPage();
      await page.goto(url);
      await ready(page);
      expect(await textOf(page, '#device')).toBe('no WebGPU');
      expect(await textOf(page, '#problem')).toMatch(/gives the page no WebGPU\. Use a current Chrome/);
    } finally {
      await plain.close();
    }
  });
});

describe.skipIf(!firefoxPath || !lavapipeDriver)('in Firefox on lavapipe', () => {
  test("inspects with the command line's scores; trains and resumes", async () => {
    const browser = await launchFirefox();
    try {
      const { page, errors } = await open(browser);
      const images = testImages().slice(0, 1);
      const copy = join(folder, 'firefox.png');
      await run('cp', [images[0] as string, copy]);
      await openModel(page, modelPath);
      const scores = await inspect(page, [copy]);
      const expected = await commandLineScores(modelPath, [copy], lavapipeDriver);
      const difference = Math.abs((scores['firefox.png'] as number) - (expected['firefox.png'] as number));
      console.log(`Firefox and Node on lavapipe differ by ${difference.toExponential(1)} in the score`);
      // Firefox has no subgroups and no images here, so other kernels with another order of summation run.
      expect(difference).toBeLessThan(1e-4);
      await run('cp', [images[0] as string, join(folder, 'shown0.png')]);
      await run('cp', [images[0] as string, join(folder, 'shown2.png')]);
      await trainAndResume(page, 12, lavapipeDriver, 1e-4);
      expect(errors).toEqual([]);
    } finally {
      await browser.close();
    }
  }, 600_000);
});

if (!existsSync('dist/app/main.js')) console.warn('dist/app is missing: run npm run build first');
test('the page is small', () => {
  const files = readdirSync('dist/app').filter((name) => name.endsWith('.js'));
  expect(files.sort()).toEqual(['machine.js', 'main.js', 'service_worker.js']);
});
