/** The page in headless Firefox on lavapipe; what is tried in every browser is in support/app_checks.ts. */
import { describe, expect, test } from 'vitest';
import { firefoxPath, launchFirefox, lavapipeDriver } from '../bench/support/browsers.ts';
import { commandLineScores, inspect, openModel } from './support/app_actions.ts';
import {
  checkAccessibility,
  checkCamera,
  checkFineTuning,
  checkKept,
  checkOffline,
  checkSpot,
  checkThresholdAndCorrections,
  checkWithoutWebGpu,
  trainAndResume,
} from './support/app_checks.ts';
import { openPage, ready, showPage } from './support/app_site.ts';

// Firefox has no subgroups and no images here, so other kernels with another order of summation run than in
// Node.
const tolerance = 1e-4;

describe.skipIf(!firefoxPath || !lavapipeDriver)('the page in Firefox on lavapipe', () => {
  const shown = showPage(() =>
    launchFirefox({ 'media.navigator.streams.fake': true, 'media.navigator.permission.disabled': true }),
  );

  test("scores equal the command line's but for the order of sums", async () => {
    const { page } = shown.opened;
    await openModel(page, shown.site.model);
    const scores = await inspect(page, shown.site, shown.site.images);
    const expected = await commandLineScores(shown.site, shown.site.model, shown.site.images, lavapipeDriver);
    const difference = Math.max(
      ...shown.site.images.map((path) => {
        const name = path.replace(/^.*\//, '');
        return Math.abs((scores[name] as number) - (expected[name] as number));
      }),
    );
    console.log(`Firefox and Node on lavapipe differ by ${difference.toExponential(1)} in the score`);
    expect(difference).toBeLessThan(tolerance);
  });

  test('a click on the picture shows the score there and the levels behind it', () =>
    checkSpot(shown.opened.page));

  test('the threshold moves the verdicts; corrections draw it anew; the saved model keeps it', () =>
    checkThresholdAndCorrections(shown.opened.page, shown.site));

  test('a reload keeps the model, its limit, images and marks', () => checkKept(shown.opened.page), 400_000);

  test('the picture of a camera is judged', () => checkCamera(shown.opened.page));

  test('trains, is paused by a reload, resumes; the model gives the same scores in the command line', async () => {
    await trainAndResume(shown.opened.page, shown.site, 24, lavapipeDriver, tolerance);
  }, 600_000);

  test('fine-tuning learns what was marked as good', () => checkFineTuning(shown.opened.page), 400_000);

  test('nothing left the machine, nothing failed', () => {
    expect(shown.opened.foreign).toEqual([]);
    expect(shown.opened.errors).toEqual([]);
  });

  test('works without its server after the first visit', () => checkOffline(shown.opened.page, shown.site));

  test('accessibility: no serious finding in any view, light or dark', async () => {
    for (const scheme of ['light', 'dark'] as const) {
      const other = await launchFirefox({
        'security.csp.enable': false,
        'layout.css.prefers-color-scheme.content-override': scheme === 'dark' ? 0 : 1,
      });
      try {
        const { page } = await openPage(other, shown.site.url);
        await ready(page);
        expect(await page.evaluate(() => matchMedia('(prefers-color-scheme: dark)').matches)).toBe(
          scheme === 'dark',
        );
        await checkAccessibility(page, [scheme]);
      } finally {
        await other.close();
      }
    }
  });

  test('without WebGPU the page says what to do', async () => {
    const plain = await launchFirefox({ 'dom.webgpu.enabled': false });
    try {
      await checkWithoutWebGpu(plain, shown.site.url);
    } finally {
      await plain.close();
    }
  });
});
