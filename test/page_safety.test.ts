/**
 * Nothing that a model, a file, a folder or a table says runs or loads anything: the page and the report, in
 * headless Chromium.
 */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  chromiumPath,
  launchChromium,
  lavapipeDriver,
  swiftShaderDriver,
} from '../bench/support/browsers.ts';
import { writeDetectorTensors } from '../src/detector/file.ts';
import { chooser, click, polling, textOf, waitForText } from './support/app_actions.ts';
import { ready } from './support/app_site.ts';
import { useCommand } from './support/command.ts';
import { part, writeImage } from './support/layouts.ts';
import { randomDetector, rawFile, settings } from './support/model_files.ts';
import { answer, fillTraining, type PageCopies, serveCopies } from './support/page_copies.ts';

// Without slashes, so that they are names of files and folders too.
const tags = [
  '"><img src=x onerror=window.ran=1>',
  "'><svg onload=window.ran=1>",
  '<script>window.ran=1<\\script>',
  '<iframe srcdoc="<script>parent.ran=1<\\script>">',
];
const name = tags.join('');
// Of any text: loads from elsewhere, ends of elements, addresses that run.
const hostile = `${name}</script></title></style></textarea><script>window.ran=1</script><img src="http://evil.invalid/x.png"><link rel=stylesheet href=http://evil.invalid/x.css><a href="javascript:window.ran=1">`;
const formula = '=HYPERLINK("http:evil.invalid";"x")';

interface Watched {
  readonly page: Page;
  /** What must stay empty. */
  readonly seen: { readonly dialogs: string[]; readonly foreign: string[]; readonly errors: string[] };
}

const counts = (page: Page) =>
  page.evaluate(() => {
    const scope = window as unknown as { ran?: number; violations: string[] };
    return { ran: scope.ran ?? 0, violations: scope.violations };
  });

