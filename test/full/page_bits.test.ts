/**
 * Trainings in the page beside those of the command line with the same settings: with a region of interest,
 * robust ones, and a memory bank. Settings, scores and bits are equal.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chromiumPath, launchChromium, swiftShaderDriver } from '../../bench/support/browsers.ts';
import { parseRegion } from '../../src/data/region_json.ts';
import { readDetector } from '../../src/detector/file.ts';
import { sha256 } from '../../src/train/run.ts';
import { chooser, click, textOf, waitForText } from '../support/app_actions.ts';
import { useCommand } from '../support/command.ts';
import { fillTraining, openCopy, type PageCopies, serveCopies } from '../support/page_copies.ts';

const region = {
  inspect: [
    [
      [0.1, 0.05],
      [0.7, 0.05],
      [0.7, 0.95],
      [0.1, 0.8],
    ],
  ],
  ignore: [
    [
      [0.4, 0.4],
      [0.6, 0.4],
      [0.5, 0.6],
    ],
  ],
};

/** The bytes behind the header of a model file: its tensors. */
const tensors = (bytes: Uint8Array) =>
  bytes.subarray(8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true)));

describe.skipIf(!chromiumPath || !swiftShaderDriver)('trainings in page and command line', () => {
  const command = useCommand();
  let site: PageCopies;
  let browser: Browser;

  beforeAll(async () => {
    site = await serveCopies(['region', 'robust', 'bank']);
    writeFileSync(join(site.folder, 'region.json'), JSON.stringify(region));
    browser = await launchChromium();
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    site?.close();
  });

  /** Chooses the small teacher and a method; epochs and size are those of `fillTraining`. */
  const chooseMethod = (page: Page, mode = 'aand') =>
    page.evaluate((mode) => {
      const list = [...document.querySelectorAll('#train select')].map((e) => e as HTMLSelectElement);
      for (const select of list)
        for (const [i, { textContent, value }] of [...select.options].entries())
          if (textContent?.startsWith('resnet18_half (') || value === mode) {
            select.selectedIndex = i;
            select.dispatchEvent(new Event('change'));
          }
    }, mode);

  /** The model that a copy of the page keeps, from its own storage. */
  async function keptModel(page: Page, copy: string): Promise<Uint8Array> {
    const text = await page.evaluate(
      async (home) => {
        const files = async (folder: FileSystemDirectoryHandle): Promise<FileSystemFileHandle[]> => {
          const found: FileSystemFileHandle[] = [];
          for await (const entry of (
            folder as unknown as { values(): AsyncIterable<FileSystemHandle> }
          ).values())
            if (entry.kind === 'file') found.push(entry as FileSystemFileHandle);
            else found.push(...(await files(entry as FileSystemDirectoryHandle)));
          return found;
        };
        const top = await navigator.storage.getDirectory();
        const all = await files(await top.getDirectoryHandle(home));
        const model = all.find(({ name }) => name.endsWith('.safetensors'));
        if (!model) throw new Error(`no model among ${all.map(({ name }) => name)}`);
        const reader = new FileReader();
        reader.readAsDataURL(await model.getFile());
        await new Promise((done) => reader.addEventListener('load', done));
        return (reader.result as string).replace(/^.*,/, '');
      },
      `aand-${encodeURIComponent(`/${copy}/`)}`,
    );
    return new Uint8Array(Buffer.from(text, 'base64'));
  }

  /** Trains in the page and in the command line; the model of both. */
  async function trainBoth(page: Page, copy: string, options: readonly string[]) {
    await click(page, 'Start training');
    await waitForText(page, 'train', /Done\./, 400_000);
    const out = join(site.folder, copy, 'out');
    const { code, stderr } = await command.run(
      [
        ...['train', join(site.folder, 'images'), '--out', out, ...options],
        ...['--backbone', 'resnet18_half', '--image-size', '32', '--batch', '4', '--epochs', '1,1'],
      ],
      { env: { VK_DRIVER_FILES: swiftShaderDriver } },
    );
    expect(code, stderr).toBe(0);
    const files = [await keptModel(page, copy), readFileSync(join(out, 'model.safetensors'))] as const;
    const [theirs, ours] = await Promise.all(files.map((bytes) => readDetector(bytes, copy)));
    if (!theirs || !ours) throw new Error('a model is missing');
    const scores = ({ calibrationScores }: typeof ours.settings) =>
      calibrationScores.map(({ score }) => score);
    expect(theirs.settings.image).toEqual(ours.settings.image);
    expect(scores(theirs.settings)).toEqual(scores(ours.settings));
    // What a model says of its training: the teacher has another path, the product another name.
    const told = ({ training }: typeof ours.settings) => {
      const { weights: _, category: __, history: ___, images: ____, ...rest } = training;
      return rest;
    };
    expect(told(theirs.settings)).toEqual(told(ours.settings));
    expect(await sha256(tensors(files[0]))).toBe(await sha256(tensors(files[1])));
    return [theirs.settings, ours.settings] as const;
  }

  test('have the same bits with a region of interest from a file', async () => {
    const page = await openCopy(browser, `${site.origin}region/`);
    await fillTraining(page, site.images, 'washer', 1);
    await chooseMethod(page);
    await page.$eval('#train details.region-box', (box) => {
      (box as HTMLDetailsElement).open = true;
    });
    await waitForText(page, 'train', /Drawn on 0\.png/);
    const file = join(site.folder, 'region.json');
    await (await chooser(page, 'train', 'Load region')).uploadFile(file);
    await waitForText(page, 'train', /\d\d % of the picture is inspected/);
    const options = ['--region', file, '--foreground', 'none'];
    const [theirs, ours] = await trainBoth(page, 'region', options);
    expect(theirs.region).toEqual(parseRegion(JSON.stringify(region), 'region'));
    expect(theirs.region).toEqual(ours.region);
    await page.close();
  }, 600_000);

  test('have the same bits where light and camera will change', async () => {
    const page = await openCopy(browser, `${site.origin}robust/`);
    await fillTraining(page, site.images, 'washer', 1);
    await chooseMethod(page);
    await page.$$eval('#train .choices label', (labels) => {
      labels.find((label) => /Light and camera will change/.test(label.textContent ?? ''))?.click();
    });
    const [theirs, ours] = await trainBoth(page, 'robust', ['--robust', '--foreground', 'none']);
    expect(ours.training.robust).toContain('tilts');
    expect(theirs.image?.rule).toMatch(/changed cop/);
    await page.close();
  }, 600_000);

  test('have the same bits where features are kept: there is nothing to ask of epochs, no chart', async () => {
    const page = await openCopy(browser, `${site.origin}bank/`);
    await fillTraining(page, site.images, 'washer', 1);
    await chooseMethod(page, 'patchcore');
    const disabled = await page.evaluate(() =>
      [...document.querySelectorAll('#train label.field')]
        .filter((field) => field.querySelector('input:disabled'))
        .map((field) => field.firstChild?.textContent),
    );
    expect(disabled).toEqual(['Batch', 'Epochs, stage I', 'Epochs, stage II']);
    await click(page, 'Preview');
    await waitForText(page, 'train', /Foreground: \d+ %/);
    expect(await textOf(page, '#train')).not.toMatch(/Made-up defects/);
    await click(page, 'Forecast');
    await waitForText(page, 'train', /MiB of GPU memory and .*should manage that/, 100_000);
    const [theirs, ours] = await trainBoth(page, 'bank', ['--mode', 'patchcore']);
    expect(ours.training).toMatchObject({ coreset: '0.01, and at least 2500 patches', left_out_parts: 2 });
    expect(theirs.mode).toBe('patchcore');
    expect(
      await page.$eval('[aria-label="loss of each epoch"]', (e) => (e as HTMLElement).offsetParent),
    ).toBeNull();
    await click(page, 'Inspect with it');
    await waitForText(page, 'inspect', /patchcore, 32 pixels/);
    const tune = await page.evaluate(() =>
      [...document.querySelectorAll<HTMLButtonElement>('#inspect button')]
        .filter(({ textContent }) => textContent === 'Fine-tune')
        .map(({ disabled, title }) => [disabled, title]),
    );
    expect(tune).toEqual([[true, expect.stringMatching(/remembers features/)]]);
    await page.close();
  }, 600_000);
});
