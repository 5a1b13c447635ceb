/** The kernels' own division of whole numbers is exact over all of its range, on both software drivers. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { swiftShaderDriver } from '../bench/support/browsers.ts';
import { shippedVariants } from '../scripts/kernels/variants.ts';
import { profiles } from '../src/engine/device/profiles.ts';
import { linkKernel } from '../src/engine/kernels/link.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { backbones } from '../src/model/backbones.ts';
import { bundle } from './support/bundle.ts';
import { useProjectFolder } from './support/command.ts';
import { divisionPairs, wrongDivisions } from './support/division.ts';
import { integerDivisions } from './support/integer_divisions.ts';

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

describe('no GPU divides whole numbers but by constant powers of two', () => {
  test('in any kernel that a profile of a GPU chooses', async () => {
    const options = { teachers: [backbones.resnet18], sizes: [64], subgroupSizes: [0, 32], bench: [] };
    const gpus = profiles.filter(({ processor }) => processor === 'gpu').map(({ name }) => name);
    const chosen = [...shippedVariants(options).values()].filter(({ profiles: by }) =>
      gpus.some((name) => by.has(name)),
    );
    expect(chosen.length).toBeGreaterThan(50);
    const found = new Map<string, string[]>();
    for (const { variant } of chosen)
      for (const text of integerDivisions(await linkKernel(variant)))
        found.set(variant.module, [...(found.get(variant.module) ?? []), text]);
    expect([...found]).toEqual([]);
  });

  test.each([
    ['fn f(n: u32) -> u32 { return n / 3u; }', ['/ 3u']],
    ['struct U { quads: u32 } fn f(n: u32) -> u32 { return n % uniforms.quads; }', ['% uniforms.quads']],
    ['struct U { quads: u32 } fn f(n: u32) -> u32 { return n / uniforms.quads; }', ['/ uniforms.quads']],
    ['fn f(n: u32) -> u32 { let d = n + 1u; return n / d; }', ['/ d']],
    ['fn f(n: i32, d: i32) -> i32 { return n / d; }', ['/ d']],
    ['const A = 4u;\nconst B = 2u * A;\nfn f(n: u32) -> u32 { return n / B + n % (A / 2u); }', []],
    ['fn f(x: f32, y: f32) -> f32 { let z = 2.0 * y; return x / y + x / z + x / (y + 1.0); }', []],
  ])('%s', (text, expected) => {
    expect(integerDivisions(text)).toEqual(expected);
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
