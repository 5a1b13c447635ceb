/** A detector's map at every width of Mesa's vectors. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { lavapipeDriver } from '../../bench/support/browsers.ts';
import { bundle } from '../support/bundle.ts';
import { useFolder, useProjectFolder } from '../support/command.ts';

describe.skipIf(!lavapipeDriver)('the width of vectors', () => {
  const cache = useFolder();
  const script = join(useProjectFolder(), 'detector_map.mjs');
  beforeAll(() => bundle('test/support/detector_map.ts', script, 'node'));

  async function run(width?: string): Promise<{ subgroupSize: number; bytes: string }> {
    const { LP_NATIVE_VECTOR_WIDTH: _, ...rest } = process.env;
    const env = { ...rest, VK_DRIVER_FILES: lavapipeDriver as string, MESA_SHADER_CACHE_DIR: cache };
    const { stdout } = await promisify(execFile)('node', [script], {
      env: width === undefined ? env : { ...env, LP_NATIVE_VECTOR_WIDTH: width },
    });
    return JSON.parse(stdout);
  }

  test('changes no bit of a detector, though all share a cache', async () => {
    const [narrow, own, wide] = [await run('128'), await run('256'), await run()];
    expect([narrow.subgroupSize, own.subgroupSize]).toEqual([4, 8]);
    expect(own.bytes).toBe(narrow.bytes);
    expect(wide.bytes).toBe(narrow.bytes);
  });
});
