/** What a user does in the page: buttons, files, fields, and what the page saves. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ElementHandle, Page } from 'puppeteer-core';
import { expect } from 'vitest';
import { type Site, savedPath } from './app_site.ts';
import { part, writeImage } from './layouts.ts';

/** The file chooser whose label says this. */
export async function chooser(
  page: Page,
  view: string,
  label: string,
): Promise<ElementHandle<HTMLInputElement>> {
  const handle = await page.evaluateHandle(
    (view, label) =>
      [...document.querySelectorAll<HTMLLabelElement>(`#${view} label.file`)]
        .filter((e) => e.textContent?.trim() === label)
        .at(0)
        ?.querySelector('input'),
    view,
    label,
  );
  return handle as ElementHandle<HTMLInputElement>;
}

/** Presses a button; while a question is open, one of its own. */
export const click = (page: Page, text: string) =>
  page.evaluate((text) => {
    const scope = document.querySelector('dialog[open]') ?? document;
    const found = [...scope.querySelectorAll('button')].find(
      (b) => b.textContent === text && b.offsetParent !== null,
    );
    if (!found) throw new Error(`no button '${text}'`);
    found.click();
  }, text);

export const textOf = (page: Page, selector: string) =>
  page.$eval(selector, (e) => (e as HTMLElement).innerText);

/** Pages in the background draw no frames, which waiting goes by otherwise. */
export const polling = 100;

/** Waits until a view's text meets a pattern. */
export const waitForText = (page: Page, view: string, pattern: RegExp, timeout = 120_000) =>
  page.waitForFunction(
    (view, source) => new RegExp(source).test(document.getElementById(view)?.textContent ?? ''),
    { timeout, polling },
    view,
    pattern.source,
  );

/** What a button saves, caught before the browser's download. */
export async function saved(page: Page, site: Site, text: string): Promise<Uint8Array> {
  await page.evaluate(() => {
    const scope = window as unknown as { savedBlob?: Blob };
    delete scope.savedBlob;
    const original = URL.createObjectURL;
    URL.createObjectURL = (blob: Blob) => {
      scope.savedBlob = blob;
      URL.createObjectURL = original;
      return original.call(URL, blob);
    };
    HTMLAnchorElement.prototype.click = () => {};
    // Where the browser lets us: what nobody holds any more is collected at once, as it may be at any time.
    const { gc } = window as unknown as { gc?: () => void };
    const collecting = setInterval(() => (scope.savedBlob || !gc ? clearInterval(collecting) : gc()), 1);
  });
  await click(page, text);
  await page.waitForFunction(
    () =>
      (window as unknown as { savedBlob?: Blob }).savedBlob || !document.getElementById('problem')?.hidden,
    { timeout: 120_000, polling },
  );
  // Through the page's server: a model of some 80 MB takes the browser's own protocol many seconds.
  const problem = await page.evaluate(async (path) => {
    const blob = (window as unknown as { savedBlob?: Blob }).savedBlob;
    if (!blob) return document.getElementById('problem')?.textContent;
    await fetch(path, { method: 'PUT', body: blob });
    return undefined;
  }, savedPath);
  if (problem !== undefined) throw new Error(`'${text}' saved nothing: ${problem}`);
  return readFileSync(join(site.folder, savedPath));
}

export async function openModel(page: Page, path: string): Promise<void> {
  await (await chooser(page, 'inspect', 'Open model')).uploadFile(path);
  await waitForText(page, 'inspect', /resnet18, (aand|rd)/);
}

/** Removes all images, when none is being judged; those of an earlier visit come back with a model. */
export async function removeImages(page: Page): Promise<void> {
  await waitForText(page, 'model', / pixels$/);
  await page.waitForFunction(
    () => !/inspecting \d|images wait/.test(document.getElementById('inspect')?.textContent ?? ''),
    { timeout: 300_000, polling },
  );
  if (await page.$('#inspect tbody tr')) {
    await click(page, 'Remove all images');
    await click(page, 'Remove');
    await page.waitForFunction(() => !document.querySelector('#inspect tbody tr'), { polling });
  }
}

/** Inspects images in the page; raw scores by name, from the table that it saves. */
export async function inspect(
  page: Page,
  site: Site,
  images: readonly string[],
): Promise<Record<string, number>> {
  await removeImages(page);
  await (await chooser(page, 'inspect', 'Open images')).uploadFile(...images);
  await page.waitForFunction(
    (count) =>
      document.querySelectorAll('#inspect tbody tr').length === count &&
      /\d images,/.test(document.getElementById('inspect')?.textContent ?? ''),
    { timeout: 300_000, polling },
    images.length,
  );
  const csv = await saved(page, site, 'Save table (CSV)');
  const lines = new TextDecoder().decode(csv).trim().split('\n').slice(1);
  return Object.fromEntries(lines.map((line) => [line.split(',')[0] ?? '', Number(line.split(',')[1])]));
}

/** Raw scores of the command line by file name. */
export async function commandLineScores(
  site: Site,
  model: string,
  images: readonly string[],
  driver: string | undefined,
): Promise<Record<string, number>> {
  const printed = await site.aand(
    ['predict', model, ...images, '--out', join(site.folder, 'p'), '--json'],
    driver,
  );
  const rows = JSON.parse(printed) as { path: string; raw_score: number }[];
  return Object.fromEntries(rows.map((row) => [row.path.replace(/^.*\//, ''), row.raw_score]));
}

/** Drawn parts of a product, and a defective one. */
async function trainingImages(site: Site, count: number): Promise<{ good: string[]; bad: string }> {
  const good: string[] = [];
  for (let i = 0; i < count; i++) {
    const path = join(site.folder, `good${String(i).padStart(2, '0')}.png`);
    await writeImage(path, part(0, i).image);
    good.push(path);
  }
  const bad = join(site.folder, 'bad.png');
  await writeImage(bad, part(0, 1, 'rust').image);
  return { good, bad };
}

/** Fills in the Train view. */
export async function prepareTraining(
  page: Page,
  site: Site,
  count: number,
  epochs: [number, number],
): Promise<void> {
  const { good, bad } = await trainingImages(site, count);
  await click(page, 'Train');
  await (await chooser(page, 'train', 'Choose')).uploadFile(...good);
  const choosers = await page.$$('#train .drop input[type=file]');
  await (choosers[1] as ElementHandle<HTMLInputElement>).uploadFile(bad);
  expect(await textOf(page, '#train')).toContain(`${good.length} good, 1 bad`);
  await setFields(page, 'train', {
    'Image size': '64',
    Batch: '8',
    'Epochs, stage I': String(epochs[0]),
    'Epochs, stage II': String(epochs[1]),
  });
}

export async function setFields(
  page: Page,
  view: string,
  values: Readonly<Record<string, string>>,
): Promise<void> {
  for (const [label, value] of Object.entries(values))
    await page.evaluate(
      (view, label, value) => {
        const field = [...document.querySelectorAll<HTMLLabelElement>(`#${view} label.field`)].find(
          (e) => e.firstChild?.textContent === label,
        );
        const input = field?.querySelector('input') as HTMLInputElement;
        input.value = value;
        input.dispatchEvent(new Event('input'));
      },
      view,
      label,
      value,
    );
}
