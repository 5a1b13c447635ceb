/** What is tried in the page in every browser. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Browser, Page } from 'puppeteer-core';
import { expect } from 'vitest';
import {
  click,
  commandLineScores,
  inspect,
  openModel,
  prepareTraining,
  saved,
  textOf,
  waitForText,
} from './app_actions.ts';
import { ready, type Site } from './app_site.ts';

export async function checkThresholdAndCorrections(page: Page, site: Site): Promise<void> {
  const move = (value: string) =>
    page.$eval(
      '#threshold',
      (e, value) => {
        (e as HTMLInputElement).value = value;
        e.dispatchEvent(new Event('input'));
      },
      value,
    );
  /** Verdicts by the limit where it is now; each must be that of its shown score. */
  const anomalous = async (at: string) => {
    await move(at);
    const rows = await page.$$eval('#inspect tbody tr', (list) => list.map((row) => row.innerText));
    expect(rows).toHaveLength(3);
    const bad = rows.filter((row) => row.includes('anomalous'));
    for (const row of rows)
      expect(row.includes('anomalous'), row).toBe(Number(/\d\.\d{3}/.exec(row)?.[0]) >= 0.5);
    return bad.length;
  };
  const counts = [await anomalous('0'), await anomalous('500'), await anomalous('1000')];
  expect(counts).toEqual([...counts].sort((a, b) => b - a));
  expect(counts[0]).toBeGreaterThan(counts[2] as number);
  for (const [image, verdict] of [
    ['shown0.png', 'This is good'],
    ['shown2.png', 'This is bad'],
  ] as const) {
    await click(page, image);
    await page.waitForFunction(
      (name) => document.querySelector('#inspect tr.selected')?.textContent?.includes(name),
      { polling: 100 },
      image,
    );
    await click(page, verdict);
  }
  await click(page, 'Recalibrate');
  expect(await textOf(page, '#inspect')).toMatch(/Limit, raw: [\d.]+ → [\d.]+; \d of 3 verdicts changed/);
  expect(await textOf(page, '#inspect output[for=threshold]')).toMatch(
    /^0\.50: as calibrated \(raw [\d.]+, F1-max over \d+ scores\)/,
  );
  const corrected = join(site.folder, 'corrected.safetensors');
  writeFileSync(corrected, await saved(page, site, 'Save model'));
  const image = site.images[2] as string;
  const printed = await site.aand(['predict', corrected, image, '--out', join(site.folder, 'p'), '--json']);
  const [row] = JSON.parse(printed) as { pred_score: number; pred_label: string }[];
  expect(row?.pred_label).toBe((row?.pred_score ?? 0) >= 0.5 ? 'anomalous' : 'good');
  expect(readFileSync(corrected).length).toBeGreaterThan(10_000_000);
}

/** What is inspected is there again after a reload: the model, its limit, images with scores and marks. */
export async function checkKept(page: Page): Promise<void> {
  const state = () =>
    page.evaluate(() => ({
      rows: [...document.querySelectorAll<HTMLElement>('#inspect tbody tr')]
        .map((row) => row.innerText)
        .sort(),
      limit: document.querySelector('#inspect output[for=threshold]')?.textContent,
      model: document.getElementById('model')?.textContent,
    }));
  const before = await state();
  expect(before.rows.join()).toMatch(/marked (good|bad)/);
  await page.reload();
  await ready(page);
  await page.waitForFunction(
    (count) =>
      document.querySelectorAll('#inspect tbody tr').length === count &&
      document.querySelector('#inspect .verdict.good, #inspect .verdict.bad'),
    { timeout: 300_000, polling: 100 },
    before.rows.length,
  );
  expect(await state()).toEqual(before);
}

export async function checkSpot(page: Page): Promise<void> {
  const box = await (await page.$('#inspect .stage canvas'))?.boundingBox();
  if (!box) throw new Error('no picture');
  await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
  await page.waitForSelector('#inspect .levels figure', { timeout: 120_000 });
  expect((await page.$$('#inspect .levels figure')).length).toBe(9);
  expect(await textOf(page, '#spot h3')).toMatch(/At \d+ %, \d+ %: [\d.]+ \(raw [\d.]+\)/);
}

/** The camera's picture is judged on the line; a model is open. */
export async function checkCamera(page: Page): Promise<void> {
  await click(page, 'On the line');
  await click(page, 'Start camera');
  await waitForText(page, 'line', /\d+ x \d+ pixels/);
  await click(page, 'Judge now');
  await page.waitForSelector('#line .judged li', { timeout: 60_000 });
  expect(await textOf(page, '#line .sign')).toMatch(/^(OK|NOK)$/);
  await click(page, 'Stop camera');
  await click(page, 'Inspect');
}

