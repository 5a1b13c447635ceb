/** Cases of the bench: those that filters name, and those of own shapes; and what bounds them. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { benchCases } from '../src/bench/cases.ts';
import { markNotes } from '../src/bench/notes.ts';
import { ownCases, shapeExamples } from '../src/bench/own_shapes.ts';
import { copyRate, roofOf } from '../src/bench/roofline.ts';
import { chooseCases } from '../src/bench/select.ts';
import { commitOf } from '../src/cli/provenance.ts';
import { Tape } from '../src/engine/graph/tape.ts';

const names = (selection: Parameters<typeof chooseCases>[0]) =>
  chooseCases(selection).map(({ name }) => name);

/** Shapes of what a case reads and gives. */
function shapesOf(text: string): { inputs: (readonly number[])[]; outputs: (readonly number[])[] } {
  const [benchCase] = ownCases(text);
  if (!benchCase) throw new Error(`${text} gives no case`);
  const tape = new Tape(benchCase.parameters());
  const outputs = Object.values(benchCase.record(tape));
  return {
    inputs: tape.inputs.map(({ shape }) => shape),
    outputs: outputs.map(({ shape }) => shape),
  };
}

describe('filters', () => {
  test('each case that one of several texts or expressions names, once, in the order of the list', () => {
    expect(names({ filters: ['conv3x3-512', '/^aand-resnet18\\/infer/', 'conv3x3-512/forward'] })).toEqual([
      'conv3x3-512/forward/1x512x8x8',
      'conv3x3-512/data-gradient/1x512x8x8',
      'conv3x3-512/weight-gradient/1x512x8x8',
      'conv3x3-512/forward-winograd/1x512x8x8',
      'aand-resnet18/infer/1x3x256x256',
    ]);
    expect(names({ filters: ['/CONV7X7.*FORWARD/i'] })).toEqual(['conv7x7-stride2-64/forward/1x3x256x256']);
    // A letter of a global expression is not lost: `test` would skip every other name.
    expect(names({ filters: ['/conv7x7/g'] })).toHaveLength(3);
  });

  test('without one: all but the long ones; quick and 16 bits are shorter lists', () => {
    const all = benchCases();
    expect(names({})).toEqual(all.filter(({ long }) => !long).map(({ name }) => name));
    expect(names({ filters: ['wide_resnet50_2/stage1-step/64x'] })).toHaveLength(1);
    const quick = names({ quick: true });
    expect(quick.length).toBeLessThan(15);
    expect(quick).toContain('aand-resnet18/infer/1x3x256x256');
    expect(names({ half: true }).every((name) => name.endsWith('/f16'))).toBe(true);
    // The command of a record.
    expect(names({ half: true, filters: ['aand-resnet18/infer'] })).toEqual([
      'aand-resnet18/infer/1x3x256x256/f16',
    ]);
  });

  test('names are told apart, in every list', () => {
    for (const half of [false, true]) {
      const list = benchCases(half).map(({ name }) => name);
      expect(new Set(list).size).toBe(list.length);
    }
  });

  test('what names nothing is refused with what there is, and so is no expression', () => {
    expect(() => names({ filters: ['no such', 'nor this'] })).toThrow(
      /^no case has 'no such' or 'nor this' in its name; there are:\n {2}conv7x7/,
    );
    expect(() => names({ filters: ['/conv[/'] })).toThrow('/conv[/: Invalid regular expression');
    expect(() => names({ filters: ['/conv/k'] })).toThrow('/conv/k: Invalid flags');
  });

  test('own shapes stand alone, and beside what a filter names', () => {
    const shape = 'matmul:M=8,N=4,K=4';
    expect(names({ shapes: [shape, shape] })).toEqual(['matmul/M=8,N=4,K=4']);
    expect(names({ shapes: [shape], filters: ['conv7x7-stride2-64/forward'] })).toEqual([
      'matmul/M=8,N=4,K=4',
      'conv7x7-stride2-64/forward/1x3x256x256',
    ]);
  });
});

