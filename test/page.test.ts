/**
 * What the page keeps in headless Chromium: copies, tabs, deletions, full storage, files that are no models.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chromiumPath, launchChromium, swiftShaderDriver } from '../bench/support/browsers.ts';
import { chooser, click, textOf, waitForText } from './support/app_actions.ts';
import { ready } from './support/app_site.ts';
import {
  answer,
  fillTraining,
  openCopy,
  type PageCopies,
  serveCopies,
  updateCopy,
  writeModel,
} from './support/page_copies.ts';

describe.skipIf(!chromiumPath || !swiftShaderDriver)('the page in Chromium', () => {
  let site: PageCopies;
  let browser: Browser;
  /** Two tabs of the copy in a/. */
  let first: Page;
  let second: Page;
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

  const until = <A extends unknown[]>(page: Page, met: (...args: A) => unknown, ...args: A) =>
    page.waitForFunction(met as (...args: unknown[]) => unknown, { polling: 100, timeout: 60_000 }, ...args);
  const caches = (page: Page) => page.evaluate(() => window.caches.keys());
  const startDisabled = (page: Page) =>
    page.evaluate(
      () =>
        [...document.querySelectorAll('button')].find((b) => b.textContent === 'Start training')?.disabled,
    );
  const problem = (page: Page) => textOf(page, '#problem');

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
    await fillTraining(first, site.images, 'in the first tab', 500);
    await click(first, 'Start training');
    await waitForText(first, 'train', /stage II, epoch [2-9]/, 200_000);
    second = await openCopy(browser, `${site.origin}a/`);
    second.on('pageerror', (error) => errors.push((error as Error).message));
    await fillTraining(second, site.images, 'in the second tab', 1);
    await waitForText(second, 'train', /Another tab is training/);
    expect(await textOf(second, '#train')).not.toMatch(/Resume|Discard/);
    expect(await startDisabled(second)).toBe(true);
    // Another copy of the page is not concerned.
    const b = await openCopy(browser, `${site.origin}b/`);
    await fillTraining(b, site.images, 'in the other copy', 1);
    expect(await textOf(b, '#train')).not.toMatch(/Another tab|kept on this device/);
    expect(await startDisabled(b)).toBe(false);
    await b.close();
    await first.bringToFront();
    await click(first, 'Pause');
    await waitForText(first, 'train', /Paused after the last finished epoch/);
    await waitForText(second, 'train', /"in the first tab": 4 good, .*not finished/);
    expect(await startDisabled(second)).toBe(false);
  });

  test('two tabs that resume one training: one does, the other is told', async () => {
    for (const page of [first, second]) await waitForText(page, 'train', /Resume/);
    await Promise.all([first, second].map((page) => click(page, 'Resume')));
    const told = (page: Page) =>
      page.evaluate(() =>
        /another tab of this page is training/.test(document.getElementById('problem')?.textContent ?? ''),
      );
    await Promise.race(
      [first, second].map((page) =>
        until(page, () =>
          /another tab of this page is training/.test(document.getElementById('problem')?.textContent ?? ''),
        ),
      ),
    );
    const refused = await Promise.all([first, second].map(told));
    expect(refused.filter(Boolean)).toHaveLength(1);
    const winner = refused[0] ? second : first;
    await winner.bringToFront();
    await waitForText(winner, 'train', /stage II, epoch \d+ of 500/, 200_000);
    // A tab that is closed gives the training back.
    if (winner === first) [first, second] = [second, first];
    await second.close();
    await first.bringToFront();
    await first.evaluate(() => window.dispatchEvent(new Event('focus')));
    await waitForText(first, 'train', /"in the first tab": 4 good, .*not finished/);
  });

  test('what is kept is deleted only when the user says so', async () => {
    const kept = /"in the first tab": 4 good, .*not finished/;
    await fillTraining(first, site.images, 'the next one', 2);
    await click(first, 'Start training');
    expect(await answer(first, 'Keep it')).toMatch(
      /"in the first tab" can still be resumed.*images and checkpoints are deleted/s,
    );
    await click(first, 'Discard');
    await first.waitForSelector('dialog[open]');
    await first.keyboard.press('Escape');
    await until(first, () => !document.querySelector('dialog'));
    await first.reload();
    await ready(first);
    await click(first, 'Train');
    await waitForText(first, 'train', kept);
    await click(first, 'Discard');
    await answer(first, 'Delete');
    await until(
      first,
      () => !/kept on this device/.test(document.getElementById('train')?.textContent ?? ''),
    );
  });

  test('a finished model stays until the next one is complete', async () => {
    await fillTraining(first, site.images, 'the first model', 1);
    await click(first, 'Start training');
    await waitForText(first, 'train', /"the first model": 4 good, .*, finished/, 200_000);
    await fillTraining(first, site.images, 'the second model', 500);
    await click(first, 'Start training');
    expect(await answer(first, 'Start')).toMatch(/The model of "the first model" stays on this device until/);
    await waitForText(first, 'train', /stage II, epoch [2-9]/, 200_000);
    await first.reload();
    await ready(first);
    await click(first, 'Train');
    await waitForText(
      first,
      'train',
      /"the second model": .*not finished.*An earlier model is kept.*"the first model"/,
    );
    await click(first, 'Inspect with its model');
    await waitForText(first, 'inspect', /the first model\.safetensors: the first model resnet18/);
    // An image that cannot be read is left out of the next training, and said.
    await fillTraining(
      first,
      [...site.images.slice(0, 3), join(site.folder, 'broken.png')],
      'the third model',
      1,
    );
    await click(first, 'Start training');
    await answer(first, 'Delete it and start');
    await answer(first, 'Start');
    await waitForText(first, 'train', /1 of 4 images are left out: broken\.png/);
    await waitForText(first, 'train', /"the third model": 3 good, .*, finished/, 200_000);
    expect(await textOf(first, '#train')).not.toMatch(/the first model|An earlier model/);
  });

  test('a full storage is said, and what was kept stays', async () => {
    const client = await first.createCDPSession();
    const { usage } = await client.send('Storage.getUsageAndQuota', { origin: site.origin.slice(0, -1) });
    await fillTraining(first, site.images, 'too much', 1);
    await client.send('Storage.overrideQuotaForOrigin', {
      origin: site.origin.slice(0, -1),
      quotaSize: usage + 1000,
    });
    await click(first, 'Start training');
    await answer(first, 'Start');
    await until(first, () => /storage is full/.test(document.getElementById('problem')?.textContent ?? ''));
    expect(await problem(first)).toMatch(/What was kept before is unchanged/);
    await client.send('Storage.overrideQuotaForOrigin', { origin: site.origin.slice(0, -1) });
    await first.reload();
    await ready(first);
    await click(first, 'Train');
    await waitForText(first, 'train', /"the third model": 3 good, .*, finished/);
  });

  test('nothing failed unseen', () => {
    expect(errors).toEqual([]);
  });
});