/** Begins to note the page's long tasks, and how long its event loop lets a message wait. */
async function watchMainThread(page: Page): Promise<() => Promise<string>> {
  await page.evaluate(() => {
    const scope = window as unknown as { longTasks: number[]; waits: number[] };
    scope.longTasks = [];
    scope.waits = [];
    new PerformanceObserver((list) =>
      scope.longTasks.push(...list.getEntries().map((entry) => entry.duration)),
    ).observe({ entryTypes: ['longtask'] });
    let last = performance.now();
    setInterval(() => {
      const now = performance.now();
      scope.waits.push(now - last - 20);
      last = now;
    }, 20);
  });
  return () =>
    page.evaluate(() => {
      const { longTasks, waits } = window as unknown as { longTasks: number[]; waits: number[] };
      const sorted = waits.sort((a, b) => a - b);
      const reported = PerformanceObserver.supportedEntryTypes.includes('longtask')
        ? `${longTasks.length} tasks over 50 ms, longest ${Math.max(0, ...longTasks).toFixed(0)} ms; `
        : 'long tasks are not reported here; ';
      const at = (share: number) => (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(0);
      return `${reported}a timer is late by ${at(0.5)} ms (median), ${at(0.99)} ms (99 %), ${at(1)} ms (most)`;
    });
}

/**
 * Trains in the page with a reload in the middle; the saved model must give the same scores in the command
 * line.
 */
export async function trainAndResume(
  page: Page,
  site: Site,
  count: number,
  driver: string | undefined,
  tolerance: number,
): Promise<void> {
  await prepareTraining(page, site, count, [1, 2]);
  await click(page, 'Preview');
  await page.waitForFunction(() => document.querySelectorAll('#train .sheet canvas').length === 16, {
    timeout: 60_000,
  });
  const mainThread = await watchMainThread(page);
  await click(page, 'Start training');
  await waitForText(page, 'train', /stage II, epoch 2/, 300_000);
  expect(await page.title()).toMatch(/^stage II \d+ % – /);
  console.log(`main thread while training: ${await mainThread()}`);
  await page.reload();
  await ready(page);
  await click(page, 'Train');
  await waitForText(page, 'train', /\d+ good, 1 bad, resnet18, \d+ pixels.*not finished/);
  await click(page, 'Resume');
  await waitForText(page, 'train', /image AUROC/, 300_000);
  // What ran before the reload was not run again.
  expect(await textOf(page, '#train')).not.toMatch(/stage I,/);
  const trained = join(site.folder, 'browser.safetensors');
  writeFileSync(trained, await saved(page, site, 'Save model'));
  await click(page, 'Inspect with it');
  await waitForText(page, 'inspect', /my product resnet18/);
  await page.reload();
  await ready(page);
  await openModel(page, trained);
  const shown = [0, 2].map((i) => site.images[i] as string);
  const scores = await inspect(page, site, shown);
  const expected = await commandLineScores(site, trained, shown, driver);
  for (const [name, score] of Object.entries(scores))
    expect(Math.abs(score - (expected[name] as number)), name).toBeLessThanOrEqual(tolerance);
}

/** Fine-tunes the model that is open on the first of the pictures that {@link trainAndResume} inspected. */
export async function checkFineTuning(page: Page): Promise<void> {
  await click(page, 'shown0.png');
  await page.waitForFunction(
    () => /shown0/.test(document.querySelector('#inspect tr.selected')?.textContent ?? ''),
    { polling: 100 },
  );
  await click(page, 'This is good');
  await click(page, 'Fine-tune');
  await waitForText(page, 'inspect', /Learned from \d+ good images/, 300_000);
  const [, from, to] = /shown0\.png (\d+\.\d+) → (\d+\.\d+)/.exec(await textOf(page, '#inspect')) ?? [];
  console.log(`fine-tuning: raw score ${from} before, ${to} after`);
  expect(Number(to)).toBeLessThan(Number(from));
}

/** Loads axe into a page. The page's own policy keeps scripts of others out: it must be off in this tab. */
export async function loadAxe(page: Page): Promise<void> {
  await page.evaluate(readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
}

/** Serious findings of axe in what the page shows now. */
export async function expectAccessible(page: Page, state: string): Promise<void> {
  const found = await page.evaluate(async () => {
    const { axe } = window as unknown as {
      axe: {
        run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }>;
      };
    };
    return (await axe.run()).violations.map(({ id, impact, nodes }) => ({
      id,
      impact,
      nodes: nodes.map(({ html }) => html.slice(0, 120)),
    }));
  });
  const serious = found.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  expect(serious, state).toEqual([]);
}

/** axe in every view, light and dark. */
export async function checkAccessibility(
  page: Page,
  schemes: readonly ('light' | 'dark')[],
  setScheme: (scheme: 'light' | 'dark') => Promise<void> = async () => {},
): Promise<void> {
  await loadAxe(page);
  for (const scheme of schemes) {
    await setScheme(scheme);
    for (const view of ['Inspect', 'On the line', 'Train', 'Bench']) {
      await click(page, view);
      await expectAccessible(page, `${view}, ${scheme}`);
    }
  }
}

export async function checkOffline(page: Page, site: Site): Promise<void> {
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  await page.waitForFunction(
    async () =>
      (await caches.keys()).length === 1 &&
      (await (await caches.open((await caches.keys())[0] as string)).keys()).length >= 7,
    { timeout: 30_000, polling: 100 },
  );
  await site.stop();
  try {
    await page.reload();
    await ready(page);
    expect(await textOf(page, '#device')).not.toBe('no WebGPU');
  } finally {
    await site.start();
  }
}

export async function checkWithoutWebGpu(browser: Browser, url: string): Promise<void> {
  const page = await browser.newPage();
  await page.goto(url);
  await ready(page);
  expect(await textOf(page, '#device')).toBe('no WebGPU');
  expect(await textOf(page, '#problem')).toMatch(/gives the page no WebGPU\. Use a current Chrome/);
}