describe.skipIf(!chromiumPath || !swiftShaderDriver)('hostile texts', () => {
  const command = useCommand();
  let site: PageCopies;
  let browser: Browser;
  let inside: Watched;

  async function watched(url: string): Promise<Watched> {
    const page = await browser.newPage();
    await page.setViewport({ width: 1440, height: 900 });
    const seen = { dialogs: [] as string[], foreign: [] as string[], errors: [] as string[] };
    page.on('dialog', (dialog) => {
      seen.dialogs.push(dialog.message());
      dialog.dismiss();
    });
    page.on('request', (request) => {
      if (!request.url().startsWith(site.origin) && !/^(blob|data):/.test(request.url()))
        seen.foreign.push(request.url());
    });
    page.on('pageerror', (error) => seen.errors.push((error as Error).message));
    await page.evaluateOnNewDocument(() => {
      const scope = window as unknown as { violations: string[] };
      scope.violations = [];
      document.addEventListener('securitypolicyviolation', (event) =>
        scope.violations.push(`${event.violatedDirective} ${event.blockedURI}`),
      );
    });
    await page.goto(url);
    return { page, seen };
  }

  /** An inline script, as an injection would bring it, is stopped and counted. */
  async function checkPolicy(page: Page): Promise<void> {
    const policy = await page.$eval(
      'meta[http-equiv=Content-Security-Policy]',
      (meta) => (meta as HTMLMetaElement).content,
    );
    expect(policy).toMatch(/default-src 'none'/);
    expect(policy).not.toMatch(/script-src[^;]*('unsafe-inline'|'unsafe-eval'|\*|http)/);
    expect(policy).toMatch(/base-uri 'none'/);
    expect(policy).toMatch(/form-action 'none'/);
    await page.evaluate(() => {
      const script = document.createElement('script');
      script.textContent = 'window.ran = 1';
      document.head.append(script);
    });
    await page.waitForFunction(
      () => (window as unknown as { violations: string[] }).violations.length === 1,
      {
        polling,
      },
    );
    const { ran, violations } = await counts(page);
    expect(ran).toBe(0);
    expect(violations[0]).toMatch(/^script-src.* inline$/);
  }

  beforeAll(async () => {
    site = await serveCopies(['a']);
    browser = await launchChromium();
    inside = await watched(`${site.origin}a/`);
    await ready(inside.page);
  });
  afterAll(async () => {
    await browser?.close();
    site?.close();
  });

  const modelPath = () => join(site.folder, `${name}.safetensors`);

  test('a model whose every text is hostile, images and tables', async () => {
    const { page } = inside;
    const calibration = { ...settings.image, threshold: 1.5, min: 0, max: 3, rule: hostile.slice(0, 499) };
    const changed = {
      ...settings,
      image: calibration,
      pixel: calibration,
      calibrationScores: [{ score: 1, anomalous: false, path: hostile, source: name.slice(0, 100) }],
      training: {
        category: hostile,
        name: hostile,
        [hostile.slice(0, 199)]: hostile,
        textures: [hostile],
        weights: hostile,
      },
      version: name.slice(0, 40),
    };
    const metadata = { [hostile]: hostile };
    writeFileSync(modelPath(), await writeDetectorTensors(randomDetector(), changed, metadata));
    await (await chooser(page, 'inspect', 'Open model')).uploadFile(modelPath());
    await waitForText(page, 'inspect', /resnet18, rd, 32 pixels/);
    const images = [`${name}.png`, `${formula}.png`].map((file) => join(site.folder, file));
    for (const path of images) cpSync(site.images[0] as string, path);
    await (await chooser(page, 'inspect', 'Open images')).uploadFile(...images);
    await waitForText(page, 'inspect', /2 images, \d anomalous/);
    expect(await textOf(page, '#inspect')).toContain('<img src=x onerror=window.ran=1>');
    await click(page, 'Explain the peak');
    await page.waitForSelector('#inspect .levels figure', { timeout: 60_000 });
    await click(page, 'This is good');
    await click(page, 'Recalibrate');
    await waitForText(page, 'inspect', /Limit, raw: [\d.]+ → /);
    const csv = await page.evaluate(async () => {
      const original = URL.createObjectURL;
      const blob = new Promise<Blob>((resolve) => {
        URL.createObjectURL = (made: Blob) => {
          URL.createObjectURL = original;
          resolve(made);
          return original.call(URL, made);
        };
      });
      HTMLAnchorElement.prototype.click = () => {};
      [...document.querySelectorAll('button')].find((b) => b.textContent === 'Save table (CSV)')?.click();
      return (await blob).text();
    });
    expect(csv).toContain(`"'=HYPERLINK(""http:evil.invalid"";""x"").png"`);
    for (const line of csv.split('\n')) expect(line).not.toMatch(/^"?[=+\-@]/);
  });

  test('files that are refused are named as text', async () => {
    const { page } = inside;
    const path = join(site.folder, `${name}2.safetensors`);
    const metadata = {
      format: 'aand-webgpu/1',
      detector: JSON.stringify({ ...settings, backbone: hostile, mode: hostile }),
    };
    for (const bytes of [
      new Uint8Array(),
      rawFile('{'),
      rawFile(JSON.stringify({ __metadata__: metadata })),
      rawFile(JSON.stringify({ [hostile]: { dtype: hostile } })),
    ]) {
      writeFileSync(path, bytes);
      await page.evaluate(() => {
        (document.getElementById('problem') as HTMLElement).hidden = true;
      });
      await (await chooser(page, 'inspect', 'Open model')).uploadFile(path);
      await page.waitForFunction(() => !document.getElementById('problem')?.hidden, { polling });
      expect(await textOf(page, '#problem')).toContain('<img src=x onerror=window.ran=1>');
    }
  });

  test('dropped folders and their files', async () => {
    const { page } = inside;
    const bytes = readFileSync(site.images[0] as string).toString('base64');
    await page.evaluate(
      (name, bytes) => {
        const data = new Blob([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))]);
        const file = (text: string) => ({
          isFile: true,
          name: text,
          fullPath: `/${name}/${text}`,
          file: (resolve: (file: File) => void) => resolve(new File([data], text)),
        });
        let given = false;
        const folder = {
          isFile: false,
          name,
          createReader: () => ({
            readEntries: (resolve: (entries: unknown[]) => void) => {
              resolve(given ? [] : [file(`${name}.png`), file(`._${name}.png`)]);
              given = true;
            },
          }),
        };
        const event = new Event('drop', { cancelable: true });
        Object.defineProperty(event, 'dataTransfer', {
          value: { items: [{ webkitGetAsEntry: () => folder }] },
        });
        document.querySelector('#train .drop')?.dispatchEvent(event);
      },
      name,
      bytes,
    );
    // The hidden file beside it is left out.
    await waitForText(page, 'train', /1 good;/);
  });

  test('a training under a hostile name of images with hostile names', async () => {
    const { page } = inside;
    const images = [0, 1].map((i) => {
      const path = join(site.folder, `${i}${name}.png`);
      cpSync(site.images[i] as string, path);
      return path;
    });
    await fillTraining(page, images, hostile, 1);
    await click(page, 'Preview');
    // The method makes up no defects to preview.
    await page.waitForFunction(() => document.querySelectorAll('#train .sheet canvas').length === 2, {
      polling,
    });
    await click(page, 'Start training');
    await waitForText(page, 'train', /, finished/, 110_000);
    expect(await textOf(page, '#train')).toContain(`0${name}.png: `);
    await click(page, 'Discard');
    expect(await answer(page, 'Keep it')).toContain('<img src=x onerror=window.ran=1>');
    await click(page, 'Inspect with its model');
    await waitForText(page, 'inspect', /onerror=window\.ran=1.*resnet18, rd, 32 pixels/);
  });

  test('scripts run, dialogs, requests to elsewhere, violations: none; an injected script is stopped', async () => {
    const { page, seen } = inside;
    const { ran, violations } = await counts(page);
    console.log(
      `page: ${ran} scripts ran, ${seen.dialogs.length} dialogs, ${seen.foreign.length} requests, ${violations.length} violations`,
    );
    expect({ ran, violations, ...seen }).toEqual({
      ran: 0,
      violations: [],
      dialogs: [],
      foreign: [],
      errors: [],
    });
    await checkPolicy(page);
  });

  test('the report of the command line: names of category, defects and files, texts of the model', async () => {
    const data = join(site.folder, name);
    for (const path of [
      'train/good/0',
      `train/good/${name}`,
      `test/good/${name}`,
      `test/${name}/${name}`,
      `test/${formula}/1`,
    ])
      await writeImage(join(data, `${path}.png`), part(0, 1).image);
    const out = join(site.root, 'report');
    mkdirSync(out);
    const env = lavapipeDriver ? { VK_DRIVER_FILES: lavapipeDriver } : {};
    const { code, stderr } = await command.run(['test', modelPath(), data, '--out', out], { env });
    expect(code, stderr).toBe(0);
    expect(
      readFileSync(join(out, 'scores.csv'), 'utf8')
        .split('\n')
        .filter((line) => /(^|,)"?[=+@]/.test(line)),
    ).toEqual([]);
    const { page, seen } = await watched(`${site.origin}report/report.html`);
    await page.waitForFunction(() => document.readyState === 'complete', { polling });
    const shown = await page.evaluate(() => document.body.innerText);
    expect(shown).toContain('<img src=x onerror=window.ran=1>');
    for (const control of await page.$$('button, summary, th, select')) await control.click().catch(() => {});
    const { ran, violations } = await counts(page);
    console.log(
      `report: ${ran} scripts ran, ${seen.dialogs.length} dialogs, ${seen.foreign.length} requests, ${violations.length} violations`,
    );
    expect({ ran, violations, ...seen }).toEqual({
      ran: 0,
      violations: [],
      dialogs: [],
      foreign: [],
      errors: [],
    });
    await checkPolicy(page);
    await page.close();
  });
});
