/** A golden set in a browser, and in Node on the same driver with the same kernels: bit for bit. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Browser } from 'puppeteer-core';
import { afterAll, beforeAll, expect } from 'vitest';
import { serve } from '../../bench/support/browsers.ts';
import { beyondTolerance, type Comparison } from '../../bench/support/golden.ts';
import { bundle } from './bundle.ts';
import { type CheckedDevice, type CheckedSet, type CheckResult, decodeResults } from './checks.ts';
import { useProjectFolder } from './command.ts';
import { goldenDir } from './shared.ts';

export interface GoldenBrowsers {
  /**
   * Runs the set in a browser and in Node: both must have the same bits, and be within the tolerances.
   *
   * @param driver the driver of Vulkan that the browser has, for Node
   * @param device what the browser's adapter offers, and whose kernels are taken
   */
  compare(launch: () => Promise<Browser>, driver: string, device: CheckedDevice): Promise<void>;
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

/** Bundles the checks and serves them before the tests of a file. */
export function useGoldenBrowsers(
  set: CheckedSet,
  comparisons: (results: Record<string, Float32Array>) => Comparison[],
): GoldenBrowsers {
  const folder = useProjectFolder();
  const file = join(goldenDir, `${set}.safetensors`);
  const [script, child] = [join(folder, 'script.js'), join(folder, 'node_checks.mjs')];
  let server: Server;
  let url: string;
  beforeAll(async () => {
    await bundle('test/support/browser_checks.ts', script, 'browser');
    await bundle('test/support/node_checks.ts', child, 'node');
    ({ server, url } = await serve({ '/script.js': script, [`/${set}.safetensors`]: file }));
  });
  afterAll(() => {
    server?.close();
  });

  async function inBrowser(launch: () => Promise<Browser>, device: CheckedDevice): Promise<CheckResult> {
    const browser = await launch();
    try {
      const page = await browser.newPage();
      page.on('pageerror', (error) => console.error(`page: ${(error as Error).message}`));
      await page.goto(url);
      await page.waitForFunction('typeof runInPage === "function"');
      return decodeResults((await page.evaluate(`runInPage('${set}', ${JSON.stringify(device)})`)) as string);
    } finally {
      await browser.close();
    }
  }

  async function inNode(driver: string, device: CheckedDevice): Promise<CheckResult> {
    const output = join(folder, 'node.json');
    await promisify(execFile)('node', [child, set, file, output, JSON.stringify(device)], {
      env: { ...process.env, VK_DRIVER_FILES: driver },
    });
    return decodeResults(readFileSync(output, 'utf8'));
  }

  return {
    async compare(launch, driver, device) {
      const node = await inNode(driver, device);
      const browser = await inBrowser(launch, device);
      expect(browser.subgroupSize).toBe(node.subgroupSize);
      const compared = comparisons(browser.results);
      expect(compared.length).toBeGreaterThan(10);
      expect(beyondTolerance(compared)).toEqual([]);
      const differing = Object.entries(node.results)
        .map(([tensor, values]) => ({
          tensor,
          bits: differingBits(values, browser.results[tensor] as Float32Array),
        }))
        .filter(({ bits }) => bits > 0);
      expect(differing).toEqual([]);
    },
  };
}
