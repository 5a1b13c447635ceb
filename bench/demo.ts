/** The demo as a user runs it: how long it takes, and what it finds. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packagedFile } from '../src/cli/package.ts';
import { demoProducts } from '../src/synthetic/demo_products.ts';

/** One product of the demo. */
export interface DemoProduct {
  readonly name: string;
  readonly image_AUROC: number;
  readonly pixel_AUROC: number;
  readonly AUPRO: number;
}

export interface DemoRun {
  /** Wall time of the whole command. */
  readonly seconds: number;
  readonly products: readonly DemoProduct[];
}

/** Runs `aand demo` in a process of its own, in a folder that is removed afterwards. */
export function measureDemo(): DemoRun {
  const folder = mkdtempSync(join(tmpdir(), 'aand-demo-'));
  try {
    const out = join(folder, 'results');
    const started = performance.now();
    execFileSync(process.execPath, [packagedFile('dist/cli.js'), 'demo', '--out', out], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const seconds = (performance.now() - started) / 1000;
    const products = demoProducts.map(({ name }) => {
      const metrics = JSON.parse(readFileSync(join(out, name, 'metrics.json'), 'utf8')) as DemoProduct;
      const { image_AUROC, pixel_AUROC, AUPRO } = metrics;
      return { name, image_AUROC, pixel_AUROC, AUPRO };
    });
    return { seconds, products };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
