/** The line view in headless Chromium, with a film in the place of a camera. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'puppeteer-core';
import { afterAll, describe, expect, test } from 'vitest';
import { chromiumPath, launchChromium, swiftShaderDriver } from '../bench/support/browsers.ts';
import { click, openModel, polling, saved, textOf, waitForText } from './support/app_actions.ts';
import { showPage } from './support/app_site.ts';
import { filmSize, writeFilm } from './support/fake_camera.ts';

const folder = mkdtempSync(join(tmpdir(), 'aand-film-'));
const film = join(folder, 'parts.y4m');
writeFilm(film);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const counts = (page: Page) =>
  page.$$eval('#line .counts dd', (all) => all.map((each) => Number(each.textContent)));
const pictures = (page: Page) => page.$$eval('#line .judged li', (all) => all.length);
const judgedAtLeast = (page: Page, count: number) =>
  page.waitForFunction(
    (count) => document.querySelectorAll('#line .judged li').length >= count,
    { timeout: 60_000, polling },
    count,
  );
const choose = (page: Page, value: string) =>
  page.evaluate((value) => {
    const select = [...document.querySelectorAll<HTMLSelectElement>('#line select')].find((each) =>
      [...each.options].some((option) => option.value === value),
    ) as HTMLSelectElement;
    select.value = value;
    select.dispatchEvent(new Event('change'));
  }, value);
const log = async (page: Page, site: Parameters<typeof saved>[1]) =>
  new TextDecoder()
    .decode(await saved(page, site, 'Save log (CSV)'))
    .trim()
    .split('\n')
    .map((line) => line.split(','));

describe.skipIf(!chromiumPath || !swiftShaderDriver)('the camera on the line, in Chromium', () => {
  const shown = showPage(() =>
    launchChromium([
      '--use-fake-device-for-media-stream',
      '--use-fake-ui-for-media-stream',
      `--use-file-for-fake-video-capture=${film}`,
      '--js-flags=--expose-gc',
    ]),
  );

  test('without a model no camera is opened, and the page says what to do', async () => {
    const { page } = shown.opened;
    await click(page, 'On the line');
    await click(page, 'Start camera');
    await waitForText(page, 'problem', /Open a model first/);
    expect(await page.$('#line video')).toBeNull();
  });

  test('button and space key judge what the camera sees: sign, counters, list', async () => {
    const { page } = shown.opened;
    await click(page, 'Inspect');
    await openModel(page, shown.site.model);
    await click(page, 'On the line');
    // A browser that never answers whether the screen stays on keeps no camera from judging.
    await page.evaluate(() => {
      if (navigator.wakeLock) navigator.wakeLock.request = () => new Promise(() => {});
    });
    await click(page, 'Start camera');
    await waitForText(page, 'line', new RegExp(`${filmSize.width} x ${filmSize.height} pixels`));
    await click(page, 'Judge now');
    await judgedAtLeast(page, 1);
    expect(await textOf(page, '#line .sign')).toMatch(/^(OK|NOK)$/);
    await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
    await page.keyboard.press('Space');
    await judgedAtLeast(page, 2);
    const [judged, good, bad] = await counts(page);
    expect(judged).toBe(2);
    expect((good as number) + (bad as number)).toBe(2);
  });

  test('a judged picture opens where it can be marked; its file gives the same score again', async () => {
    const { page, site } = { page: shown.opened.page, site: shown.site };
    const [head, ...lines] = await log(page, site);
    expect(head).toEqual(['time', 'number', 'raw_score', 'pred_score', 'pred_label', 'picture']);
    expect(lines.map((line) => line[1])).toEqual(['1', '2']);
    await page.$eval('#line .judged button', (newest) => (newest as HTMLElement).click());
    // It is listed first, and shown once it is decoded.
    await page.waitForFunction(
      () =>
        /^2\d{3}-\d\d-\d\dT[\d-]+\.\d{3} (OK|NOK) [\d.]+\.png/.test(
          document.querySelector('#inspect tr.selected td.name')?.textContent ?? '',
        ),
      { timeout: 120_000, polling },
    );
    const raw = async () => {
      const csv = new TextDecoder().decode(await saved(page, site, 'Save table (CSV)'));
      return csv.trim().split('\n').at(-1)?.split(',')[1];
    };
    expect(await raw()).toBe(lines[1]?.[2]);
    await click(page, 'This is good');
    await waitForText(page, 'inspect', /marked good/);
    // A model that is opened judges the files of the list anew, from their bytes.
    await openModel(page, site.model);
    await page.waitForFunction(() => /\d images,/.test(document.getElementById('inspect')?.innerText ?? ''), {
      timeout: 60_000,
      polling,
    });
    expect(await raw()).toBe(lines[1]?.[2]);
  });

  test('what comes to rest is judged by itself', async () => {
    const { page } = shown.opened;
    await click(page, 'On the line');
    await click(page, 'Counters to zero');
    await click(page, 'Set to zero');
    await page.waitForFunction(() => !document.querySelector('#line .judged li'), { polling });
    await choose(page, 'stillness');
    await judgedAtLeast(page, 2);
    const seen = await page.$$eval('#line .judged canvas', (all) =>
      all.slice(0, 2).map((each) => {
        const canvas = each as HTMLCanvasElement;
        const context = canvas.getContext('2d') as CanvasRenderingContext2D;
        // The middle of the part while it lies, and the place where it comes from.
        return [0.5, 0.06].map(
          (x) => context.getImageData(x * canvas.width, canvas.height / 2, 1, 1).data[0] as number,
        );
      }),
    );
    // A part at rest, and the empty place: neither of them a part under way.
    for (const [middle, left] of seen) expect([middle, left]).toEqual([expect.any(Number), seen[0]?.[1]]);
    expect(Math.abs((seen[0]?.[0] as number) - (seen[1]?.[0] as number))).toBeGreaterThan(60);
  }, 120_000);

  test('the whole screen shows the sign, and is left again', async () => {
    const { page } = shown.opened;
    await click(page, 'Full screen');
    await page.waitForSelector('#line .operator.filled');
    await click(page, 'Leave the full screen');
    await page.waitForFunction(() => !document.querySelector('#line .operator.filled'), { polling });
  });

  test('counters are set to zero after a question; the log keeps its lines', async () => {
    const { page, site } = { page: shown.opened.page, site: shown.site };
    await choose(page, 'button');
    const before = (await log(page, site)).length;
    expect(await pictures(page)).toBeGreaterThan(0);
    await click(page, 'Counters to zero');
    await click(page, 'Keep them');
    expect((await counts(page))[0]).toBeGreaterThan(0);
    await click(page, 'Counters to zero');
    await click(page, 'Set to zero');
    await page.waitForFunction(() => !document.querySelector('#line .judged li'), { polling });
    expect(await counts(page)).toEqual([0, 0, 0]);
    expect((await log(page, site)).length).toBe(before);
  });

  test('in the background the camera is stopped, and the page says so', async () => {
    const { page } = shown.opened;
    const other = await shown.browser.newPage();
    await other.bringToFront();
    await page.waitForFunction(() => document.hidden, { polling });
    await other.close();
    await page.bringToFront();
    await waitForText(page, 'problem', /camera was stopped because the page went into the background/);
    expect(await textOf(page, '#line')).toContain('Start camera');
  });

  test('photographs for a training are taken while a button is held, and taken back', async () => {
    const { page } = shown.opened;
    await click(page, 'Train');
    await page.$eval('#train details:has(video, .camera)', (details) => {
      (details as HTMLDetailsElement).open = true;
    });
    await page.waitForSelector('#train video');
    const hold = (event: string) =>
      page.evaluate((event) => {
        const button = [...document.querySelectorAll('button')].find(
          ({ textContent }) => textContent === 'Hold to photograph',
        );
        button?.dispatchEvent(new KeyboardEvent(event, { key: ' ' }));
      }, event);
    await hold('keydown');
    await page.waitForFunction(
      () => /[3-9] photographs taken/.test(document.getElementById('train')?.innerText ?? ''),
      { timeout: 60_000, polling },
    );
    await hold('keyup');
    const text = await textOf(page, '#train');
    // The film stands still for seconds: what shows nothing new is left out.
    expect(text).toMatch(/\d+ left out: they showed nothing new/);
    expect(text).toMatch(/[3-9] good/);
    await click(page, 'Take these back');
    await page.waitForFunction(
      () => !/[1-9]\d* good/.test(document.getElementById('train')?.innerText ?? ''),
      { polling },
    );
  });

  test('nothing left the machine, nothing failed', () => {
    expect(shown.opened.foreign).toEqual([]);
    expect(shown.opened.errors).toEqual([]);
  });
});