describe('own shapes', () => {
  test('a convolution of NCHW letters has these shapes, and the rest by default', () => {
    expect(shapesOf('conv2d:C=8,H=10,K=12')).toEqual({
      inputs: [[1, 10, 10, 8]],
      outputs: [[1, 10, 10, 12]],
    });
    expect(shapesOf('conv2d: N=2, C=8, H=10, W=6, K=12, R=5, S=3, stride=2, pad=1')).toEqual({
      inputs: [[2, 10, 6, 8]],
      outputs: [[2, 4, 3, 12]],
    });
    expect(shapesOf('conv2d:C=8,H=10,K=12,direction=weight-gradient').outputs).toEqual([[3, 3, 8, 12]]);
    expect(shapesOf('conv_transpose2d:C=8,H=5,W=4,K=12').outputs).toEqual([[1, 10, 8, 12]]);
    // Rows of a product are pixels.
    expect(shapesOf('matmul:M=12,N=5,K=7')).toEqual({ inputs: [[1, 3, 4, 7]], outputs: [[1, 3, 4, 5]] });
  });

  test('networks take a backbone, a batch and a size', () => {
    expect(shapesOf('detector:backbone=resnet18_half,N=3,size=64').outputs[0]).toEqual([3, 64, 64]);
    const called = (text: string) => ownCases(text).map(({ name }) => name);
    expect(called('teacher:backbone=resnet50,N=2,size=96')).toEqual(['resnet50-teacher/forward/2x3x96x96']);
    expect(called('stage2-step:N=4,size=64')).toEqual(['aand-resnet18/stage2-step/4x3x64x64']);
    expect(called('classifier-step:N=6')).toEqual(['resnet18/train-step/6x3x128x128']);
    // The same name is the same case as in the list.
    expect(benchCases().map(({ name }) => name)).toContain(called('detector:N=1,size=256')[0]);
  });

  test('names say every size; each direction of `all` has its own', () => {
    expect(ownCases('conv2d:C=8,H=10,K=12,direction=all').map(({ name }) => name)).toEqual(
      ['forward', 'data-gradient', 'weight-gradient'].map(
        (direction) => `conv2d/N=1,C=8,H=10,W=10,K=12,R=3,S=3,stride=1,pad=1,direction=${direction}`,
      ),
    );
  });

  test('the type is that of the text, else the one of the command', () => {
    const half = (text: string, type?: 'f16') => ownCases(text, type).map((each) => each.half ?? false);
    expect(half('conv2d:C=8,H=8,K=8,type=f16')).toEqual([true]);
    expect(half('conv2d:C=8,H=8,K=8', 'f16')).toEqual([true]);
    expect(half('conv2d:C=8,H=8,K=8,type=f32', 'f16')).toEqual([false]);
    // Nothing is trained in 16 bits.
    expect(half('stage1-step:N=2,size=32', 'f16')).toEqual([false]);
  });

  test('every example of the help is a case', () => {
    for (const text of shapeExamples) expect(ownCases(text), text).toHaveLength(1);
    expect(shapeExamples).toHaveLength(9);
  });

  test.each([
    ['conv3d:C=1', 'it begins with one of conv2d, matmul, '],
    ['', 'it begins with one of conv2d'],
    ['toString:a=1', 'it begins with one of conv2d'],
    ['conv2d', 'C is missing, as in conv2d:N=1,C=64,'],
    ['conv2d:C=64,H=56', 'K is missing'],
    ['conv2d:C=64,H=56,K=8,Q=1', 'conv2d has no Q; it has N, C, H, W, K, R, S, stride, pad, direction, type'],
    ['conv2d:C=64,C=32,H=8,K=8', 'C is there twice'],
    ['conv2d:C=64,H,K=8', "'H' is no KEY=VALUE"],
    ['conv2d:C=64,,H=8,K=8', "'' is no KEY=VALUE"],
    ['conv2d:C=0,H=8,K=8', "C is a whole number from 1 to 16777216, not '0'"],
    ['conv2d:C=1.5,H=8,K=8', "not '1.5'"],
    ['conv2d:C=64,H=8,K=8,pad=-1', "pad is a whole number from 0 to 16777216, not '-1'"],
    ['conv2d:C=64,H=2,K=8,R=7,pad=0', 'the kernel of 7x7 is larger than the padded image'],
    ['conv2d:C=4096,H=4096,K=8', 'the input [1, 4096, 4096, 4096] has 68719476736 values, more than'],
    ['conv2d:C=8,H=8,K=8,direction=back', 'direction is one of forward, data-gradient, weight-gradient, all'],
    ['conv2d:C=8,H=8,K=8,type=f16,direction=all', 'type=f16 has no gradients'],
    ['conv_transpose2d:C=8,H=8,K=8,type=f16', "type is f32, not 'f16'"],
    ['detector:size=100', 'not a multiple of 32'],
    ['detector:backbone=vgg', 'backbone is one of resnet18, '],
  ])('%s is refused: %s', (text, message) => {
    expect(() => ownCases(text)).toThrow(`shape '${text}': `);
    expect(() => ownCases(text)).toThrow(message);
  });
});

