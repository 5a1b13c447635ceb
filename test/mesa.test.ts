/** The width of Mesa's vectors: what is set in the environment, and that results do not depend on it. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { lavapipeDriver } from '../bench/support/browsers.ts';
import { widenMesaVectors } from '../src/platform/node/mesa.ts';
import { bundle } from './support/bundle.ts';

function widened(environment: NodeJS.ProcessEnv, wide: boolean): NodeJS.ProcessEnv {
  const result = { ...environment };
  widenMesaVectors(result, wide);
  return result;
}

describe('the width of vectors', () => {
  test('is widened where the processor can, in a cache of its own', () => {
    expect(widened({ XDG_CACHE_HOME: '/cache' }, true)).toEqual({
      XDG_CACHE_HOME: '/cache',
      LP_NATIVE_VECTOR_WIDTH: '512',
      MESA_SHADER_CACHE_DIR: '/cache/aand-webgpu/mesa-512-bits',
    });
    expect(widened({ MESA_SHADER_CACHE_DIR: '/own' }, true).MESA_SHADER_CACHE_DIR).toBe('/own/mesa-512-bits');
  });

  test('stays as it is where the processor cannot, or the user says so', () => {
    expect(widened({}, false)).toEqual({});
    const own = { LP_NATIVE_VECTOR_WIDTH: '256', MESA_SHADER_CACHE_DIR: '/own' };
    expect(widened(own, true)).toEqual(own);
    expect(widened({ LP_NATIVE_VECTOR_WIDTH: '128', MESA_SHADER_CACHE_DIR: '/own' }, true)).toEqual({
      LP_NATIVE_VECTOR_WIDTH: '128',
      MESA_SHADER_CACHE_DIR: '/own/mesa-128-bits',
    });
  });

  test('goes to child processes once', () => {
    const parent = widened({ XDG_CACHE_HOME: '/cache' }, true);
    expect(widened(parent, true)).toEqual(parent);
  });

  test.skipIf(!lavapipeDriver)(
    'changes no bit of a detector, though all share a cache',
    { timeout: 300_000 },
    async () => {
      const cache = mkdtempSync(join(tmpdir(), 'aand-widths-'));
      // Inside the project, so that the child finds the project's packages.
      const folder = mkdtempSync(join(process.cwd(), 'node_modules', '.aand-test-'));
      try {
        const script = join(folder, 'detector_map.mjs');
        await bundle('test/support/detector_map.ts', script, 'node');
        const run = async (width: string | undefined) => {
          const { LP_NATIVE_VECTOR_WIDTH: _, ...rest } = process.env;
          const env = { ...rest, VK_DRIVER_FILES: lavapipeDriver as string, MESA_SHADER_CACHE_DIR: cache };
          const { stdout } = await promisify(execFile)('node', [script], {
            env: width === undefined ? env : { ...env, LP_NATIVE_VECTOR_WIDTH: width },
          });
          return JSON.parse(stdout) as { subgroupSize: number; bytes: string };
        };
        const [narrow, own, wide] = [await run('128'), await run('256'), await run(undefined)];
        console.log(
          `subgroup sizes ${narrow.subgroupSize}, ${own.subgroupSize} and, by itself, ${wide.subgroupSize}`,
        );
        expect([narrow.subgroupSize, own.subgroupSize]).toEqual([4, 8]);
        expect(own.bytes).toBe(narrow.bytes);
        expect(wide.bytes).toBe(narrow.bytes);
      } finally {
        rmSync(cache, { recursive: true, force: true });
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );
});
