/** The built page on a local server with a small model of the command line, and a browser that shows it. */
import { cpSync, createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Browser, Page } from 'puppeteer-core';
import sirv from 'sirv';
import { afterAll, beforeAll } from 'vitest';
import { lavapipeDriver } from '../../bench/support/browsers.ts';
import { type Command, useCommand } from './command.ts';
import { writeMvtec } from './layouts.ts';

/** Where the server puts what a page sends it. */
export const savedPath = 'saved';

export interface Site {
  readonly folder: string;
  /** What the server serves. */
  readonly root: string;
  readonly url: string;
  /** A detector that the command line trained. */
  readonly model: string;
  /** Two good images and a defective one that it can judge. */
  readonly images: readonly string[];
  aand(args: readonly string[], driver?: string): Promise<string>;
  stop(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

/** Serves the built page without the demo model, which this machine may have or not. */
export async function openSite(command: Command): Promise<Site> {
  const folder = mkdtempSync(join(tmpdir(), 'aand-app-'));
  const page = join(folder, 'site');
  const aand = async (args: readonly string[], driver: string | undefined = lavapipeDriver) => {
    const { code, stdout, stderr } = await command.run(args, { env: { VK_DRIVER_FILES: driver } });
    if (code !== 0) throw new Error(`aand ${args[0]} ended with ${code}: ${stderr}`);
    return stdout;
  };
  await writeMvtec(folder, 'washer', 0, 12);
  const shape = ['--image-size', '64', '--batch', '4', '--epochs', '1,2', '--foreground', 'none'];
  await aand(['train', join(folder, 'washer'), '--out', join(folder, 'out'), ...shape]);
  const images = ['good/000.png', 'good/001.png', 'rust/000.png'].map((name, i) => {
    const copy = join(folder, `shown${i}.png`);
    cpSync(join(folder, 'washer/test', name), copy);
    return copy;
  });
  cpSync('dist/app', page, { recursive: true, filter: (path) => !/app.demo/.test(path) });
  const serve = sirv(page, { dev: true });
  let server: Server;
  const listen = async (port: number) => {
    server = createServer((request, response) => {
      if (request.method !== 'PUT') return serve(request, response);
      pipeline(request, createWriteStream(join(folder, savedPath))).then(
        () => response.end(),
        () => response.destroy(),
      );
    });
    await new Promise<void>((ready) => server.listen(port, '127.0.0.1', ready));
    return (server.address() as AddressInfo).port;
  };
  const port = await listen(0);
  const stop = () =>
    new Promise<void>((closed) => {
      server.close(() => closed());
      server.closeAllConnections();
    });
  return {
    folder,
    root: page,
    url: `http://127.0.0.1:${port}/`,
    model: join(folder, 'out/model.safetensors'),
    images,
    aand,
    stop,
    async start() {
      await listen(port);
    },
    async close() {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export interface Opened {
  readonly page: Page;
  /** Requests to other places than the page's own. */
  readonly foreign: string[];
  readonly errors: string[];
}

export const ready = (page: Page) =>
  page.waitForFunction(() => !/opening/.test(document.getElementById('device')?.textContent ?? ''), {
    timeout: 60_000,
    polling: 100,
  });

export async function openPage(browser: Browser, url: string): Promise<Opened> {
  const page = await browser.newPage();
  await page.setViewport({ width: 1440, height: 900 });
  const foreign: string[] = [];
  const errors: string[] = [];
  page.on('request', (request) => {
    if (!request.url().startsWith(url) && !/^(blob|data):/.test(request.url())) foreign.push(request.url());
  });
  page.on('pageerror', (error) => errors.push((error as Error).message));
  await page.goto(url);
  await ready(page);
  return { page, foreign, errors };
}

/** The page as the tests of a file share it. */
export interface Shown {
  site: Site;
  browser: Browser;
  opened: Opened;
}

/** Opens site, browser and page before the tests of a suite, and closes them after it. */
export function showPage(launch: () => Promise<Browser>): Shown {
  const command = useCommand();
  const shown = {} as Shown;
  beforeAll(async () => {
    shown.site = await openSite(command);
    shown.browser = await launch();
    shown.opened = await openPage(shown.browser, shown.site.url);
  });
  afterAll(async () => {
    await shown.browser?.close();
    await shown.site?.close();
  });
  return shown;
}
