/** The page in headless Chromium on SwiftShader: whole trainings, and a lost GPU. */
import { describe, expect, test } from 'vitest';
import { chromiumPath, launchChromium, swiftShaderDriver } from '../../bench/support/browsers.ts';
import {
  chooser,
  click,
  inspect,
  openModel,
  prepareTraining,
  removeImages,
  textOf,
  waitForText,
} from '../support/app_actions.ts';
import { trainAndResume } from '../support/app_checks.ts';
import { ready, showPage } from '../support/app_site.ts';

describe.skipIf(!chromiumPath || !swiftShaderDriver)('the page in Chromium on SwiftShader', () => {
  const shown = showPage(() =>
    launchChromium([
      '--use-fake-device-for-media-stream',
      '--use-fake-ui-for-media-stream',
      '--js-flags=--expose-gc',
    ]),
  );

  test('trains, is paused by a reload, resumes, and gives a model with the same scores in the command line', async () => {
    await trainAndResume(shown.opened.page, shown.site, 24, swiftShaderDriver, 0);
  }, 600_000);

  test('a training goes on after the GPU process died', async () => {
    const { page } = shown.opened;
    await page.reload();
    await ready(page);
    await prepareTraining(page, shown.site, 8, [1, 3]);
    await click(page, 'Inspect');
    await openModel(page, shown.site.model);
    await click(page, 'Train');
    await click(page, 'Start training');
    await waitForText(page, 'train', /stage II, epoch 2/, 200_000);
    // Other long work waits for it, and does it no harm.
    await click(page, 'Bench');
    await click(page, 'Tune');
    await waitForText(
      page,
      'problem',
      /a training is under way: wait for its end, or stop it, before a tuning/,
    );
    await click(page, 'Train');
    await (await shown.browser.target().createCDPSession()).send('Browser.crashGpuProcess');
    await waitForText(page, 'train', /GPU was taken away and is opened again/, 60_000);
    await waitForText(page, 'train', /image AUROC/, 200_000);
    expect(await textOf(page, '#train')).not.toMatch(/stage I,/);
    // The model that was open before is loaded again on the new device.
    await click(page, 'Inspect');
    expect(Object.keys(await inspect(page, shown.site, shown.site.images.slice(0, 1)))).toEqual([
      'shown0.png',
    ]);
    expect(await page.$eval('#problem', (e) => (e as HTMLElement).hidden)).toBe(true);
  }, 600_000);

  test('out of memory is said with what to do, and the next action works', async () => {
    const { page } = shown.opened;
    await page.reload();
    await ready(page);
    await openModel(page, shown.site.model);
    // What the test before left is judged again, and would meet the played answer in place of this image.
    await removeImages(page);
    const worker = page.workers().find((each) => each.url().endsWith('machine.js'));
    if (!worker) throw new Error('the page has no worker');
    // Real exhaustion would take the machine's memory with it: the driver's answer is what is played, where
    // a scope asks for it.
    await worker.evaluate(() => {
      const { popErrorScope, pushErrorScope } = GPUDevice.prototype;
      const open: GPUErrorFilter[] = [];
      GPUDevice.prototype.pushErrorScope = function (this: GPUDevice, filter) {
        open.push(filter);
        pushErrorScope.call(this, filter);
      };
      GPUDevice.prototype.popErrorScope = async function (this: GPUDevice) {
        const answer = popErrorScope.call(this);
        if (open.pop() !== 'out-of-memory') return answer;
        Object.assign(GPUDevice.prototype, { popErrorScope, pushErrorScope });
        await answer;
        return new GPUOutOfMemoryError('Out of memory (played by a test)');
      };
    });
    await (await chooser(page, 'inspect', 'Open images')).uploadFile(shown.site.images[0] as string);
    await page.waitForFunction(
      () =>
        /The memory is not enough: choose a smaller batch/.test(
          document.getElementById('problem')?.textContent ?? '',
        ),
      { timeout: 60_000, polling: 100 },
    );
    expect(Object.keys(await inspect(page, shown.site, shown.site.images.slice(0, 1)))).toEqual([
      'shown0.png',
    ]);
  });

  test('nothing left the machine, nothing failed', () => {
    expect(shown.opened.foreign).toEqual([]);
    expect(shown.opened.errors).toEqual([]);
  });
});
