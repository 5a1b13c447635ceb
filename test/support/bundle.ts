/** Bundles a file of the tests for a child process or a page. */
import { build } from 'esbuild';

export async function bundle(entry: string, outfile: string, platform: 'node' | 'browser'): Promise<void> {
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform,
    format: 'esm',
    target: platform === 'node' ? 'node20' : 'es2022',
    conditions: platform === 'browser' ? ['browser'] : [],
    loader: { '.wesl': 'text' },
    external: ['webgpu', 'sharp', 'commander', 'cli-progress', 'bullmq', 'ioredis'],
    logLevel: 'error',
  });
}
