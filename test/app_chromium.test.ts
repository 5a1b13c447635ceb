/**
 * The page in headless Chromium on SwiftShader; what is tried in every browser is in support/app_checks.ts.
 */
import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { chromiumPath, launchChromium, swiftShaderDriver } from '../bench/support/browsers.ts';
import { readReport } from '../src/bench/report.ts';
import { readDetector, rewriteDetector } from '../src/detector/file.ts';
import { backboneNamed } from '../src/model/backbones.ts';
import { groups } from '../src/model/groups.ts';
import { detectorParameters } from '../src/model/methods.ts';
import { storedShape } from '../src/weights/names.ts';
import { writeTorchFile } from '../src/weights/torch_writer.ts';
import {
  chooser,
  click,
  commandLineScores,
  inspect,
  openModel,
  prepareTraining,
  saved,
  setFields,
  textOf,
  waitForText,
} from './support/app_actions.ts';
import {
  checkAccessibility,
  checkOffline,
  checkSpot,
  checkThresholdAndCorrections,
  checkWithoutWebGpu,
} from './support/app_checks.ts';
import { ready, showPage } from './support/app_site.ts';

describe.skipIf(!chromiumPath || !swiftShaderDriver)('the page in Chromium on SwiftShader', () => {
  const shown = showPage(() => launchChromium(['--js-flags=--expose-gc']));

  test("scores equal the command line's on the same driver, bit for bit", async () => {
    const { page } = shown.opened;
    await openModel(page, shown.site.model);
    const scores = await inspect(page, shown.site, shown.site.images);
    expect(scores).toEqual(
      await commandLineScores(shown.site, shown.site.model, shown.site.images, swiftShaderDriver),
    );
    expect(await textOf(page, '#inspect .verdict')).toMatch(/Good|Anomalous/);
  }, 300_000);

  test('a click on the picture shows the score there and the levels behind it; so does a button', async () => {
    const { page } = shown.opened;
    await checkSpot(page);
    const before = await textOf(page, '#spot h3');
    await click(page, 'Explain the peak');
    await page.waitForFunction(
      (text) => document.querySelector('#spot h3')?.textContent !== text,
      { timeout: 60_000, polling: 100 },
      before,
    );
    const [, peak] = /\(raw ([\d.]+)\)/.exec(await textOf(page, '#spot h3')) ?? [];
    const [, score] = /raw ([\d.]+)\)/.exec(await textOf(page, '#inspect')) ?? [];
    // The map's highest value is the image's score.
    expect(peak).toBe(score);
  });

  test('the threshold moves the verdicts; corrections draw it anew; the saved model keeps it', () =>
    checkThresholdAndCorrections(shown.opened.page, shown.site));

  test('scores that left those of the calibration: a notice says what to do, until it is watched anew', async () => {
    const { page } = shown.opened;
    const file = await readDetector(readFileSync(shown.site.model), 'the model');
    const calibrationScores = Array.from({ length: 10 }, (_, i) => ({
      score: i - 100,
      anomalous: false,
      source: 'calibrate',
    }));
    const path = join(shown.site.folder, 'drifted.safetensors');
    writeFileSync(path, await rewriteDetector(file, { ...file.settings, calibrationScores }));
    const hidden = () => page.$eval('#inspect .notice', (notice) => (notice as HTMLElement).hidden);
    await openModel(page, path);
    await waitForText(page, 'inspect', /drifted\.safetensors/);
    const stream = Array.from({ length: 17 }, (_, i) => {
      const copy = join(shown.site.folder, `stream${i}.png`);
      copyFileSync(shown.site.images[0] as string, copy);
      return copy;
    });
    const look = async (images: readonly string[], last: string) => {
      await (await chooser(page, 'inspect', 'Open images')).uploadFile(...images);
      await waitForText(page, 'inspect', new RegExp(last), 300_000);
    };
    await look(stream, 'stream16\\.png: (raw|score)');
    expect(await textOf(page, '#inspect .notice')).toMatch(
      /After 16 images the scores lie above those of the good images of the calibration\. Check light/,
    );
    await click(page, 'Watch anew');
    expect(await hidden()).toBe(true);
    await look(stream.slice(0, 2), 'stream1\\.png: (raw|score)');
    expect(await hidden()).toBe(true);
  }, 300_000);

  test("a teacher of torchvision's kind is loaded, kept, and what is none is refused", async () => {
    const { page } = shown.opened;
    const file = (backbone: string) => {
      const tensors = detectorParameters(backboneNamed(backbone), 'rd')
        .specs.filter(({ group }) => group === groups.teacher)
        .map((spec) => {
          const shape = storedShape(spec);
          const values = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5);
          return [spec.name.slice('teacher.'.length), { shape, values }] as const;
        });
      const path = join(shown.site.folder, `${backbone}.pth`);
      writeFileSync(path, writeTorchFile(new Map([['', new Map(tensors)]])));
      return path;
    };
    await click(page, 'Train');
    const choose = async (path: string) =>
      (await chooser(page, 'train', 'Load teacher weights')).uploadFile(path);
    await choose(file('resnet34'));
    await waitForText(page, 'train', /resnet34\.pth is a resnet34 and stays on this device/);
    await page.reload();
    await ready(page);
    await click(page, 'Train');
    await waitForText(page, 'train', /resnet34 \(resnet34\.pth\)/);
    await choose(shown.site.model);
    await page.waitForFunction(
      () => /holds a whole detector/.test(document.getElementById('problem')?.textContent ?? ''),
      { polling: 100 },
    );
    // Advice for a job that is too large: what would fit. A step has no more images than there are.
    await prepareTraining(page, shown.site, 8, [1, 1]);
    await setFields(page, 'train', { 'Image size': '1024', Batch: '64' });
    await click(page, 'Forecast');
    await waitForText(page, 'train', /That is much memory for a browser\. Better: .*\(\d+ MiB\)/);
    await click(page, 'Clear good');
    expect(await textOf(page, '#train')).toContain('Nothing yet');
  });

  test('tuning is kept on the device, also when it is stopped, and used from then on', async () => {
    const { page } = shown.opened;
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

  test('the bench shows rows as they finish, stops, and hands results on as a file and as a link', async () => {
    const { page } = shown.opened;
    await click(page, 'Bench');
    await setFields(page, 'bench', {
      'Only names with a text, or that meet a /regular expression/': 'conv1x1-stride2-128/forward',
      'Own shapes': 'matmul:M=16,N=8,K=8 conv2d:C=8',
    });
    await click(page, 'Run the bench');
    await waitForText(page, 'problem', /shape 'conv2d:C=8': H is missing/);
    await setFields(page, 'bench', { 'Own shapes': 'matmul:M=16,N=8,K=8' });
    await click(page, 'Run the bench');
    await waitForText(page, 'bench', /measuring conv1x1\S*, 2 of 2, about \d+ s left/);
    expect(await textOf(page, '#bench tbody')).toMatch(/^matmul\/M=16,N=8,K=8\s+[\d.]+\s+±\d+ %/);
    await waitForText(page, 'bench', /peaks \d+ GFLOP\/s, copies [\d.]+ GB\/s, measured · \d{4}-/);
    const text = new TextDecoder().decode(await saved(page, shown.site, 'Save JSON'));
    const { results } = readReport(text, 'saved');
    expect(results.map(({ name }) => name)).toEqual([
      'matmul/M=16,N=8,K=8',
      'conv1x1-stride2-128/forward/1x64x64x64',
    ]);
    expect(results[0]?.samples_ms?.length).toBeGreaterThan(2);
    await click(page, 'Copy link');
    await waitForText(page, 'bench', /It holds the results themselves: nothing was sent anywhere/);
    const link = await page.$eval('#bench input[readonly]', (e) => (e as HTMLInputElement).value);
    expect(link.length).toBeLessThan(4000);

    const other = await shown.browser.newPage();
    await other.goto(link);
    await waitForText(
      other,
      'bench',
      /Results of a link, not of this device\. They were measured on: \d+ cores/,
    );
    expect(await textOf(other, '#bench tbody')).toBe(await textOf(page, '#bench tbody'));
    await other.goto('about:blank');
    await other.goto(link.slice(0, -40));
    await waitForText(other, 'problem', /The results in this link are damaged/);
    await other.close();

    await page.bringToFront();
    await setFields(page, 'bench', {
      'Only names with a text, or that meet a /regular expression/': '',
      'Own shapes': Array.from({ length: 30 }, (_, i) => `matmul:M=${16 * (i + 1)},N=8,K=8`).join(' '),
    });
    await click(page, 'Run the bench');
    await waitForText(page, 'bench', /3 of 30/);
    await click(page, 'Stop the bench');
    await waitForText(page, 'bench', /stopped: \d+ of 30 cases were measured/);
    const rows = await page.$$eval('#bench tbody tr', (all) => all.length);
    expect(rows).toBeGreaterThanOrEqual(2);
    expect(rows).toBeLessThan(30);
  });

  test('accessibility: no serious finding in any view, light or dark', async () => {
    const other = await shown.browser.newPage();
    await other.setBypassCSP(true);
    await other.goto(shown.site.url);
    await ready(other);
    await checkAccessibility(other, ['light', 'dark'], (scheme) =>
      other.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]),
    );
    await other.close();
    await shown.opened.page.bringToFront();
  });

  test('nothing left the machine, nothing failed', () => {
    expect(shown.opened.foreign).toEqual([]);
    expect(shown.opened.errors).toEqual([]);
  });

  test('works without its server after the first visit', () => checkOffline(shown.opened.page, shown.site));

  test('without WebGPU the page says what to do', async () => {
    const plain = await launchChromium(['--disable-features=WebGPU'], false);
    try {
      await checkWithoutWebGpu(plain, shown.site.url);
    } finally {
      await plain.close();
    }
  });
});

if (!existsSync('dist/app/main.js')) console.warn('dist/app is missing: run npm run build first');
test('the page is small', () => {
  const files = readdirSync('dist/app').filter((name) => name.endsWith('.js'));
  expect(files.sort()).toEqual(['live.js', 'machine.js', 'main.js', 'service_worker.js']);
});
