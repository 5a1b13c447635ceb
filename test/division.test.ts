/** The kernels' own division of whole numbers is exact over all of its range, on both software drivers. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { swiftShaderDriver } from '../bench/support/browsers.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { bundle } from './support/bundle.ts';
import { useProjectFolder } from './support/command.ts';
import { divisionPairs, wrongDivisions } from './support/division.ts';

const pairs = divisionPairs();
let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

describe('quotients and remainders', () => {
  const folder = useProjectFolder();

  test('their bounds are met on this machine: n up to 2^32 - 1, d up to 2^31 - 1', async () => {
    expect(pairs.length).toBeGreaterThan(100_000);
    expect(await wrongDivisions(engine, pairs)).toEqual([]);
  });

  test.skipIf(!swiftShaderDriver)('and on SwiftShader', async () => {
    const child = join(folder, 'division_child.mjs');
    await bundle('test/support/division_child.ts', child, 'node');
    const { stdout } = await promisify(execFile)('node', [child], {
      env: { ...process.env, VK_DRIVER_FILES: swiftShaderDriver },
    });
    expect(JSON.parse(stdout)).toEqual({ profile: 'swiftshader', wrong: [] });
  });

  test.each([-2, -1, 0, 1, 2])('a reciprocal that is %i units off changes nothing', (units) => {
    const wrong: string[] = [];
    for (let i = 0; i < pairs.length; i += 2) {
      const [n, d] = [pairs[i] as number, pairs[i + 1] as number];
      const found = divided(n, d, units);
      if (found !== Math.floor(n / d)) wrong.push(`${n} / ${d} = ${found}`);
    }
    expect(wrong).toEqual([]);
  });
});

/** `divide` of kernels/math.wesl with the worst reciprocal that WGSL allows: 2.5 units off. */
function divided(n: number, d: number, units: number): number {
  const inverse = Float32Array.of(0.99999905 / Math.fround(d));
  new Int32Array(inverse.buffer)[0] = (new Int32Array(inverse.buffer)[0] as number) + units;
  const share = (value: number) => Math.floor(Math.fround(Math.fround(value) * (inverse[0] as number)));
  const rest = (quotient: number) => (n - Math.imul(quotient, d)) >>> 0;
  let quotient = share(n);
  quotient += share(rest(quotient));
  return quotient + (rest(quotient) >= d ? 1 : 0);
}
