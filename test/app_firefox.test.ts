/** The page in headless Firefox on lavapipe; what is tried in it is in support/app_site.ts. */
import type { Browser } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  checkAccessibility,
  checkCamera,
  checkOffline,
  checkSpot,
  checkThresholdAndCorrections,
  checkWithoutWebGpu,
  commandLineScores,
  inspect,
  type Opened,
  openModel,
  openPage,
  openSite,
  ready,
  type Site,
  trainAndResume,
} from './support/app_site.ts';
import { firefoxPath, launchFirefox, lavapipeDriver } from './support/browsers.ts';

// Firefox has no subgroups and no images here, so other kernels with another order of summation run than in Node.
const tolerance = 1e-4;

describe.skipIf(!firefoxPath || !lavapipeDriver)('the page in Firefox on lavapipe', () => {
  let site: Site;
  let browser: Browser;
  let opened: Opened;
  beforeAll(async () => {
    site = await openSite();
    browser = await launchFirefox({
      'media.navigator.streams.fake': true,
      'media.navigator.permission.disabled': true,
    });
    opened = await openPage(browser, site.url);
  });
  afterAll(async () => {
    await browser?.close();
    await site?.close();
  });

  test("scores equal the command line's but for the order of sums", async () => {
    const { page } = opened;
    await openModel(page, site.model);
    const scores = await inspect(page, site.images);
    const expected = await commandLineScores(site, site.model, site.images, lavapipeDriver);
    const difference = Math.max(
      ...site.images.map((path) => {
        const name = path.replace(/^.*\//, '');
        return Math.abs((scores[name] as number) - (expected[name] as number));
      }),
    );
    console.log(`Firefox and Node on lavapipe differ by ${difference.toExponential(1)} in the score`);
    expect(difference).toBeLessThan(tolerance);
  });

  test('a click on the picture shows the score there and the levels behind it', () => checkSpot(opened.page));

  test('the threshold moves the verdicts; corrections draw it anew; the saved model keeps it', () =>
    checkThresholdAndCorrections(opened.page, site));

  test('the camera is inspected live', () => checkCamera(opened.page));

  test('trains, is paused by a reload, resumes; the model gives the same scores in the command line', async () => {
    await trainAndResume(opened.page, site, 24, lavapipeDriver, tolerance);
  }, 600_000);

  test('nothing left the machine, nothing failed', () => {
    expect(opened.foreign).toEqual([]);
    expect(opened.errors).toEqual([]);
  });

  test('works without its server after the first visit', () => checkOffline(opened.page, site));

  test('accessibility: no serious finding in any view, light or dark', async () => {
    for (const scheme of ['light', 'dark'] as const) {
      const other = await launchFirefox({
        'security.csp.enable': false,
        'layout.css.prefers-color-scheme.content-override': scheme === 'dark' ? 0 : 1,
      });
      try {
        const { page } = await openPage(other, site.url);
        await ready(page);
        expect(await page.evaluate(() => matchMedia('(prefers-color-scheme: dark)').matches)).toBe(scheme === 'dark');
        await checkAccessibility(page, [scheme]);
      } finally {
        await other.close();
      }
    }
  });

  test('without WebGPU the page says what to do', async () => {
    const plain = await launchFirefox({ 'dom.webgpu.enabled': false });
    try {
      await checkWithoutWebGpu(plain, site.url);
    } finally {
      await plain.close();
    }
  });
});
