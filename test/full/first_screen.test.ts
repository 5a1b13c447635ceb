/**
 * A new user in headless Chromium on SwiftShader: the demo that comes with the page, then a training whose
 * time is forecast and whose result is said in plain words; axe in every state.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, ElementHandle, Page } from 'puppeteer-core';
import sirv from 'sirv';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chromiumPath, launchChromium, swiftShaderDriver } from '../../bench/support/browsers.ts';
import { chooser, click, setFields, textOf, waitForText } from '../support/app_actions.ts';
import { expectAccessible, loadAxe } from '../support/app_checks.ts';
import { ready } from '../support/app_site.ts';
import { part, writeImage } from '../support/layouts.ts';

describe.skipIf(!chromiumPath || !swiftShaderDriver)('a new user', () => {
  const folder = mkdtempSync(join(tmpdir(), 'aand-first-'));
  let server: Server;
  let browser: Browser;
  let page: Page;
  const good: string[] = [];
  const accessible = async (state: string) => {
    for (const scheme of ['light', 'dark']) {
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
      await expectAccessible(page, `${state}, ${scheme}`);
    }
  };

  beforeAll(async () => {
    for (let i = 0; i < 8; i++) {
      good.push(join(folder, `good${i}.png`));
      await writeImage(good[i] as string, part(0, i).image);
    }
    for (let i = 0; i < 2; i++) await writeImage(join(folder, `bad${i}.png`), part(0, i, 'rust').image);
    server = createServer(sirv('dist/app', { dev: true }));
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    browser = await launchChromium();
    page = await browser.newPage();
    await page.setBypassCSP(true);
    await page.setViewport({ width: 1200, height: 900 });
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await ready(page);
    await loadAxe(page);
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
    server?.closeAllConnections();
    rmSync(folder, { recursive: true, force: true });
  });

  test('tries the demo: it is loaded and compiled in sight, and every bad washer is called anomalous', async () => {
    await waitForText(page, 'inspect', /photographs, \d+\.\d MB\./);
    await accessible('first screen');
    const said: Promise<readonly string[]> = page.evaluate(async () => {
      const seen: string[] = [];
      const status = document.querySelector('.start [role=status]') as HTMLElement;
      const screen = document.querySelector('.start') as HTMLElement;
      while (!screen.hidden) {
        const text = (status.textContent ?? '').replace(/[\d.]+/g, 'N');
        if (text && seen.at(-1) !== text) seen.push(text);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      return seen;
    });
    await click(page, 'Try the demo');
    await waitForText(page, 'inspect', /6 images, 4 anomalous/, 300_000);
    const texts = await said;
    for (const wanted of [/^Loading the demo/, /^Compiling for this device, N %$/, /^First run/])
      expect(
        texts.some((text) => wanted.test(text)),
        `${wanted}: ${texts}`,
      ).toBe(true);
    await accessible('the demo');
    // Images of the user's own take the place of the demo's.
    await (await chooser(page, 'inspect', 'Open images')).uploadFile(good[0] as string);
    await waitForText(page, 'inspect', /1 images, \d anomalous/);
  }, 400_000);

  test('learns a product: the forecast is within 30 %, the result is said in plain words', async () => {
    await click(page, 'Train');
    await accessible('an empty training');
    const [first, second] = (await page.$$(
      '#train .drop input[type=file]',
    )) as ElementHandle<HTMLInputElement>[];
    await first?.uploadFile(...good);
    await second?.uploadFile(...[0, 1].map((i) => join(folder, `bad${i}.png`)));
    await setFields(page, 'train', {
      'Image size': '64',
      Batch: '8',
      'Epochs, stage I': '10',
      'Epochs, stage II': '15',
    });
    await page.evaluate(() => {
      const label = [...document.querySelectorAll('#train label.field')].find(
        (e) => e.firstChild?.textContent === 'Teacher',
      );
      const teacher = label?.querySelector('select') as HTMLSelectElement;
      teacher.selectedIndex = [...teacher.options].findIndex(({ text }) => text.startsWith('resnet18_half'));
    });
    await click(page, 'Forecast');
    await waitForText(page, 'train', /MiB of GPU memory and \d+ (s|min)/, 300_000);
    await accessible('a forecast');
    const [, number, unit] = /memory and (\d+) (s|min)/.exec(await textOf(page, '#train')) ?? [];
    const expected = Number(number) * (unit === 's' ? 1 : 60);
    const started = performance.now();
    await click(page, 'Start training');
    await waitForText(page, 'train', /stage I, epoch \d+ of 10, about \d+ (s|min) left in all/, 200_000);
    await page.waitForSelector('#train .headline', { timeout: 600_000 });
    const taken = (performance.now() - started) / 1000;
    console.log(
      `forecast ${expected} s, taken ${taken.toFixed(1)} s: ratio ${(taken / expected).toFixed(2)}`,
    );
    expect(taken / expected).toBeGreaterThan(0.7);
    expect(taken / expected).toBeLessThan(1.3);
    expect(await textOf(page, '#train .headline')).toMatch(
      /^This model .*: it found [012] of 2 bad parts and rejected \d of 8 good ones\.$/,
    );
    expect(await textOf(page, '#train .advice')).toMatch(/Only 2 bad parts were tested/);
    await accessible('a result');
  }, 900_000);
});

test('the model of the demo is below 10 MB', () => {
  expect(statSync('app/demo/washer.safetensors').size).toBeLessThan(10_000_000);
});
