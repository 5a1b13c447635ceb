/** An exported detector on ONNX Runtime's WebGPU provider, in Chromium. */
import { mkdirSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { join } from 'node:path';
import type { Browser, Page } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chromiumPath, launchChromium, serve } from '../../bench/support/browsers.ts';
import { Detector } from '../../src/detector/detector.ts';
import { writeDetectorTensors } from '../../src/detector/file.ts';
import { Engine } from '../../src/engine/runtime/engine.ts';
import { exportDetector } from '../../src/export/onnx_detector.ts';
import type { Image } from '../../src/image/image.ts';
import { bundle } from '../support/bundle.ts';
import { useProjectFolder } from '../support/command.ts';
import { randomDetector, settings } from '../support/model_files.ts';
import { picture, pixelDifference, preprocessing } from '../support/onnx_resize.ts';

describe.skipIf(!chromiumPath)("ONNX Runtime's WebGPU provider", () => {
  const folder = useProjectFolder();
  const models = join(folder, 'models');
  let model: Uint8Array;
  let server: Server;
  let browser: Browser;
  let page: Page;
  beforeAll(async () => {
    mkdirSync(models);
    model = await writeDetectorTensors(randomDetector(), settings);
    await using engine = await Engine.open();
    const onnx = await exportDetector(engine, model, 'model', { batch: 1, version: '1' });
    writeFileSync(join(models, 'detector.onnx'), onnx);
    writeFileSync(join(models, 'preprocessing.onnx'), preprocessing('products'));
    const script = join(folder, 'script.js');
    await bundle('test/support/onnx_page.ts', script, 'browser');
    const folders = { '/models/': models, '/ort/': 'node_modules/onnxruntime-web/dist' };
    const { url, ...rest } = await serve({ '/script.js': script }, folders);
    server = rest.server;
    browser = await launchChromium();
    page = await browser.newPage();
    await page.goto(url);
    await page.waitForFunction('typeof runModel === "function"');
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  async function runModel(file: string, { width, height, data }: Image): Promise<Record<string, number[]>> {
    const text = Buffer.from(data).toString('base64');
    const call = `runModel('/models/${file}.onnx', ${width}, ${height}, '${text}')`;
    return (await page.evaluate(call)) as Record<string, number[]>;
  }

  test('resizes as Pillow does, but for a step in few pixels', async () => {
    const image = picture(120, 75);
    const { images } = await runModel('preprocessing', image);
    const { count, most } = pixelDifference(image, images as number[]);
    expect(most).toBeLessThanOrEqual(1);
    expect(count).toBeLessThan(10);
  });

  test('gives the score and the map of the detector that was exported', async () => {
    const image = picture(120, 75);
    await using engine = await Engine.open();
    await using detector = await Detector.open(engine, model, 'model');
    const [ours] = await detector.predict([image]);
    const { raw_score, anomaly_map } = await runModel('detector', image);
    expect(raw_score?.[0]).toBeCloseTo(ours?.score as number, 3);
    expect(anomaly_map).toHaveLength(ours?.map.length as number);
    const difference = Math.max(...(anomaly_map ?? []).map((v, i) => Math.abs(v - (ours?.map[i] as number))));
    expect(difference).toBeLessThan(1e-3 * Math.max(...(ours?.map ?? [])));
  });
});
