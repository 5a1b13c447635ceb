/**
 * The page in headless Chromium: copies under one origin, tabs, files that are no models. What it keeps of
 * trainings is in full/page_trainings.test.ts.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, ElementHandle, Page } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chromiumPath, launchChromium, swiftShaderDriver } from '../bench/support/browsers.ts';
import { chooser, click, setFields, textOf, waitForText } from './support/app_actions.ts';
import { openCopy, type PageCopies, serveCopies, updateCopy, writeModel } from './support/page_copies.ts';
import { checkOtherTab, problem, until } from './support/page_tabs.ts';

describe.skipIf(!chromiumPath || !swiftShaderDriver)('the page in Chromium', () => {
  let site: PageCopies;
  let browser: Browser;
  /** A tab of the copy in a/. */
  let first: Page;
  const errors: string[] = [];

  beforeAll(async () => {
    site = await serveCopies(['a', 'b']);
    await writeModel(join(site.folder, 'model.safetensors'));
    browser = await launchChromium();
    first = await openCopy(browser, `${site.origin}a/`);
    first.on('pageerror', (error) => errors.push((error as Error).message));
  });
  afterAll(async () => {
    await browser?.close();
    site?.close();
  });

  const caches = (page: Page) => page.evaluate(() => window.caches.keys());

  test("two copies on one origin and another application's cache: an update deletes its own copy's caches only", async () => {
    writeFileSync(join(site.root, 'other.html'), '<p>another application');
    const other = await browser.newPage();
    await other.goto(`${site.origin}other.html`);
    // The last two are names of the page's first versions, of this copy and of the other one.
    await other.evaluate(async (origin) => {
      for (const [name, url] of [
        ['another-app-v1', '/x'],
        ['aand-000000000000', `${origin}b/`],
        ['aand-111111111111', `${origin}a/`],
      ] as const)
        await (await window.caches.open(name)).put(url, new Response('kept'));
    }, site.origin);
    const b = await openCopy(browser, `${site.origin}b/`);
    await first.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
    await b.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
    const activated = (page: Page, sign: string) =>
      until(page, async (sign) => (await window.caches.keys()).some((key) => key.endsWith(sign)), sign);
    await activated(b, '');
    const before = await caches(other);
    const [ownA, ownB] = ['a', 'b'].map((copy) =>
      before.find((key) => key.startsWith(`aand-%2F${copy}%2F@`)),
    );
    expect(ownA).toBeDefined();
    expect(ownB).toBeDefined();
    updateCopy(site.root, 'b');
    await b.evaluate(async () => (await navigator.serviceWorker.ready).update());
    await until(b, async (old) => !(await window.caches.keys()).includes(old as string), ownB);
    expect((await caches(other)).sort()).toEqual(
      ['another-app-v1', ownA, 'aand-%2Fb%2F@0123456789ab']
        .concat(before.includes('aand-111111111111') ? ['aand-111111111111'] : [])
        .sort(),
    );
    // Files of others are neither answered nor kept.
    await first.evaluate(() => fetch('../other.html').then((response) => response.text()));
    expect(
      await first.evaluate(
        async (url) => (await window.caches.match(url)) === undefined,
        `${site.origin}other.html`,
      ),
    ).toBe(true);
    await other.close();
    await b.close();
  });

  test('the first screen: what cannot act is not enabled; photographs that come first wait for a model', async () => {
    const page = await openCopy(browser, `${site.origin}b/`);
    const work = ['Start training', 'Forecast', 'Preview', 'Clear good', 'Clear bad', 'Pause'];
    const enabled = () =>
      page.$$eval(
        '.start button, .start input, #train button',
        (controls, work) =>
          controls.flatMap((control) => {
            const text = control.textContent || control.parentElement?.textContent || '';
            const asked = control.closest('.start') !== null || work.includes(text);
            return asked && !(control as HTMLButtonElement).disabled ? text : [];
          }),
        work,
      );
    // This copy has no demo, and there are no photographs to learn from.
    expect(await textOf(page, '.start')).toContain('This copy of the page comes without the demo');
    expect(await enabled()).toEqual(['Choose a model file', 'Choose photographs']);
    const give = async (label: string, ...paths: readonly string[]) =>
      (await chooser(page, 'inspect', label)).uploadFile(...paths);
    await give('Open images', ...site.images.slice(0, 2));
    await waitForText(page, 'inspect', /2 photographs wait to be inspected/);
    const model = join(site.folder, 'model.safetensors');
    await give('Choose a model file', model);
    await waitForText(page, 'inspect', /2 images, \d anomalous/);
    expect(await page.$eval('.start', (screen) => (screen as HTMLElement).hidden)).toBe(true);
    // While another model opens.
    await give('Open model', model);
    await give('Open images', ...site.images.slice(2, 4));
    await waitForText(page, 'inspect', /4 images, \d anomalous/);
    await click(page, 'Train');
    const [good] = await page.$$('#train .drop input[type=file]');
    await (good as ElementHandle<HTMLInputElement>).uploadFile(...site.images);
    await waitForText(page, 'train', /4 good;/);
    expect(await enabled()).toEqual(
      expect.arrayContaining(['Clear good', 'Start training', 'Forecast', 'Preview']),
    );
    expect(await enabled()).not.toContain('Pause');
    await page.close();
  });

  test('few photographs: the form adapts to their number, and to what differs between good parts', async () => {
    const page = await openCopy(browser, `${site.origin}b/`);
    const fields = () =>
      page.$$eval('#train label.field', (labels) =>
        labels
          .filter((label) => label.firstChild?.textContent?.startsWith('Epochs'))
          .map((label) => label.querySelector('input')?.value),
      );
    const tick = (text: string) =>
      page.$$eval(
        '#train .choices label',
        (labels, text) => labels.find((label) => label.textContent?.includes(text))?.click(),
        text,
      );
    await click(page, 'Train');
    expect(await fields()).toEqual(['20', '30']);
    const choose = (i: number) => async (files: readonly string[]) => {
      const inputs = await page.$$('#train .drop input[type=file]');
      await (inputs[i] as ElementHandle<HTMLInputElement>).uploadFile(...files);
    };
    const [good, bad] = [choose(0), choose(1)];
    await good(site.images.slice(0, 1));
    await waitForText(page, 'train', /1 good; .* From one alone it says nothing/);
    // As many steps as 64 images are in 20 and 30 epochs of 8 steps.
    expect(await fields()).toEqual(['160', '240']);
    await good(site.images.slice(1, 3));
    await waitForText(page, 'train', /3 good; .*judged by a detector that learned the others.*up to 71 %/);
    await tick('The light varies');
    await waitForText(page, 'train', /63 changed copies are learned beside the 3 photographs/);
    expect(await fields()).toEqual(['20', '30']);
    // What a person typed stays.
    await setFields(page, 'train', { 'Epochs, stage I': '7' });
    await tick('The light varies');
    expect(await fields()).toEqual(['7', '240']);
    await setFields(page, 'train', { 'Epochs, stage I': '', Batch: '64' });
    expect(await fields()).toEqual(['20', '30']);
    await bad(site.images.slice(3));
    await waitForText(page, 'train', /3 good, 1 bad\./);
    await page.close();
  });

  test('files that are no models get a sentence, and the open model stays open', async () => {
    const open = async (name: string, bytes: Uint8Array | string) => {
      const path = join(site.folder, name);
      writeFileSync(path, bytes);
      await (await chooser(first, 'inspect', 'Open model')).uploadFile(path);
      await until(first, () => !document.getElementById('problem')?.hidden);
      const text = await problem(first);
      expect(text).not.toMatch(/\n\s+at |\[object|TypeError|RangeError/);
      await first.evaluate(() => {
        (document.getElementById('problem') as HTMLElement).hidden = true;
      });
      return text;
    };
    await (await chooser(first, 'inspect', 'Open model')).uploadFile(join(site.folder, 'model.safetensors'));
    await waitForText(first, 'inspect', /model\.safetensors: .*resnet18, rd, 32 pixels/);
    const header = (json: string, data = 0) => {
      const text = new TextEncoder().encode(json);
      const bytes = new Uint8Array(8 + text.length + data);
      new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
      bytes.set(text, 8);
      return bytes;
    };
    expect(await open('empty.safetensors', '')).toMatch(/empty\.safetensors is empty \(0 bytes\)/);
    expect(await open('photo.safetensors', Buffer.from('89504e470d0a1a0a00', 'hex'))).toMatch(
      /is an image, not a model/,
    );
    expect(await open('photo.png', Buffer.from('ffd8ffe000104a46', 'hex'))).toMatch(
      /is an image, not a model/,
    );
    expect(await open('weights.pth', Buffer.from('504b0304140000000000', 'hex'))).toMatch(
      /is a file of PyTorch/,
    );
    expect(await open('text.safetensors', 'not a model at all')).toMatch(
      /cannot be opened.*text\.safetensors/,
    );
    expect(await open('other.safetensors', header('{}'))).toMatch(/cannot be opened.*other\.safetensors/);
    const metadata = (format: string, detector: unknown) =>
      header(JSON.stringify({ __metadata__: { format, detector: JSON.stringify(detector) } }));
    expect(await open('newer.safetensors', metadata('aand-webgpu/999', {}))).toMatch(/aand-webgpu\/999/);
    expect(await open('bare.safetensors', metadata('aand-webgpu/1', {}))).toMatch(
      /cannot be opened.*bare\.safetensors/,
    );
    // The model from before still judges.
    await (await chooser(first, 'inspect', 'Open images')).uploadFile(site.images[0] as string);
    await waitForText(first, 'inspect', /1 images, \d anomalous/);
    expect(await textOf(first, '#inspect')).toMatch(/model\.safetensors: /);
    // Neither image nor model, and some of several images.
    const note = join(site.folder, 'note.txt');
    writeFileSync(note, 'x');
    await (await chooser(first, 'inspect', 'Open images')).uploadFile(note);
    await until(first, () => !document.getElementById('problem')?.hidden);
    expect(await problem(first)).toBe(
      '"note.txt" is neither an image (png, jpg, bmp, webp) nor a model (.safetensors).',
    );
    const broken = join(site.folder, 'broken.png');
    writeFileSync(broken, 'no picture');
    await (await chooser(first, 'inspect', 'Open images')).uploadFile(broken, site.images[1] as string);
    await until(first, () => /broken\.png/.test(document.getElementById('problem')?.textContent ?? ''));
    await waitForText(first, 'inspect', /2 images, \d anomalous/);
  });

  test('while a tab trains, another one of the same copy offers nothing that touches it', async () => {
    const second = await checkOtherTab(browser, site, first);
    await second.close();
  });

  test('nothing failed unseen', () => {
    expect(errors).toEqual([]);
  });
});
