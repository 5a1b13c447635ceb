/**
 * Inspecting in the page, in headless Chromium: layers, zoom, keys, folders, marks, pictures as a ZIP file,
 * and what is kept over a reload.
 */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { strFromU8, unzipSync } from 'fflate';
import type { Browser, Page } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chromiumPath, launchChromium, swiftShaderDriver } from '../bench/support/browsers.ts';
import { chooser, click, textOf, waitForText } from './support/app_actions.ts';
import { expectAccessible, loadAxe } from './support/app_checks.ts';
import { ready } from './support/app_site.ts';
import { answer, openCopy, type PageCopies, serveCopies, writeModel } from './support/page_copies.ts';
import { until } from './support/page_tabs.ts';

describe.skipIf(!chromiumPath || !swiftShaderDriver)('inspecting in Chromium', () => {
  let site: PageCopies;
  let browser: Browser;
  let page: Page;
  let model: string;
  let folder: string;
  const errors: string[] = [];

  const watch = (tab: Page) => tab.on('pageerror', (error) => errors.push((error as Error).message));
  beforeAll(async () => {
    site = await serveCopies(['a'], 4);
    model = join(site.folder, 'model.safetensors');
    await writeModel(model);
    // Four images of two names in two folders.
    folder = join(site.folder, 'line');
    for (const [i, image] of site.images.entries()) {
      const below = join(folder, ['left', 'right'][i >> 1] as string);
      mkdirSync(below, { recursive: true });
      cpSync(image, join(below, `00${i % 2}.png`));
    }
    browser = await launchChromium();
    page = await openCopy(browser, `${site.origin}a/`);
    watch(page);
  });
  afterAll(async () => {
    await browser?.close();
    site?.close();
  });

  const started = (tab: Page) => until(tab, () => document.documentElement.dataset.started === 'yes');
  const reload = async (tab: Page) => {
    await tab.reload();
    await ready(tab);
    await started(tab);
  };
  const press = async (key: string) => {
    await page.focus('#inspect .stage canvas');
    await page.keyboard.press(key as 'a');
  };
  const selected = (tab = page) =>
    tab.$eval('#inspect tr.selected td.name', (cell) => cell.textContent ?? '').catch(() => '');
  const rows = (tab = page) =>
    tab.$$eval('#inspect tbody tr', (list) => list.map((row) => (row as HTMLElement).innerText.trim()));
  const isPressed = (text: string) =>
    page.$$eval(
      '#inspect .toolbar button',
      (buttons, text) => buttons.find((b) => b.textContent === text)?.getAttribute('aria-pressed'),
      text,
    );
  /** A number that stands for what the stage shows, when it has been drawn. */
  const drawing = () =>
    page.evaluate(
      () =>
        new Promise<number>((done) =>
          requestAnimationFrame(() =>
            requestAnimationFrame(() => {
              const canvas = document.querySelector('#inspect .stage canvas') as HTMLCanvasElement;
              const { data } = (canvas.getContext('2d') as CanvasRenderingContext2D).getImageData(
                0,
                0,
                canvas.width,
                canvas.height,
              );
              let sum = 0;
              for (let i = 0; i < data.length; i++) sum = (31 * sum + (data[i] as number)) % 1000000007;
              done(sum);
            }),
          ),
        ),
    );
  /** The same, once frame after frame is equal: under load the last change may still be on its way. */
  const settled = async () => {
    let before = await drawing();
    for (let equal = 0; equal < 3; ) {
      const now = await drawing();
      equal = now === before ? equal + 1 : 0;
      before = now;
    }
    return before;
  };
  const moveLimit = (value: number) =>
    page.$eval(
      '#threshold',
      (slider, value) => {
        (slider as HTMLInputElement).value = String(value);
        slider.dispatchEvent(new Event('input'));
      },
      value,
    );
  const kept = (tab = page) =>
    tab.evaluate(async () => {
      const top = await navigator.storage.getDirectory();
      try {
        const home = await top.getDirectoryHandle(`aand-${encodeURIComponent('/a/')}`);
        const record = await (await home.getDirectoryHandle('inspection')).getFileHandle('record.json');
        return JSON.parse(await (await record.getFile()).text()) as {
          images: { name: string; score: number | null; label?: string }[];
          limit: { threshold: number };
          layers: { heat: boolean };
          selected?: string;
        };
      } catch {
        return undefined;
      }
    });

  test('a folder: images of one name are told apart by their folders, each with its picture', async () => {
    await started(page);
    await (await chooser(page, 'inspect', 'Choose a model file')).uploadFile(model);
    await waitForText(page, 'inspect', /model\.safetensors: .*resnet18, rd, 32 pixels/);
    await (await chooser(page, 'inspect', 'Open folder')).uploadFile(folder);
    await waitForText(page, 'inspect', /4 images, \d anomalous/);
    const names = await page.$$eval('#inspect td.name', (cells) => cells.map((cell) => cell.textContent));
    expect(names.sort()).toEqual([
      '000.pngline/left/',
      '000.pngline/right/',
      '001.pngline/left/',
      '001.pngline/right/',
    ]);
    await until(page, () =>
      [...document.querySelectorAll<HTMLCanvasElement>('#inspect canvas.thumbnail')].every((canvas) => {
        const { data } = (canvas.getContext('2d') as CanvasRenderingContext2D).getImageData(20, 20, 1, 1);
        return (data[3] as number) > 0;
      }),
    );
  });

  test('one scale: slider, colour bar, table and verdict have the limit at 0.5', async () => {
    for (const at of [300, 500, 700]) {
      await moveLimit(at);
      for (const row of await rows()) {
        const [, score, verdict] = /([\d.]+)\t(good|anomalous)/.exec(row) ?? [];
        expect(verdict, row).toBe(Number(score) >= 0.5 ? 'anomalous' : 'good');
      }
      expect(await textOf(page, '#inspect .legend')).toMatch(/^1\s+0\.5 limit\s+0$/);
    }
    expect(await textOf(page, '#inspect output[for=threshold]')).toMatch(
      /^0\.70 of the calibration is 0\.5 now/,
    );
    await click(page, 'Back to the calibration');
    expect(await textOf(page, '#inspect output[for=threshold]')).toMatch(/^0\.50: as calibrated \(raw 1\.5/);
  });

  test('layers by button and key: the photograph alone, heat map, outline', async () => {
    await moveLimit(0);
    const all = await settled();
    await press('h');
    expect(await isPressed('Heat map')).toBe('false');
    const outlined = await drawing();
    await press('o');
    expect(await isPressed('Original')).toBe('true');
    const photograph = await drawing();
    // Everything is at or above a limit of 0: the outline is there.
    expect(new Set([all, outlined, photograph]).size).toBe(3);
    await click(page, 'Original');
    expect([await isPressed('Heat map'), await isPressed('Outline')]).toEqual(['true', 'true']);
    expect(await settled()).toBe(all);
    // In a good image nothing is outlined.
    await moveLimit(1000);
    const good = await settled();
    await press('o');
    expect(await settled()).toBe(good);
    await press('o');
    await click(page, 'Back to the calibration');
  });

  test('zoom by key, wheel and pinch, pan by dragging; a zoomed click explains the right place', async () => {
    const zoom = () => textOf(page, '#inspect .zoom');
    const whole = await settled();
    await press('+');
    await press('+');
    expect(await drawing()).not.toBe(whole);
    expect(await zoom()).toBe('156 %');
    await press('0');
    expect(await settled()).toBe(whole);
    const box = await (await page.$('#inspect .stage canvas'))?.boundingBox();
    if (!box) throw new Error('no picture');
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    await page.mouse.move(x, y);
    await page.mouse.wheel({ deltaY: -600 });
    await drawing();
    const near = Number.parseInt(await zoom(), 10);
    expect(near).toBeGreaterThan(200);
    // Dragged to the right: what lies in the middle now was left of it.
    await page.mouse.down();
    await page.mouse.move(x + 80, y, { steps: 4 });
    await page.mouse.up();
    expect(await page.$('#inspect .levels')).toBeNull();
    await page.mouse.click(x, y);
    await page.waitForSelector('#inspect .levels figure', { timeout: 120_000 });
    const [, left, top] = /At (\d+) %, (\d+) %/.exec(await textOf(page, '#spot h3')) ?? [];
    const unit = Math.min(box.width, box.height);
    expect(Number(left)).toBeCloseTo(50 - (100 * 80) / (unit * (near / 100)), -0.5);
    expect(Number(top)).toBe(50);
    expect(await textOf(page, '#inspect')).toMatch(/Level 1 looks at fine texture/);
    await press('0');
  });

  test('two fingers zoom where they are, and are no tap', async () => {
    const zoom = () => textOf(page, '#inspect .zoom');
    const box = await (await page.$('#inspect .stage canvas'))?.boundingBox();
    if (!box) throw new Error('no picture');
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    const spot = await textOf(page, '#spot h3');
    const session = await page.createCDPSession();
    const touch = (type: 'touchStart' | 'touchMove' | 'touchEnd', ...distances: number[]) =>
      session.send('Input.dispatchTouchEvent', {
        type,
        touchPoints: distances.map((distance, id) => ({ x: x + distance, y, id })),
      });
    const whole = await settled();
    await touch('touchStart', -30);
    await touch('touchStart', -30, 30);
    for (const distance of [40, 50, 60]) await touch('touchMove', -distance, distance);
    await drawing();
    expect(await zoom()).toBe('200 %');
    await touch('touchEnd', -60);
    await touch('touchEnd');
    expect(await drawing()).not.toBe(whole);
    expect(await textOf(page, '#spot h3')).toBe(spot);
    // One finger drags a zoomed picture, and is no tap either.
    await touch('touchStart', 0);
    for (const distance of [20, 40, 60, 80]) await touch('touchMove', distance);
    await touch('touchEnd');
    expect(await textOf(page, '#spot h3')).toBe(spot);
    // A tap is one: it explains the place that was dragged there, 80 of the doubled picture to the left.
    await touch('touchStart', 0);
    await touch('touchEnd');
    await page.waitForFunction(
      (before) => document.querySelector('#spot h3')?.textContent !== before,
      { timeout: 120_000, polling: 100 },
      spot,
    );
    const [, left] = /At (\d+) %, (\d+) %/.exec(await textOf(page, '#spot h3')) ?? [];
    expect(Number(left)).toBeCloseTo(50 - (100 * 80) / (2 * Math.min(box.width, box.height)), -0.5);
    await session.detach();
    await press('0');
    await drawing();
    expect(await zoom()).toBe('100 %');
  });

  test('keys go through the images as the table lists them, mark them, and take marks back', async () => {
    await click(page, 'image');
    const order = await page.$$eval('#inspect td.name', (cells) => cells.map((cell) => cell.textContent));
    const at = (name: string | null | undefined) =>
      until(
        page,
        (name) => document.querySelector('#inspect tr.selected td.name')?.textContent === name,
        name,
      );
    await page.focus('#inspect .scroll');
    await page.keyboard.press('Home');
    await at(order[0]);
    await page.keyboard.press('ArrowDown');
    await at(order[1]);
    await press('ArrowRight');
    await at(order[2]);
    await press('ArrowLeft');
    await at(order[1]);
    await press('b');
    await press('ArrowRight');
    await at(order[2]);
    await press('g');
    const marks = async () => (await rows()).map((row) => /marked (\w+)/.exec(row)?.[1]);
    expect(await marks()).toEqual([undefined, 'bad', 'good', undefined]);
    await press('u');
    expect(await marks()).toEqual([undefined, 'bad', undefined, undefined]);
    await page.keyboard.down('Control');
    await press('z');
    await page.keyboard.up('Control');
    expect(await marks()).toEqual(Array(4).fill(undefined));
    // What was marked is shown again.
    await at(order[1]);
    await press('b');
    // Nobody marks anything by typing.
    await page.focus('#opacity');
    await page.keyboard.press('g');
    expect(await marks()).toEqual([undefined, 'bad', undefined, undefined]);
  });

  test('all pictures in one ZIP file, in their folders, with the table', async () => {
    await page.evaluate(() => {
      const scope = window as unknown as { zipped?: Blob };
      const original = URL.createObjectURL;
      URL.createObjectURL = (blob: Blob) => {
        scope.zipped = blob;
        URL.createObjectURL = original;
        return original.call(URL, blob);
      };
      HTMLAnchorElement.prototype.click = () => {};
    });
    const split = new Set((await rows()).map((row) => /good|anomalous/.exec(row)?.[0])).size > 1;
    await click(page, 'Save pictures (ZIP)');
    if (split) await answer(page, 'All 4');
    await until(page, () => (window as unknown as { zipped?: Blob }).zipped);
    const text = await page.evaluate(async () => {
      const reader = new FileReader();
      reader.readAsDataURL((window as unknown as { zipped: Blob }).zipped);
      await new Promise((done) => reader.addEventListener('load', done));
      return String(reader.result);
    });
    const files = unzipSync(Buffer.from(text.slice(text.indexOf(',') + 1), 'base64'));
    expect(Object.keys(files).sort()).toEqual([
      'pictures/line/left/000.png',
      'pictures/line/left/001.png',
      'pictures/line/right/000.png',
      'pictures/line/right/001.png',
      'scores.csv',
    ]);
    for (const [name, bytes] of Object.entries(files))
      if (name.endsWith('.png')) expect([...bytes.subarray(1, 4)]).toEqual([0x50, 0x4e, 0x47]);
    expect(strFromU8(files['scores.csv'] as Uint8Array)).toMatch(
      /^name,raw_score,pred_score,pred_label,marked\nline\/left\/000\.png,/,
    );
  });

  test('a reload keeps model, images, marks, limit and what is shown', async () => {
    await moveLimit(400);
    await press('h');
    const before = { rows: await rows(), selected: await selected() };
    const limit = await textOf(page, '#inspect output[for=threshold]');
    // What a page writes is lost where it is reloaded within the same moment.
    await expect.poll(async () => (await kept())?.layers.heat).toBe(false);
    // For the checker of accessibility.
    await page.setBypassCSP(true);
    await reload(page);
    await waitForText(page, 'inspect', /4 images, \d anomalous/);
    await until(page, () => document.querySelector('#inspect tr.selected'));
    await click(page, 'image');
    expect({ rows: await rows(), selected: await selected() }).toEqual(before);
    expect(await textOf(page, '#inspect output[for=threshold]')).toBe(limit);
    expect(await isPressed('Heat map')).toBe('false');
    expect(await textOf(page, '#inspect .verdict')).toMatch(/Good|Anomalous/);
    // And they are judged and explained as before.
    await press('e');
    await page.waitForSelector('#inspect .levels figure', { timeout: 120_000 });
    await loadAxe(page);
    for (const value of ['light', 'dark']) {
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value }]);
      await expectAccessible(page, `images and an explanation, ${value}`);
    }
    await press('h');
  });

  test('a reload in the middle of many images keeps those that were judged', async () => {
    const more = Array.from({ length: 24 }, (_, i) => {
      const copy = join(site.folder, `more${i}.png`);
      cpSync(site.images[i % 4] as string, copy);
      return copy;
    });
    await (await chooser(page, 'inspect', 'Open images')).uploadFile(...more);
    await until(page, () => document.querySelectorAll('#inspect tbody tr').length >= 8);
    await reload(page);
    await until(page, () => document.querySelectorAll('#inspect tbody tr').length >= 7);
    expect((await rows()).filter((row) => /more\d+\.png/.test(row)).length).toBeGreaterThan(2);
    expect((await kept())?.images.every(({ score }) => score !== null)).toBe(true);
  });

  test('a second tab keeps nothing, says so, and leaves what the first one keeps as it is', async () => {
    const before = await kept();
    const second = await openCopy(browser, `${site.origin}a/`);
    watch(second);
    await started(second);
    expect(await rows(second)).toEqual([]);
    // The list of models is everybody's.
    await (await chooser(second, 'inspect', 'Choose a model file')).uploadFile(model);
    await waitForText(second, 'inspect', /model\.safetensors: /);
    await (await chooser(second, 'inspect', 'Open images')).uploadFile(site.images[0] as string);
    await waitForText(second, 'inspect', /1 images, \d anomalous/);
    await waitForText(second, 'inspect', /Another tab of this page keeps its images/);
    expect(await kept(second)).toEqual(before);
    await second.close();
    await page.bringToFront();
  });

  test('nothing is deleted unasked: images, and models of the list on this device', async () => {
    const other = join(site.folder, 'other.safetensors');
    await writeModel(other, { training: { seed: 0, category: 'gear' } });
    await (await chooser(page, 'inspect', 'Open model')).uploadFile(other);
    await waitForText(page, 'inspect', /other\.safetensors: gear resnet18/);
    const listed = () =>
      page.$$eval('#models option', (options) => options.map((option) => option.textContent));
    await until(page, () => document.querySelectorAll('#models option').length === 2);
    expect((await listed()).sort()).toEqual([
      'model: washer, resnet18, 32 pixels',
      'other: gear, resnet18, 32 pixels',
    ]);
    await waitForText(page, 'inspect', /\d+ images, \d+ anomalous/);
    await page.$eval('#models', (list) => {
      const select = list as HTMLSelectElement;
      select.value = [...select.options].find(({ text }) => text.startsWith('model'))?.value ?? '';
      select.dispatchEvent(new Event('change'));
    });
    await waitForText(page, 'inspect', /model\.safetensors: washer resnet18/);
    await click(page, 'Delete from this device');
    expect(await answer(page, 'Keep it')).toMatch(/"model\.safetensors" is deleted from this device/);
    expect(await listed()).toHaveLength(2);
    await click(page, 'Delete from this device');
    await answer(page, 'Delete');
    await until(page, () =>
      [...document.querySelectorAll('#models option')].every(
        ({ textContent }) => !/^model/.test(textContent ?? ''),
      ),
    );
    await until(page, () => document.querySelectorAll('#inspect tbody tr').length > 4);
    await click(page, 'Remove all images');
    await answer(page, 'Keep them');
    expect((await rows()).length).toBeGreaterThan(4);
    await click(page, 'Remove all images');
    expect(await answer(page, 'Remove')).toMatch(/Your own files stay/);
    await until(page, () => !document.querySelector('#inspect tbody tr'));
    await until(page, () =>
      /No image yet/.test(document.querySelector('#inspect .verdict')?.textContent ?? ''),
    );
  });

  test('a region for the open model: judged anew without a limit, kept, calibrated by marks', async () => {
    await (await chooser(page, 'inspect', 'Open model')).uploadFile(model);
    await waitForText(page, 'inspect', /model\.safetensors: /);
    await (await chooser(page, 'inspect', 'Open images')).uploadFile(...site.images);
    await waitForText(page, 'inspect', /4 images, \d anomalous/);
    const scores = () =>
      page.$$eval('#inspect tbody tr', (list) =>
        list
          .map((row) => [
            row.querySelector('td.name')?.textContent ?? '',
            Number(row.querySelector<HTMLElement>('td[title]')?.title.replace('raw score ', '')),
          ])
          .sort()
          .map(([, score]) => score as number),
      );
    await until(page, () => document.querySelector('#inspect tr.selected'));
    const before = await scores();
    const file = join(site.folder, 'corner.json');
    const inspect = [
      [
        [0, 0],
        [0.2, 0],
        [0.2, 0.2],
        [0, 0.2],
      ],
    ];
    writeFileSync(file, JSON.stringify({ inspect }));
    const box = '#inspect details.region-box';
    await page.$eval(box, (details) => {
      (details as HTMLDetailsElement).open = true;
    });
    await waitForText(page, 'inspect', /Drawn on \d\.png/);
    const use = () =>
      page.$$eval(
        '#inspect .region-box button',
        (list) => list.find(({ textContent }) => textContent === 'Inspect this part')?.disabled,
      );
    expect(await use()).toBe(true);
    await (await chooser(page, 'inspect', 'Load region')).uploadFile(file);
    await waitForText(page, 'inspect', /4 % of the picture is inspected/);
    expect(await use()).toBe(false);
    await loadAxe(page);
    await expectAccessible(page, 'a region for an open model');
    await click(page, 'Inspect this part');
    await waitForText(page, 'inspect', /the limit is gone|this model is not calibrated/);
    await waitForText(page, 'inspect', /4 images, no limit/);
    expect(await use()).toBe(true);
    // The copy that is kept says what it is a copy of.
    await until(page, () => document.querySelector('#models option:checked')?.textContent);
    expect(await page.$eval('#models option:checked', (option) => option.textContent)).toMatch(
      /^model \(region\): /,
    );
    const after = await scores();
    expect(after.every((score, i) => score <= (before[i] as number))).toBe(true);
    expect(after.some((score, i) => score < (before[i] as number))).toBe(true);

    await reload(page);
    await waitForText(page, 'inspect', /4 images, no limit/);
    await waitForText(page, 'inspect', /Inspect: a part of the picture/);
    expect(await scores()).toEqual(after);
    for (const row of [0, 1, 2, 3]) {
      const name = await page.$$eval(
        '#inspect tbody tr',
        (list, row) => {
          const chosen = list[row]?.querySelector('td.name button') as HTMLElement;
          chosen.click();
          return chosen.textContent;
        },
        row,
      );
      await until(
        page,
        (name) => document.querySelector('#inspect tr.selected td.name')?.textContent === name,
        name,
      );
      await click(page, 'This is good');
    }
    await click(page, 'Recalibrate');
    await waitForText(page, 'inspect', /Limit, raw: none → \d/);
    await waitForText(page, 'inspect', /4 images, 0 anomalous/);
    await click(page, 'Remove all images');
    await answer(page, 'Remove');
    await until(page, () => !document.querySelector('#inspect tbody tr'));
  });

  test('a full storage: images are inspected all the same, and the page says that they are not kept', async () => {
    await (await chooser(page, 'inspect', 'Open model')).uploadFile(model);
    await waitForText(page, 'inspect', /model\.safetensors: /);
    const client = await page.createCDPSession();
    const origin = site.origin.slice(0, -1);
    const { usage } = await client.send('Storage.getUsageAndQuota', { origin });
    await client.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: usage + 1000 });
    await (await chooser(page, 'inspect', 'Open images')).uploadFile(...site.images.slice(0, 2));
    await waitForText(page, 'inspect', /2 images, \d anomalous/);
    await waitForText(page, 'inspect', /storage of this browser is full/);
    await client.send('Storage.overrideQuotaForOrigin', { origin });
  });

  test('nothing failed unseen', () => {
    expect(errors).toEqual([]);
  });
});
