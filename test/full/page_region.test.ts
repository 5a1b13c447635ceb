/** A training with a region of interest in the page, beside one of the command line with the saved file. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chromiumPath, launchChromium, swiftShaderDriver } from '../../bench/support/browsers.ts';
import { parseRegion } from '../../src/data/region_json.ts';
import { readDetector } from '../../src/detector/file.ts';
import { sha256 } from '../../src/train/run.ts';
import { chooser, click, waitForText } from '../support/app_actions.ts';
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

describe.skipIf(!chromiumPath || !swiftShaderDriver)('a training with a region of interest', () => {
  const command = useCommand();
  let site: PageCopies;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    site = await serveCopies(['a']);
    writeFileSync(join(site.folder, 'region.json'), JSON.stringify(region));
    browser = await launchChromium();
    page = await openCopy(browser, `${site.origin}a/`);
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    site?.close();
  });

  /** The model that the page keeps, from its own storage. */
  async function keptModel(): Promise<Uint8Array> {
    const text = await page.evaluate(async () => {
      const files = async (folder: FileSystemDirectoryHandle): Promise<FileSystemFileHandle[]> => {
        const found: FileSystemFileHandle[] = [];
        for await (const entry of (
          folder as unknown as { values(): AsyncIterable<FileSystemHandle> }
        ).values())
          if (entry.kind === 'file') found.push(entry as FileSystemFileHandle);
          else found.push(...(await files(entry as FileSystemDirectoryHandle)));
        return found;
      };
      const all = await files(await navigator.storage.getDirectory());
      const model = all.find(({ name }) => name.endsWith('.safetensors'));
      if (!model) throw new Error(`no model among ${all.map(({ name }) => name)}`);
      const reader = new FileReader();
      reader.readAsDataURL(await model.getFile());
      await new Promise((done) => reader.addEventListener('load', done));
      return (reader.result as string).replace(/^.*,/, '');
    });
    return new Uint8Array(Buffer.from(text, 'base64'));
  }

  test("in the page has the bits of the command line's with the saved file", async () => {
    await fillTraining(page, site.images, 'washer', 1);
    await page.evaluate(() => {
      const list = [...document.querySelectorAll('#train select')].map((e) => e as HTMLSelectElement);
      for (const select of list)
        for (const [i, { textContent, value }] of [...select.options].entries())
          if (textContent?.startsWith('resnet18_half (') || value === 'aand') select.selectedIndex = i;
      (document.querySelector('#train details.region-box') as HTMLDetailsElement).open = true;
    });
    await waitForText(page, 'train', /Drawn on 0\.png/);
    await (await chooser(page, 'train', 'Load region')).uploadFile(join(site.folder, 'region.json'));
    await waitForText(page, 'train', /\d\d % of the picture is inspected/);
    await click(page, 'Start training');
    await waitForText(page, 'train', /Done\./, 400_000);
    const bytes = await keptModel();
    const theirs = (await readDetector(bytes, 'page')).settings;
    expect(theirs.region).toEqual(parseRegion(JSON.stringify(region), 'region'));

    const { code, stderr } = await command.run(
      [
        ...['train', join(site.folder, 'images'), '--out', join(site.folder, 'out')],
        ...['--region', join(site.folder, 'region.json'), '--foreground', 'none'],
        ...['--backbone', 'resnet18_half', '--image-size', '32', '--batch', '4', '--epochs', '1,1'],
      ],
      { env: { VK_DRIVER_FILES: swiftShaderDriver } },
    );
    expect(code, stderr).toBe(0);
    const file = readFileSync(join(site.folder, 'out/model.safetensors'));
    const ours = (await readDetector(file, 'command')).settings;
    expect(theirs.region).toEqual(ours.region);
    expect(theirs.image).toEqual(ours.image);
    const scores = ({ calibrationScores }: typeof ours) => calibrationScores.map(({ score }) => score);
    expect(scores(theirs)).toEqual(scores(ours));
    expect(await sha256(tensors(bytes))).toBe(await sha256(tensors(file)));
  }, 600_000);
});
