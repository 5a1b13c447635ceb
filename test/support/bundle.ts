/** Bundles a file of the tests for a child process or a page. */
import { readFileSync } from 'node:fs';
import { build } from 'esbuild';

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Record<string, Record<string, string>>;
// Packages stay outside, because the bundles lie where Node finds them. The linker of kernels comes inside,
// as in the built package.
const external = Object.keys({
  ...manifest.dependencies,
  ...manifest.devDependencies,
  ...manifest.peerDependencies,
  ...manifest.optionalDependencies,
}).filter((name) => name !== 'wesl');

export async function bundle(entry: string, outfile: string, platform: 'node' | 'browser'): Promise<void> {
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform,
    format: 'esm',
    target: platform === 'node' ? 'node20' : 'es2022',
    conditions: platform === 'browser' ? ['browser'] : [],
    external: platform === 'node' ? external : [],
    logLevel: 'error',
  });
}
