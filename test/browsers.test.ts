/**
 * The golden operations and a whole detector in real browsers, and the same in Node on the same driver with
 * the same kernels: bit for bit.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Browser } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  chromiumPath,
  firefoxPath,
  launchChromium,
  launchFirefox,
  lavapipeDriver,
  serve,
  swiftShaderDriver,
} from '../bench/support/browsers.ts';
import { bundle } from './support/bundle.ts';
import { type CheckResult, decodeResults } from './support/checks.ts';
import type { Comparison } from './support/golden.ts';
import { compareGoldenModels } from './support/golden_models.ts';
import { compareGoldenOps } from './support/golden_ops.ts';
import { goldenDir, goldenSet } from './support/shared.ts';

const ops = goldenSet('ops');
const models = goldenSet('models');
const files = ['ops', 'models'].map((name) => join(goldenDir, `${name}.safetensors`)) as [string, string];

let folder: string;
let server: Server;
let url: string;

beforeAll(async () => {
  // Inside the project, so that the child finds the project's packages.
  folder = mkdtempSync(join(process.cwd(), 'node_modules', '.aand-test-'));
  await bundle('test/support/browser_checks.ts', join(folder, 'script.js'), 'browser');
  await bundle('test/support/node_checks.ts', join(folder, 'node_checks.mjs'), 'node');
  ({ server, url } = await serve({
    '/script.js': join(folder, 'script.js'),
    '/ops.safetensors': files[0],
    '/models.safetensors': files[1],
  }));
});

afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

async function inBrowser(launch: () => Promise<Browser>, minimal: boolean): Promise<CheckResult> {
  const browser = await launch();
  try {
    const page = await browser.newPage();
    page.on('pageerror', (error) => console.error(`page: ${(error as Error).message}`));
    await page.goto(url);
    await page.waitForFunction('typeof runInPage === "function"');
    return decodeResults((await page.evaluate(`runInPage(${minimal})`)) as string);
  } finally {
    await browser.close();
  }
}

async function inNode(driver: string, minimal: boolean): Promise<CheckResult> {
  const output = join(folder, `node-${minimal}.json`);
  await promisify(execFile)('node', [join(folder, 'node_checks.mjs'), ...files, String(minimal), output], {
    env: { ...process.env, VK_DRIVER_FILES: driver },
  });
  return decodeResults(readFileSync(output, 'utf8'));
}

function differingBits(a: Float32Array, b: Float32Array): number {
  const x = new Uint32Array(a.buffer, a.byteOffset, a.length);
  const y = new Uint32Array(b.buffer, b.byteOffset, b.length);
  let bits = 0;
  for (let i = 0; i < x.length; i++)
    for (
      let difference = ((x[i] as number) ^ (y[i] as number)) >>> 0;
      difference;
      difference &= difference - 1
    )
      bits++;
  return bits;
}

function detectorComparisons(results: Record<string, Float32Array>): Comparison[] {
  return compareGoldenModels(models, results).filter(
    ({ name }) => name.startsWith('resnet18/') && !name.includes('/stage'),
  );
}

async function compareWithNode(name: string, browser: CheckResult, node: CheckResult): Promise<void> {
  expect(browser.subgroupSize).toBe(node.subgroupSize);
  const comparisons = [...compareGoldenOps(ops, browser.results), ...detectorComparisons(browser.results)];
  expect(comparisons.filter(({ maxError, allowed }) => !(maxError <= allowed))).toEqual([]);
  const differing = Object.entries(node.results)
    .map(([tensor, values]) => ({
      tensor,
      bits: differingBits(values, browser.results[tensor] as Float32Array),
    }))
    .filter(({ bits }) => bits > 0);
  const total = Object.keys(node.results).length;
  const bits = differing.reduce((sum, entry) => sum + entry.bits, 0);
  console.log(
    `${name}: ${comparisons.length} of ${comparisons.length} golden tensors; against Node on the same driver ` +
      `${total - differing.length} of ${total} tensors equal, ${bits} bits differ (subgroup size ${browser.subgroupSize})`,
  );
  expect(differing).toEqual([]);
}

describe('golden operations and a whole detector', () => {
  test.skipIf(!chromiumPath || !swiftShaderDriver)(
    'Chromium on SwiftShader equals Node on SwiftShader',
    { timeout: 600_000 },
    async () => {
      const node = await inNode(swiftShaderDriver as string, false);
      await compareWithNode('Chromium', await inBrowser(launchChromium, false), node);
    },
  );

  test.skipIf(!firefoxPath || !lavapipeDriver)(
    'Firefox on lavapipe equals Node on lavapipe',
    { timeout: 600_000 },
    async () => {
      const node = await inNode(lavapipeDriver as string, true);
      await compareWithNode('Firefox', await inBrowser(launchFirefox, true), node);
    },
  );
});
