/** What the page keeps of trainings in headless Chromium: tabs, deletions, a full storage. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chromiumPath, launchChromium, swiftShaderDriver } from '../../bench/support/browsers.ts';
import { click, textOf, waitForText } from '../support/app_actions.ts';
import { ready } from '../support/app_site.ts';
import { answer, fillTraining, openCopy, type PageCopies, serveCopies } from '../support/page_copies.ts';
import { checkOtherTab, problem, until } from '../support/page_tabs.ts';

describe.skipIf(!chromiumPath || !swiftShaderDriver)('the page in Chromium', () => {
  let site: PageCopies;
  let browser: Browser;
  /** Two tabs of the copy in a/. */
  let first: Page;
  let second: Page;
  const errors: string[] = [];
  const note = (page: Page) => page.on('pageerror', (error) => errors.push((error as Error).message));

  beforeAll(async () => {
    site = await serveCopies(['a', 'b']);
    writeFileSync(join(site.folder, 'broken.png'), 'no picture');
    browser = await launchChromium();
    first = await openCopy(browser, `${site.origin}a/`);
    note(first);
  });
  afterAll(async () => {
    await browser?.close();
    site?.close();
  });

  test('while a tab trains, another one of the same copy offers nothing that touches it', async () => {
    second = await checkOtherTab(browser, site, first);
    note(second);
  });

  test('two tabs that resume one training: one does, the other is told', async () => {
    for (const page of [first, second]) await waitForText(page, 'train', /Resume/);
    // At one moment: a tab that learns of the other's training takes its button away.
    const moment = Date.now() + 1000;
    for (const page of [first, second])
      await page.evaluate((when) => {
        const button = [...document.querySelectorAll('button')].find(
          (b) => b.textContent === 'Resume' && b.offsetParent !== null,
        );
        if (!button) throw new Error("no button 'Resume'");
        setTimeout(() => button.click(), when - Date.now());
      }, moment);
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
    await waitForText(first, 'train', /1 of 4 images are left out: broken\.png/);
    await waitForText(first, 'train', /"the third model": 3 good, .*, finished/, 200_000);
    expect(await textOf(first, '#train')).not.toMatch(/the first model|An earlier model/);
    // Nothing was deleted: both models can be chosen.
    expect(
      await first.$$eval('#models option', (list) => list.map(({ textContent }) => textContent)),
    ).toEqual(
      expect.arrayContaining([
        'the first model: the first model, resnet18, 32 pixels',
        'the third model: the third model, resnet18, 32 pixels',
      ]),
    );
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
