/** Linked kernels that are kept for later processes (Node). */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { keepKernel, keptKernel } from '../src/engine/kernels/cache.ts';
import { linkKernel } from '../src/engine/kernels/link.ts';

const variant = {
  module: 'conv2d_lane',
  entry: 'main',
  conditions: { bias: true, source_texture: true, weights_texture: true },
  constants: { SUBGROUP: 1, SUBGROUPS: 64, ROWS: 8, COLUMNS: 1 },
} as const;
let cache: string;
const kernels = () => join(cache, 'aand-webgpu/kernels');

beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'aand-cache-'));
  vi.stubEnv('XDG_CACHE_HOME', cache);
});

afterEach(() => {
  vi.unstubAllEnvs();
  vi.unstubAllGlobals();
  vi.resetModules();
  rmSync(cache, { recursive: true, force: true });
});

test('a kept kernel is what was linked, for the build that kept it', async () => {
  const code = await linkKernel(variant);
  await keepKernel('one', code, 'build 1');
  expect(keptKernel('one', 'build 1')).toBe(code);
  expect(keptKernel('one', 'build 2')).toBeUndefined();
  expect(keptKernel('another', 'build 1')).toBeUndefined();
  await keepKernel('one', 'newer', 'build 2');
  expect(keptKernel('one', 'build 2')).toBe('newer');
});

test('a damaged entry is left unused, and a cache that cannot be written changes nothing', async () => {
  const code = await linkKernel(variant);
  await keepKernel('one', code, 'build 1');
  writeFileSync(join(kernels(), 'one.json'), '{"build":"build 1","code');
  expect(keptKernel('one', 'build 1')).toBeUndefined();
  const file = join(cache, 'file');
  writeFileSync(file, '');
  vi.stubEnv('XDG_CACHE_HOME', file);
  await expect(keepKernel('one', code, 'build 1')).resolves.toBeUndefined();
  expect(keptKernel('one', 'build 1')).toBeUndefined();
});

test('a built package links a kernel once for all its processes; sources that run as they are keep nothing', async () => {
  const linked = await linkKernel(variant);
  expect(() => readdirSync(kernels())).toThrow();

  const inNewProcess = async () => {
    vi.resetModules();
    vi.stubGlobal('KERNELS', 'this build');
    return (await import('../src/engine/kernels/link.ts')).linkKernel(variant);
  };
  expect(await inNewProcess()).toBe(linked);
  await vi.waitFor(() => expect(readdirSync(kernels())).toHaveLength(1));
  const [file] = readdirSync(kernels()).map((name) => join(kernels(), name)) as [string];
  // A mark that only the kept text has.
  const text = readFileSync(file, 'utf8').replace('@compute', '// kept\\n@compute');
  writeFileSync(file, text);
  expect(await inNewProcess()).toContain('// kept');
});
