/** The page in headless Chromium on SwiftShader; what is tried in it is in support/app_site.ts. */
import { copyFileSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import puppeteer, { type Browser, type ElementHandle } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type BackboneName, backbones } from '../src/model/backbone.ts';
import { detectorParameters, groups } from '../src/model/detector.ts';
import { storedShape } from '../src/weights/names.ts';
import { writeTorchFile } from '../src/weights/torch_writer.ts';
import {
  checkAccessibility,
  checkCamera,
  checkOffline,
  checkSpot,
  checkThresholdAndCorrections,
  checkWithoutWebGpu,
  chooser,
  click,
  commandLineScores,
  inspect,
  type Opened,
  openModel,
  openPage,
  openSite,
  prepareTraining,
  ready,
  type Site,
  setFields,
  textOf,
  trainAndResume,
  waitForText,
} from './support/app_site.ts';
import { chromiumPath, swiftShaderDriver } from './support/browsers.ts';

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

describe.skipIf(!chromiumPath || !swiftShaderDriver)('the page in Chromium on SwiftShader', () => {
  let site: Site;
  let browser: Browser;
  let opened: Opened;
  beforeAll(async () => {
    site = await openSite();
    browser = await chromium();
    opened = await openPage(browser, site.url);
  });
  afterAll(async () => {
    await browser?.close();
    await site?.close();
  });

  test("scores equal the command line's on the same driver, bit for bit", async () => {
    const { page } = opened;
    await openModel(page, site.model);
    const scores = await inspect(page, site.images);
    expect(scores).toEqual(await commandLineScores(site, site.model, site.images, swiftShaderDriver));
    expect(await textOf(page, '#inspect .verdict')).toMatch(/Good|Anomalous/);
  });

  test('a click on the picture shows the score there and the levels behind it; so does a button', async () => {
    const { page } = opened;
    await checkSpot(page);
    const before = await textOf(page, '#inspect h3');
    await click(page, 'Explain the peak');
    await page.waitForFunction(
      (text) => document.querySelector('#inspect h3')?.textContent !== text,
      { timeout: 60_000 },
      before,
    );
    const [, shown] = /: ([\d.]+) raw/.exec(await textOf(page, '#inspect h3')) ?? [];
    const [, score] = /raw ([\d.]+)\)/.exec(await textOf(page, '#inspect')) ?? [];
    // The map's highest value is the image's score.
    expect(shown).toBe(score);
  });

  test('the threshold moves the verdicts; corrections draw it anew; the saved model keeps it', () =>
    checkThresholdAndCorrections(opened.page, site));

  test('the camera is inspected live, and stopped in the background', async () => {
    const { page } = opened;
    await checkCamera(page);
    await click(page, 'Camera');
    await waitForText(page, 'inspect', /Stop camera/);
    const other = await browser.newPage();
    await other.bringToFront();
    await page.waitForFunction(() => document.hidden);
    await other.close();
    await page.bringToFront();
    await waitForText(page, 'problem', /./);
    expect(await textOf(page, '#problem')).toMatch(/camera was stopped because the page went into the background/);
    expect(await textOf(page, '#inspect')).not.toContain('Stop camera');
  });

  test('trains, is paused by a reload, resumes, and gives a model with the same scores in the command line', async () => {
    await trainAndResume(opened.page, site, 24, swiftShaderDriver, 0);
  }, 600_000);

  test('fine-tuning learns what was marked as good', async () => {
    const { page } = opened;
    await click(page, 'shown0.png');
    await page.waitForFunction(() => /shown0/.test(document.querySelector('#inspect tr.selected')?.textContent ?? ''));
    await click(page, 'This is good');
    await click(page, 'Fine-tune');
    await waitForText(page, 'inspect', /Learned from \d+ good images/, 300_000);
    const [, from, to] = /shown0\.png (\d+\.\d+) → (\d+\.\d+)/.exec(await textOf(page, '#inspect')) ?? [];
    console.log(`fine-tuning: raw score ${from} before, ${to} after`);
    expect(Number(to)).toBeLessThan(Number(from));
  }, 400_000);

  test("a teacher of torchvision's kind is loaded, kept, and what is none is refused", async () => {
    const { page } = opened;
    const file = (backbone: BackboneName) => {
      const tensors = detectorParameters(backbones[backbone], 'rd')
        .specs.filter(({ group }) => group === groups.teacher)
        .map((spec) => {
          const shape = storedShape(spec);
          const values = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5);
          return [spec.name.slice('teacher.'.length), { shape, values }] as const;
        });
      const path = join(site.folder, `${backbone}.pth`);
      writeFileSync(path, writeTorchFile(new Map([['', new Map(tensors)]])));
      return path;
    };
    await click(page, 'Train');
    const choose = async (path: string) => (await chooser(page, 'train', 'Load teacher weights')).uploadFile(path);
    await choose(file('resnet34'));
    await waitForText(page, 'train', /resnet34\.pth is a resnet34 and stays on this device/);
    await page.reload();
    await ready(page);
    await click(page, 'Train');
    await waitForText(page, 'train', /resnet34 \(resnet34\.pth\)/);
    await choose(site.model);
    await page.waitForFunction(() =>
      /holds a whole detector/.test(document.getElementById('problem')?.textContent ?? ''),
    );
    // Advice for a job that is too large: what would fit.
    await prepareTraining(page, site, 8, [1, 1]);
    await setFields(page, 'train', { 'Image size': '512', Batch: '64' });
    await click(page, 'Forecast');
    await waitForText(page, 'train', /That is much memory for a browser\. Better: .*\(\d+ MiB\)/);
    await click(page, 'Clear good');
    expect(await textOf(page, '#train')).toContain('Nothing yet');
  });

  test('a training goes on after the GPU process died', async () => {
    const { page } = opened;
    await page.reload();
    await ready(page);
    await prepareTraining(page, site, 8, [1, 3]);
    await click(page, 'Inspect');
    await openModel(page, site.model);
    await click(page, 'Train');
    await click(page, 'Start training');
    await waitForText(page, 'train', /stage II, epoch 2/, 200_000);
    await (await browser.target().createCDPSession()).send('Browser.crashGpuProcess');
    await waitForText(page, 'train', /GPU was taken away and is opened again/, 60_000);
    await waitForText(page, 'train', /image AUROC/, 200_000);
    expect(await textOf(page, '#train')).not.toMatch(/stage I,/);
    // The model that was open before is loaded again on the new device.
    await click(page, 'Inspect');
    expect(Object.keys(await inspect(page, site.images.slice(0, 1)))).toEqual(['shown0.png']);
    expect(await page.$eval('#problem', (e) => (e as HTMLElement).hidden)).toBe(true);
  }, 600_000);

  test('tuning is kept on the device, also when it is stopped, and used from then on', async () => {
    const { page } = opened;
    await page.reload();
    await ready(page);
    await click(page, 'Bench');
    await waitForText(page, 'bench', /Not tuned: kernels are chosen by a table/);
    await setFields(page, 'bench', { 'Image size': '32', 'Batch of training': '1' });
    await click(page, 'Tune');
    await waitForText(page, 'bench', /[2-9] of \d+ products; so far the table is \d+\.\d\d times/);
    await click(page, 'Stop');
    await waitForText(page, 'bench', /[2-9] products are tuned on this device/);
    await page.reload();
    await ready(page);
    await waitForText(page, 'bench', /[2-9] products are tuned on this device/);
  });

  test('out of memory is said with what to do, and the next action works', async () => {
    const { page } = opened;
    await page.reload();
    await ready(page);
    await openModel(page, site.model);
    const [worker] = page.workers();
    // Real exhaustion would take the machine's memory with it: the driver's answer is what is played.
    await worker?.evaluate(() => {
      const { createBuffer } = GPUDevice.prototype;
      GPUDevice.prototype.createBuffer = function (this: GPUDevice, descriptor) {
        GPUDevice.prototype.createBuffer = createBuffer;
        const error = new GPUOutOfMemoryError('Out of memory (played by a test)');
        this.dispatchEvent(new GPUUncapturedErrorEvent('uncapturederror', { error }));
        return createBuffer.call(this, descriptor);
      };
    });
    await (await chooser(page, 'inspect', 'Open images')).uploadFile(site.images[0] as string);
    await page.waitForFunction(
      () =>
        /The memory is not enough: choose a smaller batch/.test(document.getElementById('problem')?.textContent ?? ''),
      { timeout: 60_000 },
    );
    expect(Object.keys(await inspect(page, site.images.slice(0, 1)))).toEqual(['shown0.png']);
  });

  test('the webcam example judges what a camera shows', async () => {
    await build({
      entryPoints: ['examples/webcam.ts'],
      bundle: true,
      format: 'esm',
      alias: { 'aand-webgpu': resolve('dist/browser.js') },
      outfile: join(site.root, 'webcam.js'),
    });
    copyFileSync('examples/webcam.html', join(site.root, 'webcam.html'));
    const page = await browser.newPage();
    await page.goto(`${site.url}webcam.html`);
    await ((await page.$('input')) as ElementHandle<HTMLInputElement>).uploadFile(site.model);
    await page.waitForFunction(
      () => /^(good|anomalous) \d\.\d{3}$/.test(document.querySelector('output')?.value ?? ''),
      {
        timeout: 60_000,
      },
    );
    const side = await page.$eval('canvas', (canvas) => (canvas as HTMLCanvasElement).width);
    expect(side).toBe(64);
    await page.close();
  });

  test('accessibility: no serious finding in any view, light or dark', async () => {
    const other = await browser.newPage();
    await other.setBypassCSP(true);
    await other.goto(site.url);
    await ready(other);
    await checkAccessibility(other, ['light', 'dark'], (scheme) =>
      other.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]),
    );
    await other.close();
    await opened.page.bringToFront();
  });

  test('nothing left the machine, nothing failed', () => {
    expect(opened.foreign).toEqual([]);
    expect(opened.errors).toEqual([]);
  });

  test('works without its server after the first visit', () => checkOffline(opened.page, site));

  test('without WebGPU the page says what to do', async () => {
    const plain = await chromium(false);
    try {
      await checkWithoutWebGpu(plain, site.url);
    } finally {
      await plain.close();
    }
  });
});

if (!existsSync('dist/app/main.js')) console.warn('dist/app is missing: run npm run build first');
test('the page is small', () => {
  const files = readdirSync('dist/app').filter((name) => name.endsWith('.js'));
  expect(files.sort()).toEqual(['machine.js', 'main.js', 'service_worker.js']);
});
