/**
 * The examples of pages, in Chromium on SwiftShader: without a bundler, webcam, worker; React with Vite and
 * Next, installed with the packed package (needs the npm registry). With EXAMPLE_PICTURES a folder gets a
 * picture of each.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import type { Browser, ElementHandle, Page } from 'puppeteer-core';
import sirv from 'sirv';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chromiumPath, launchChromium, swiftShaderDriver } from '../../bench/support/browsers.ts';
import { useProjectFolder } from '../support/command.ts';
import { bundleForNode, bundleForPage, run } from '../support/examples.ts';

const model = resolve('app/demo/washer.safetensors');
const [rust, good] = ['rust', 'good-1'].map((name) => resolve(`app/demo/${name}.png`)) as [string, string];
const pictures = process.env.EXAMPLE_PICTURES;
const patient = { timeout: 300_000, polling: 200 } as const;

describe.skipIf(!chromiumPath || !swiftShaderDriver)('examples in Chromium', () => {
  let folder: string;
  let browser: Browser;
  const servers: Server[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'aand-examples-'));
    browser = await launchChromium(['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream']);
  });
  afterAll(async () => {
    await browser?.close();
    for (const server of servers) server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function open(root: string, path: string): Promise<Page> {
    const server = createServer(sirv(root, { dev: true }));
    servers.push(server);
    await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
    const page = await browser.newPage();
    await page.setViewport({ width: 760, height: 720 });
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/${path}`);
    return page;
  }

  const choose = async (page: Page, place: number, ...files: string[]) => {
    const inputs = (await page.$$('input[type=file]')) as ElementHandle<HTMLInputElement>[];
    await (inputs[place] as ElementHandle<HTMLInputElement>).uploadFile(...files);
  };
  const said = (page: Page, pattern: RegExp) =>
    page.waitForFunction(
      (source) => new RegExp(source).test(document.querySelector('output')?.textContent ?? ''),
      patient,
      pattern.source,
    );
  /** Red pixels of the canvas: the outline of what is marked. */
  const redPixels = (page: Page) =>
    page.evaluate(() => {
      const canvas = document.querySelector('canvas') as HTMLCanvasElement;
      const { data } = (canvas.getContext('2d') as CanvasRenderingContext2D).getImageData(
        0,
        0,
        canvas.width,
        canvas.height,
      );
      let count = 0;
      for (let i = 0; i < data.length; i += 4)
        if ((data[i] as number) > 240 && (data[i + 1] as number) < 60 && (data[i + 2] as number) < 60)
          count++;
      return count;
    });
  const keepPicture = async (page: Page, name: string) => {
    if (!pictures) return;
    mkdirSync(pictures, { recursive: true });
    await page.screenshot({ path: join(pictures, `${name}.png`) as `${string}.png` });
  };

  /** A page with a chooser for a model and one for a photograph. */
  async function inspects(page: Page, name: string): Promise<void> {
    await choose(page, 0, model);
    await said(page, /^ready/);
    await choose(page, 1, rust);
    await said(page, /^anomalous (0\.[5-9]|1)/);
    expect(await redPixels(page)).toBeGreaterThan(50);
    await keepPicture(page, name);
    await choose(page, 1, good);
    await said(page, /^good 0\.[0-4]/);
    expect(await redPixels(page)).toBeLessThan(50);
  }

  test('a page without a bundler learns with the packaged teacher, and inspects', async () => {
    const root = join(folder, 'plain');
    // As short as a training can be: SwiftShader is no GPU.
    const text = readFileSync('examples/plain.html', 'utf8');
    const short = text.replace('epochs: [10, 15]', 'epochs: [1, 1]');
    expect(short).not.toBe(text);
    mkdirSync(root);
    writeFileSync(join(root, 'index.html'), short);
    cpSync('dist/browser.js', join(root, 'aand-webgpu/dist/browser.js'));
    cpSync('weights', join(root, 'aand-webgpu/weights'), { recursive: true });
    const page = await open(root, '');
    await choose(page, 0, good, resolve('app/demo/good-2.png'));
    await said(page, /^Learned 2 parts\. there are only 2 training images/);
    await choose(page, 1, rust);
    await said(page, /^(anomalous|good) [01]\.\d{3}$/);
    await keepPicture(page, 'plain');
    await page.close();
  });

  test('the webcam is judged frame by frame', async () => {
    const root = join(folder, 'webcam');
    await bundleForPage('examples/webcam.ts', root);
    cpSync('examples/webcam.html', join(root, 'index.html'));
    const page = await open(root, '');
    await choose(page, 0, model);
    await said(page, /^(anomalous|good) [01]\.\d{3}$/);
    const size = await page.evaluate(() => document.querySelector('canvas')?.width);
    expect(size).toBeGreaterThan(300);
    await keepPicture(page, 'webcam');
    await page.close();
  });

  test('a worker judges a list while the page is free', async () => {
    const root = join(folder, 'worker');
    await bundleForPage('examples/worker.ts', root);
    await bundleForPage('examples/worker_page.ts', root);
    cpSync('examples/worker.html', join(root, 'index.html'));
    const page = await open(root, '');
    await choose(page, 0, model);
    await said(page, /^ready$/);
    writeFileSync(join(root, 'text.png'), 'no picture');
    await choose(page, 1, rust, good, join(root, 'text.png'));
    await page.waitForFunction(
      () =>
        [...document.querySelectorAll('li')].every(({ textContent }) => !/waiting/.test(textContent ?? '')),
      patient,
    );
    const lines = await page.$$eval('li', (items) => items.map(({ textContent }) => textContent ?? ''));
    expect(lines).toEqual([
      expect.stringMatching(/^rust\.png: anomalous (0\.[5-9]|1)/),
      expect.stringMatching(/^good-1\.png: good 0\.[0-4]/),
      expect.stringMatching(/^image 1 of 1 \(text\.png\): cannot be read as an image/),
    ]);
    expect(await page.$$('canvas')).toHaveLength(2);
    await keepPicture(page, 'worker');
    await page.close();
  });

  describe('with a framework', () => {
    let tarball: string;
    const npm = (cwd: string, ...args: string[]) =>
      execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

    beforeAll(() => {
      const clone = join(folder, 'clone');
      const left = new Set(['node_modules', 'dist', '.git', '.demo', '.gpu', 'test', 'bench']);
      cpSync(resolve('.'), clone, {
        recursive: true,
        filter: (path) => !left.has(basename(path)) || path.endsWith('src/bench'),
      });
      cpSync('bench', join(clone, 'bench'), { recursive: true });
      symlinkSync(resolve('node_modules'), join(clone, 'node_modules'));
      const output = npm(clone, 'pack', '--json', '--pack-destination', folder);
      const [packed] = JSON.parse(output.slice(output.indexOf('['))) as [{ readonly filename: string }];
      tarball = join(folder, packed.filename);
    });

    /** Installs an example with the packed package in the place of the published one, and builds it. */
    function built(name: string): string {
      const path = join(folder, name);
      cpSync(join('examples', name), path, { recursive: true });
      const manifest = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as {
        dependencies: Record<string, string>;
      };
      manifest.dependencies['aand-webgpu'] = `file:${tarball}`;
      writeFileSync(join(path, 'package.json'), JSON.stringify(manifest));
      npm(path, 'install', '--no-audit', '--no-fund');
      npm(path, 'run', 'build');
      return path;
    }

    test('React with Vite', async () => {
      const page = await open(join(built('react-vite'), 'dist'), '');
      await inspects(page, 'react-vite');
      await page.close();
    });

    test('Next', async () => {
      const page = await open(join(built('next'), 'out'), '');
      await inspects(page, 'next');
      await page.close();
    });
  });
});

describe('the training of Node', () => {
  const folder = useProjectFolder();

  test('learns a folder; batch opens what it made', async () => {
    mkdirSync(join(folder, 'good'));
    for (const name of ['good-1.png', 'good-2.png'])
      cpSync(join('app/demo', name), join(folder, 'good', name));
    const out = join(folder, 'learned.safetensors');
    const train = await bundleForNode('examples/train.ts', folder);
    expect(await run(train, [join(folder, 'good'), out, '1'])).toMatch(
      /^limit \d+\.\d{4}: largest score of 2 good images that were left out in turn\n$/,
    );
    const lines = await run(await bundleForNode('examples/batch.ts', folder), [out, join(folder, 'good')]);
    expect(lines.trim().split('\n')).toHaveLength(2);
  });
});
