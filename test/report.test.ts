/** Pages of results in Chromium: strings of data run and load nothing, and the pages' own charts draw. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chromiumPath, launchChromium } from '../bench/support/browsers.ts';
import type { BenchReport } from '../src/bench/report.ts';
import type { Evaluation, TestedImage } from '../src/eval/evaluate.ts';
import { findingsOf } from '../src/eval/findings.ts';
import { rankMetrics } from '../src/eval/metrics.ts';
import { benchPage } from '../src/report/bench_page.ts';
import { type BenchmarkRun, benchmarkMarkdown, benchmarkPage } from '../src/report/benchmark_table.ts';
import { html, htmlPage } from '../src/report/html.ts';
import { type ReportInput, reportPage } from '../src/report/report.ts';

const charts = readFileSync(
  join(dirname(createRequire(import.meta.url).resolve('chart.js')), 'chart.umd.min.js'),
  'utf8',
);

// A fixed port, for it is in the texts that are tried.
const port = 47_123;

/** Ways out of text, attributes, scripts, styles, comments and URLs. */
const attack =
  `"'\`><img src=http://127.0.0.1:${port}/x onerror="window.ran=1;alert(1)"><script>window.ran=1</script></script></style>` +
  `</title></textarea>--><!--<script><svg onload=window.ran=1><base href=http://127.0.0.1:${port}/><link rel=stylesheet ` +
  `href=http://127.0.0.1:${port}/a.css><meta http-equiv=refresh content="0;url=http://127.0.0.1:${port}/">\u2028\u2029javascript:window.ran=1 \${1} %3Cscript%3E`;

const pixel =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==';

/** A report whose every text is `text`; figures and charts are real. */
function input(text: string, uri = pixel): ReportInput {
  const images: TestedImage[] = [0.5, 1, 1.5, 2].map((score, i) => ({
    path: text,
    stem: text,
    defect: i < 2 ? 'good' : text,
    score,
    width: 32,
    height: 32,
    anomalous: i > 1,
    milliseconds: 1,
  }));
  const interval: [number, number] = [0.5, 1];
  const metrics = {
    image_AUROC: 1,
    pixel_AUROC: 0.9,
    AUPRO: 0.8,
    AUPRO_per_image: 0.7,
    image_AP: 1,
    pixel_AP: 0.5,
    image_F1Max: 1,
    pixel_F1Max: 0.5,
    intervals: { image_AUROC: interval, image_AP: interval, image_F1Max: interval },
  };
  const curve: [number, number][] = [
    [0, 0],
    [0.2, 0.7],
    [1, 1],
  ];
  const evaluation = {
    metrics,
    image: rankMetrics(
      Float32Array.from(images, ({ score }) => score),
      [0, 0, 1, 1],
    ),
    pixel: { roc: curve, precisionRecall: curve, overlapCurve: curve },
    imageRange: { min: 0.5, max: 2 },
    pixelRange: { min: 0, max: 2 },
    relabelled: 0,
    outside: 0,
  } as unknown as Evaluation;
  const calibration = { threshold: 1.2, min: 0, max: 2, rule: text };
  const figure = { uri, caption: text };
  return {
    report: {
      category: text,
      seed: text,
      adapter: text,
      version: text,
      counts: { [text]: 4, test_good: text },
      warnings: [text, text],
      unreadable: [{ path: text, reason: text }],
      history: {
        [text]: [
          { [text]: 1, loss: 2 },
          { [text]: 0.5, loss: 1 },
        ],
        stage2: [{ loss: 1 }, { loss: 0.5 }],
      },
      settings: {
        mode: text,
        backbone: text,
        checkpoint: text,
        weights: text,
        textures: text,
        labels: 'mask',
        [text]: { [text]: [text] },
      },
      relabelled_by_mask: text,
      seconds: { [text]: 1 },
    },
    images,
    evaluation,
    findings: findingsOf({ images, calibration }),
    scale: { score: calibration, map: calibration, marks: 'score' },
    falseAlarms: [figure],
    misses: [figure],
    found: [figure],
    explanations: [{ title: text, figures: [figure] }],
  };
}

function run(text: string, seed: number): BenchmarkRun {
  return {
    category: text,
    mode: text,
    seed,
    metrics: { image_AUROC: 0.9, pixel_AUROC: 0.8, AUPRO: 0.7 },
    intervals: { image_AUROC: [0.8, 1] },
    trainSeconds: 1,
    adapter: text,
  };
}

