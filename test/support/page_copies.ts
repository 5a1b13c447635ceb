/** The built page as several copies under one origin, with a small model that nobody had to train. */
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'puppeteer-core';
import sirv from 'sirv';
import { writeDetectorTensors } from '../../src/detector/file.ts';
import type { DetectorSettings } from '../../src/detector/settings.ts';
import { click, setFields, textOf, waitForText } from './app_actions.ts';
import { ready } from './app_site.ts';
import { part, writeImage } from './layouts.ts';
import { randomDetector, settings } from './model_files.ts';

export interface PageCopies {
  readonly folder: string;
  /** The server's root; other applications may be put here. */
  readonly root: string;
  readonly origin: string;
  /** Photographs of a product. */
  readonly images: readonly string[];
  close(): void;
}

export async function serveCopies(paths: readonly string[], imageCount = 4): Promise<PageCopies> {
  const folder = mkdtempSync(join(tmpdir(), 'aand-page-'));
  const root = join(folder, 'site');
  for (const path of paths) {
    cpSync('dist/app', join(root, path), { recursive: true, filter: (name) => !/app.demo/.test(name) });
  }
  mkdirSync(join(folder, 'images'));
  const images: string[] = [];
  for (let i = 0; i < imageCount; i++) {
    images.push(join(folder, 'images', `${i}.png`));
    await writeImage(images[i] as string, part(0, i).image);
  }
  const server = createServer(sirv(root, { dev: true }));
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    folder,
    root,
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    images,
    close() {
      server.close();
      server.closeAllConnections();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A new build of a copy, as far as its service worker can tell. */
export function updateCopy(root: string, path: string): void {
  const worker = join(root, path, 'service_worker.js');
  writeFileSync(worker, readFileSync(worker, 'utf8').replace(/[0-9a-f]{12}`/, '0123456789ab`'));
  appendFileSync(join(root, path, 'style.css'), '/* new */');
}

/** A detector of random weights, 32 pixels, mode rd. */
export async function writeModel(path: string, changes: Partial<DetectorSettings> = {}): Promise<void> {
  writeFileSync(path, await writeDetectorTensors(randomDetector(), { ...settings, ...changes }));
}

export async function openCopy(browser: Browser, url: string): Promise<Page> {
  const page = await browser.newPage();
  await page.setViewport({ width: 1200, height: 900 });
  await page.goto(url);
  await ready(page);
  return page;
}

/** Puts photographs and a quick setting into the Train view. */
export async function fillTraining(
  page: Page,
  images: readonly string[],
  name: string,
  epochs: number,
): Promise<void> {
  await click(page, 'Train');
  const [good] = await page.$$('#train .drop input[type=file]');
  if (!good) throw new Error('no chooser of good parts');
  await click(page, 'Clear good');
  await (good as Awaited<ReturnType<typeof page.$<'input'>>> & object).uploadFile(...images);
  await waitForText(page, 'train', new RegExp(`${images.length} good;`));
  await setFields(page, 'train', {
    Name: name,
    'Image size': '32',
    Batch: '4',
    'Epochs, stage I': '1',
    'Epochs, stage II': String(epochs),
  });
  await page.evaluate(() => {
    const label = [...document.querySelectorAll('#train label.field')].find(
      (e) => e.firstChild?.textContent === 'Method',
    );
    (label?.querySelector('select') as HTMLSelectElement).value = 'rd';
  });
}

/** Answers the page's open dialog; its text. */
export async function answer(page: Page, choice: string): Promise<string> {
  await page.waitForSelector('dialog[open]');
  const text = await textOf(page, 'dialog[open]');
  await click(page, choice);
  return text;
}
