/** Rows divided by float reciprocals (kernels/convolution.wesl, `row_quotient`): exact up to the bound. */
import { describe, expect, test } from 'vitest';
import { amd } from '../src/engine/device/amd.ts';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import { conv2d } from '../src/engine/ops/conv2d.ts';
import { reciprocalRows } from '../src/engine/ops/gemm.ts';
import { fuse } from '../src/engine/passes/index.ts';
import { selectProgram } from '../src/engine/plan/lower.ts';
import { dispatchesOf } from '../src/engine/plan/plan.ts';
import { planning } from './support/targets.ts';

const quotient = (n: number, d: number) =>
  Math.trunc(Math.fround(Math.fround(Math.fround(n) + 0.5) * Math.fround(1 / d)));

/** Rows whose quotient is wrong among those next to multiples of a width, below a bound. */
function wrongRows(width: number, from: number, to: number): number[] {
  const wrong: number[] = [];
  for (let multiple = Math.ceil(from / width) * width; multiple <= to; multiple += width)
    for (const row of [multiple - 1, multiple])
      if (row >= 0 && row < to && quotient(row, width) !== Math.floor(row / width)) wrong.push(row);
  return wrong;
}

describe('rows by a float reciprocal', () => {
  const widths = [...Array.from({ length: 66 }, (_, i) => i + 1), 127, 129, 255, 1023, 2049, 65537, 4194303];

  test('every row next to a multiple of a width is exact up to the bound', () => {
    const least = reciprocalRows - 2 ** 18;
    for (const width of widths) expect(wrongRows(width, least, reciprocalRows), `${width}`).toEqual([]);
    for (const width of widths) expect(wrongRows(width, 0, 2 ** 16), `${width}`).toEqual([]);
  });

  test('far above it some are not', () => {
    expect(widths.some((width) => wrongRows(width, 2 ** 24, 2 ** 24 + 2 ** 16).length)).toBe(true);
  });

  test.each([
    [2048, false],
    [2049, true],
  ])('a plan of 2048 x %i rows divides exactly otherwise: %s', (width, expected) => {
    const tape = new Tape(new ParameterSet());
    const x = tape.input('x', [1, 2048, width, 4], 'channels');
    const y = conv2d(tape, x, tape.input('w', [1, 1, 4, 4], 'filter'));
    const context = planning({ profile: amd });
    const plan = dispatchesOf(selectProgram(fuse(tape, [y], context), context).main);
    const kernels = plan.map(({ kernel }) => kernel);
    expect(kernels).toHaveLength(1);
    const [kernel] = kernels;
    if (!kernel || kernel === 'copy') throw new Error('no kernel');
    expect(kernel.module).toBe('conv2d_tile');
    expect(kernel.conditions?.many_rows ?? false).toBe(expected);
  });
});