function bench(text: string): [BenchReport, Parameters<typeof benchPage>[1]] {
  const result = (kind: 'kernel' | 'model') => ({
    name: text,
    kind,
    configuration: text,
    median_ms: 1,
    spread: 0.1,
    gflops: 10,
    gbytes_per_s: 5,
    share_of_roofline: 0.5,
    intensity: 3,
    dispatches: 1,
    copies: 0,
    peak_bytes: 1,
    max_abs_error: 1e-6,
  });
  const report = {
    record: { date: text, command: text, commit: text, machine: text },
    adapter: { description: text, vendor: text, features: [text] },
    peaks: { gflops: 100, gbytes_per_s: 20 },
    results: [result('kernel'), result('model')],
  } as unknown as BenchReport;
  const peer = {
    adapter: text,
    name: text,
    version: text,
    provider: text,
    median_ms: 2,
    ratio_to_ours: 2,
    spread: 0,
    max_abs_error: 0,
  };
  return [report, [{ ...peer, engine: text }]];
}

describe.skipIf(!chromiumPath)('pages in Chromium', () => {
  let browser: Browser;
  // What the pages ask for arrives here.
  const hits: string[] = [];
  const server = createServer((request, answer) => {
    hits.push(request.url ?? '');
    answer.end();
  });
  const folder = mkdtempSync(join(tmpdir(), 'aand-report-'));
  beforeAll(async () => {
    browser = await launchChromium([], false);
    await new Promise<void>((done) => server.listen(port, '127.0.0.1', done));
  });
  afterAll(async () => {
    await browser?.close();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Opens a page; what ran, asked, loaded and was forbidden, and how many canvases hold a drawing. */
  async function show(text: string, picture?: string) {
    const path = join(folder, 'page.html');
    writeFileSync(path, text);
    const page = await browser.newPage();
    hits.length = 0;
    const seen = { dialogs: 0, requests: hits, errors: [] as string[] };
    page.on('dialog', (dialog) => {
      seen.dialogs++;
      dialog.dismiss();
    });
    page.on('pageerror', (error) => seen.errors.push(String(error)));
    await page.evaluateOnNewDocument(() => {
      const found: string[] = [];
      Object.assign(window, { violations: found });
      document.addEventListener('securitypolicyviolation', (event) => found.push(event.effectiveDirective));
    });
    await page.setViewport({ width: 1100, height: 900 });
    await page.goto(pathToFileURL(path).href, { waitUntil: 'load' });
    await new Promise((done) => setTimeout(done, 300));
    const inPage = await page.evaluate(() => {
      const view = window as unknown as { ran?: unknown; violations: string[] };
      const canvases = [...document.querySelectorAll('canvas')].map((canvas) => {
        const data = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
        return data.some((value) => value > 0);
      });
      return {
        ran: view.ran ?? null,
        violations: view.violations,
        drawn: canvases.filter(Boolean).length,
        canvases: canvases.length,
        scripts: document.querySelectorAll('script').length,
        text: document.body.textContent ?? '',
        title: document.title,
        images: [...document.images].map(({ src, naturalWidth }) => [src, naturalWidth] as const),
      };
    });
    if (picture) await page.screenshot({ path: picture as `${string}.png`, fullPage: true });
    await page.close();
    return { ...seen, requests: [...hits], ...inPage };
  }

  const quiet = { ran: null, dialogs: 0, requests: [], errors: [], violations: [] };

  test('an honest report draws its charts, and its policy forbids nothing of it', async () => {
    const shown = await show(await reportPage(input('washer'), charts), process.env.AAND_REPORT_PICTURE);
    expect(shown).toMatchObject({
      ...quiet,
      canvases: 6,
      drawn: 6,
      scripts: 3,
      title: 'washer: washer washer',
    });
    expect(shown.images).toEqual(Array(4).fill([pixel, 1]));
    expect(shown.text).toContain('from 0.5 on. There the raw score is 1.2000 (washer)');
    expect(shown.text).toContain('1 file could not be read, and every figure is without it:washer: washer');
  });

  test('a report opens with the result in plain words, fits a phone, and prints whole and light', async () => {
    writeFileSync(join(folder, 'plain.html'), await reportPage(input('washer'), charts));
    const page = await browser.newPage();
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
    await page.setViewport({ width: 390, height: 844 });
    await page.goto(pathToFileURL(join(folder, 'plain.html')).href, { waitUntil: 'load' });
    const opening = await page.evaluate(() => document.querySelector('h1')?.nextElementSibling?.textContent);
    expect(opening).toMatch(
      /^This model works on the tested parts: it found 2 of 2 bad parts and rejected 0 of 2/,
    );
    expect(opening).toMatch(/Only 2 bad parts and 2 good parts were tested/);
    const wide = () =>
      page.evaluate(() =>
        [...document.querySelectorAll('body *')]
          .filter((e) => !e.closest('.scroll') && e.getBoundingClientRect().right > innerWidth + 1)
          .map((e) => e.outerHTML.slice(0, 80)),
      );
    expect(await wide()).toEqual([]);
    const state = () =>
      page.evaluate(() => ({
        paper: getComputedStyle(document.body).backgroundColor,
        folded: document.querySelectorAll('details:not([open])').length,
      }));
    const before = await state();
    expect(before.folded).toBeGreaterThan(0);
    await page.evaluate(() => dispatchEvent(new Event('beforeprint')));
    expect(await state()).toEqual({ paper: 'rgb(255, 255, 255)', folded: 0 });
    await page.evaluate(() => dispatchEvent(new Event('afterprint')));
    expect(await state()).toEqual(before);
    await page.close();
  });

  test('a report without a threshold has no verdicts, and a histogram all the same', async () => {
    const { images } = input('washer');
    const findings = findingsOf({ images, calibration: null });
    const shown = await show(await reportPage({ ...input('washer'), findings, scale: null }, charts));
    expect(shown.text).toContain('This model has no limit yet');
    expect(shown).toMatchObject({ ...quiet, canvases: 6, drawn: 6 });
    expect(shown.text).toContain('This detector is not calibrated');
    expect(shown.text).not.toContain('Verdicts');
    expect(shown.text).not.toContain('called anomalous');
  });

  test('hostile strings in every field are text', async () => {
    const shown = await show(await reportPage(input(attack), charts));
    expect(shown).toMatchObject({ ...quiet, canvases: 6, drawn: 6, scripts: 3 });
    expect(shown.text).toContain(attack);
    expect(shown.images.every(([src]) => src === pixel)).toBe(true);
  });

  test('a picture from elsewhere is not loaded', async () => {
    const shown = await show(await reportPage(input('washer', `http://127.0.0.1:${port}/a.png`), charts));
    expect(shown).toMatchObject({ ran: null, requests: [], violations: Array(4).fill('img-src') });
    const escaping = await show(await reportPage(input('washer', '" onerror="window.ran=1'), charts));
    expect(escaping).toMatchObject({ ran: null, requests: [] });
  });

  test('tables of a benchmark and the page of the bench', async () => {
    for (const text of ['screw', attack]) {
      const table = await show(await benchmarkPage([run(text, 0), run(text, 1)], text, text));
      expect(table).toMatchObject({ ...quiet, scripts: 0 });
      expect(table.text).toContain(text);
      const page = await show(await benchPage(...bench(text), charts));
      expect(page).toMatchObject({ ...quiet, canvases: 3, drawn: 3, scripts: 3 });
      expect(page.text).toContain(text);
    }
  });

  test('the policy holds where something slips in', async () => {
    const page = await htmlPage({
      title: 't',
      style: 'p { color: red }',
      body: html`<p>text</p>`,
      scripts: ['window.own = 1;'],
    });
    const pierced = page.replace(
      '<p>',
      `<script>window.ran=1</script><img src="http://127.0.0.1:${port}/x" onerror="window.ran=1"><style>p{color:blue}</style>` +
        `<iframe src="http://127.0.0.1:${port}/f"></iframe><p onclick="window.ran=1" style="color:green">`,
    );
    const shown = await show(pierced);
    expect(shown).toMatchObject({ ran: null, dialogs: 0, requests: [] });
    expect(new Set(shown.violations)).toEqual(
      new Set([
        'script-src-elem',
        'img-src',
        'style-src-elem',
        'frame-src',
        'style-src-attr',
        'script-src-attr',
      ]),
    );
  });
});

describe('texts', () => {
  test('templates escape what is put in, also in lists, and nothing twice', () => {
    const inner = html`<b title="${'"<&'}">${['<', 1, null, false, undefined, html`<i>`]}</b>`;
    expect(html`<p>${inner}</p>`.text).toBe('<p><b title="&#34;&#60;&#38;">&#60;1<i></b></p>');
  });

  test('a script that would end its own element is an error of the program', async () => {
    const page = { title: '', style: '', body: html`` };
    await expect(htmlPage({ ...page, scripts: ['"</script>"'] })).rejects.toThrow(
      'would end its own element',
    );
    await expect(htmlPage({ ...page, style: '</style>' })).rejects.toThrow('would end its own element');
  });

  test('Markdown tables keep their cells, and hold no markup of others', () => {
    const text = benchmarkMarkdown(
      [run('a|b\n[x](javascript:1) <img src=x> ![i](http://x) `c` *d* \\', 0)],
      '<script>\nnote',
    );
    const lines = text.trimEnd().split('\n');
    // Head, rule, row, mean, empty line, rules, note.
    expect(lines).toHaveLength(7);
    expect(lines[2]?.split('|')).toHaveLength(lines[0]?.split('|').length as number);
    expect(lines[2]).toContain(
      'a&#124;b &#91;x&#93;(javascript:1) &#60;img src=x&#62; &#33;&#91;i&#93;(http://x)',
    );
    expect(lines[6]).toBe('&#60;script&#62; note');
  });
});