describe('roofline', () => {
  const copies = [
    { bytes: 1000, gbytesPerSecond: 8 },
    { bytes: 4000, gbytesPerSecond: 20 },
    { bytes: 64000, gbytesPerSecond: 2 },
  ];
  const peaks = { gflops: 100, gbytesPerSecond: 2, copies };

  test('a copy rate is that of the size below, or of any larger one that is faster', () => {
    const rates = [10, 1000, 3999, 4000, 63999, 64000, 1e9].map((bytes) => copyRate(peaks, bytes));
    expect(rates).toEqual([20, 20, 20, 20, 20, 2, 2]);
    expect(copyRate({ gflops: 100, gbytesPerSecond: 2 }, 1000)).toBe(2);
  });

  test('kernels take their own bound one after the other', () => {
    // 1e6 FLOP at 100 GFLOP/s: 0.01 ms. 64,000 bytes at 2 GB/s: 0.032 ms.
    const roof = roofOf(
      [
        { flops: 1e6, bytes: 1000 },
        { flops: 0, bytes: 64000 },
      ],
      peaks,
    );
    expect(roof.milliseconds).toBeCloseTo(0.042, 10);
    expect(roof.bound).toBe('memory');
    expect(roofOf([{ flops: 1e7, bytes: 64000 }], peaks)).toEqual({ milliseconds: 0.1, bound: 'arithmetic' });
  });

  test('marks are explained where there are some', () => {
    const steady = { share_of_roofline: 0.9, unsteady: false } as Parameters<typeof markNotes>[0][number];
    expect(markNotes([steady], 0.1)).toEqual([]);
    const notes = markNotes(
      [steady, { ...steady, unsteady: true }, { ...steady, share_of_roofline: 1.2 }],
      0.1,
    );
    expect(notes).toHaveLength(2);
    expect(notes[0]).toMatch(/^~ 1 of 3 cases stayed unsteady: the spread was above 10 %/);
    expect(notes[1]).toMatch(/^\* 1 of 3 cases beat the roofline: an earlier version took large copies/);
    const [now] = markNotes([{ ...steady, share_of_roofline: 1.2, bound: 'memory' }], 0.1);
    expect(now).toMatch(/copies of their size, measured before them/);
  });
});

test("a package in another project's checkout tells its version, not that project's commit", () => {
  const outer = mkdtempSync(join(tmpdir(), 'aand-commit-'));
  try {
    const inner = join(outer, 'node_modules/aand-webgpu');
    mkdirSync(inner, { recursive: true });
    for (const folder of [outer, inner])
      writeFileSync(join(folder, 'package.json'), JSON.stringify({ version: '1.2.3' }));
    expect(commitOf(inner)).toBe('version 1.2.3');
    const git = (...args: string[]) =>
      execFileSync('git', ['-C', outer, '-c', 'user.name=a', '-c', 'user.email=a@b', ...args], {
        stdio: 'pipe',
      });
    git('init', '-q');
    git('add', 'package.json');
    git('commit', '-q', '-m', 'first');
    expect(commitOf(inner)).toBe('version 1.2.3');
    expect(commitOf(outer)).toMatch(/^[0-9a-f]{7}$/);
    writeFileSync(join(outer, 'package.json'), JSON.stringify({ version: '1.2.4' }));
    expect(commitOf(outer)).toMatch(/^[0-9a-f]{7}\+$/);
  } finally {
    rmSync(outer, { recursive: true });
  }
});
