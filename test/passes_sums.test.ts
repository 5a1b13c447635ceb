/** The passes that let a kernel take in the sums of others. */
import { describe, expect, test } from 'vitest';
import { gradients } from '../src/engine/gradients.ts';
import { printNodes } from '../src/engine/graph/print.ts';
import { type Node, need } from '../src/engine/graph/tape.ts';
import type { Tensor } from '../src/engine/graph/tensor.ts';
import { conv2d } from '../src/engine/ops/conv2d.ts';
import { matchingGate, softmaxGate } from '../src/engine/ops/gate.ts';
import { l2Normalize } from '../src/engine/ops/normalize.ts';
import { mean, weightedSum } from '../src/engine/ops/reduce.ts';
import { fuse } from '../src/engine/passes/index.ts';
import { rowLengths } from '../src/engine/passes/row_lengths.ts';
import { statistics } from '../src/engine/passes/statistics.ts';
import { totals } from '../src/engine/passes/totals.ts';
import { selectProgram } from '../src/engine/plan/lower.ts';
import { printPlan } from '../src/engine/plan/plan.ts';
import { type Differences, device, names, Recorder, target } from './support/passes.ts';

describe('row lengths', () => {
  const gpu = { rowLengths: true };
  const keys = (r: Recorder, side = 1) => r.weights('k', [side, side, 4, 4]);

  test('the gate divides the products of its query by the lengths', () => {
    const r = new Recorder();
    const gate = matchingGate(r.tape, r.input(), keys(r), 0.5);
    expect(printNodes(r.run(rowLengths, [gate], gpu))).toMatchInlineSnapshot(`
      "%4[1x1x4x4], %5[4] = l2_normalize(x=@k[1x1x4x4]) {epsilon=1e-12}
      %6[1x4x4x4] = conv_transpose2d(x=$x[1x4x4x4], w=%4[1x1x4x4]) {stride=1 padding=0 dilation=1 relu=false outputSize=[4,4]}
      %7[1x4x4] = softmax_gate(cosines=%6[1x4x4x4], rows=$x[1x4x4x4]) {temperature=0.5 epsilon=1e-12}"
    `);
  });

  test('stays where something else reads the scaled rows, their lengths or the products', () => {
    for (const [operation, output] of [
      ['l2_normalize', 'y'],
      ['l2_normalize', 'norm'],
      ['conv_transpose2d', 'y'],
    ] as const) {
      const r = new Recorder();
      const gate = matchingGate(r.tape, r.input(), keys(r));
      const node = r.tape.nodes.find(({ definition }) => definition.name === operation) as Node;
      const nodes = r.run(rowLengths, [gate, need(node.outputs, output)], gpu);
      expect(nodes, `${operation} ${output}`).toHaveLength(4);
    }
  });

  test('stays in training, whose gradients read the scaled rows', () => {
    const r = new Recorder();
    const x = r.input();
    const gate = matchingGate(r.tape, x, keys(r));
    gradients(r.tape, new Map([[gate, r.tape.input('seed', gate.shape, 'dense')]]), [x]);
    const before = r.tape.nodes.length;
    expect(r.run(rowLengths, [gate], gpu)).toHaveLength(before);
  });

  test('stays before a product that mixes rows or has a bias', () => {
    for (const product of [
      (r: Recorder, x: Tensor) => conv2d(r.tape, x, keys(r, 3), undefined, { padding: 1 }),
      (r: Recorder, x: Tensor) => conv2d(r.tape, x, r.weights(), r.vector('b')),
    ]) {
      const r = new Recorder();
      const cosines = product(r, l2Normalize(r.tape, r.input()));
      const gate = softmaxGate(r.tape, cosines, 0.2);
      expect(r.run(rowLengths, [gate], gpu)).toHaveLength(3);
    }
  });

  test('applies where the target wants it', () => {
    const r = new Recorder();
    expect(r.applies(rowLengths, gpu)).toBe(true);
    expect(r.applies(rowLengths)).toBe(false);
  });
});

describe('totals', () => {
  const gpu = { totals: true };
  const dense = (r: Recorder, name: string, count = 16) => r.tape.input(name, [count], 'dense');

  test('a weighted sum takes in the means and the sums that it alone reads', () => {
    const r = new Recorder();
    const means = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => mean(r.tape, dense(r, name)));
    // Recorded as two sums: one kernel adds four scalars.
    const loss = weightedSum(r.tape, means, [1, 2, 3, 4, 5, 6]);
    const [sum, ...others] = r.run(totals, [loss], gpu);
    expect(others).toEqual([]);
    expect(sum?.outputs.y).toBe(loss);
    expect(printNodes([sum as Node]).replace(/ {.*/, '')).toMatchInlineSnapshot(
      `"%13[1] = weighted_totals(x0=$a[16], x1=$b[16], x2=$c[16], x3=$d[16], x4=$e[16], x5=$f[16])"`,
    );
    expect((sum as Node).attributes.weights).toEqual([1, 2, 3, 4, 5, 6].map((weight) => weight * (1 / 16)));
  });

  test('a mean that something else reads stays, and so do more tensors than a kernel may bind', () => {
    const r = new Recorder();
    const read = mean(r.tape, dense(r, 'read'));
    const loss = weightedSum(r.tape, [read, mean(r.tape, dense(r, 'a'))], [1, 1]);
    expect(names(r.run(totals, [loss, read], gpu))).toEqual(['mean', 'weighted_totals']);

    const many = new Recorder();
    const means = Array.from({ length: 9 }, (_, i) => mean(many.tape, dense(many, `m${i}`)));
    const sums = names(
      many.run(
        totals,
        [
          weightedSum(
            many.tape,
            means,
            means.map(() => 1),
          ),
        ],
        gpu,
      ),
    );
    expect(sums).toEqual(['weighted_totals', 'weighted_totals']);
  });

  test('a mean of many values stays: it needs many workgroups', () => {
    const r = new Recorder();
    const loss = weightedSum(
      r.tape,
      [mean(r.tape, dense(r, 'a', 1025)), mean(r.tape, dense(r, 'b'))],
      [1, 1],
    );
    expect(names(r.run(totals, [loss], gpu))).toEqual(['mean', 'weighted_totals']);
  });

  test('the same mean twice is taken in twice', () => {
    const r = new Recorder();
    const twice = mean(r.tape, dense(r, 'a'));
    const [sum, ...others] = r.run(totals, [weightedSum(r.tape, [twice, twice], [1, 3])], gpu);
    expect(others).toEqual([]);
    expect((sum as Node).attributes.weights).toEqual([1 / 16, 3 / 16]);
  });

  test('applies where the target wants it', () => {
    const r = new Recorder();
    expect(r.applies(totals, gpu)).toBe(true);
    expect(r.applies(totals)).toBe(false);
  });
});

describe('statistics', () => {
  const gpu = { statistics: true };
  const block = (bias = false, training = true) => {
    const r = new Recorder();
    const w = r.weights('w', [3, 3, 4, 4]);
    const convolved = conv2d(r.tape, r.input(), w, bias ? r.vector('b') : undefined, { padding: 1 });
    return { r, convolved, y: r.norm(convolved, { training }) };
  };

  test('the convolution before leaves the moments of its tiles', () => {
    const { r, y } = block();
    expect(printNodes(r.run(statistics, [y], gpu))).toMatchInlineSnapshot(`
      "%2[1x4x4x4], %9[1x2x4] = conv2d(x=$x[1x4x4x4], w=@w[3x3x4x4]) {stride=1 padding=1 dilation=1 relu=false}
      %7[1x4x4x4], %8[2x4] = batch_norm(x=%2[1x4x4x4], weight=@weight[4], bias=@bias[4], running_mean=@mean[4], running_var=@var[4], statistics=%9[1x2x4]) {training=true relu=false epsilon=0.00001 momentum=0.1 chunk=32}"
    `);
    const plan = printPlan(selectProgram(fuse(r.tape, [y], device(gpu)), target).main);
    expect(plan.replace(/,SUBGROUP.*?>| <.*?>/g, '').split('\n')).toEqual([
      'conv2d: conv2d_lane.main,statistics,subgroups',
      'batch_norm: batch_norm.merge',
      'batch_norm: batch_norm.apply',
    ]);
  });

  test('of one convolution they serve one norm', () => {
    const { r, convolved, y } = block();
    const z = r.norm(convolved, { training: true });
    const nodes = r.run(statistics, [y, z], gpu);
    expect(nodes.map(({ inputs }) => inputs.statistics !== undefined)).toEqual([false, true, false]);
  });

  test('applies where the target wants it and operands are in buffers', () => {
    const { r } = block();
    expect(r.applies(statistics, gpu)).toBe(true);
    expect(r.applies(statistics)).toBe(false);
    expect(r.applies(statistics, { ...gpu, textures: true })).toBe(false);
  });

  test.each<[string, { bias?: boolean; training?: boolean }, Differences]>([
    ['in evaluation', { training: false }, {}],
    ['after a bias, which the sums would leave out', { bias: true }, {}],
    ['after a sum in ranges, none of which is the value', {}, { splits: 3 }],
    ['of a batch that runs image by image', {}, { maxStorageBufferBindingSize: 512 }],
    ['after tiles of so few rows that a merge would read too many', {}, { subgroupSize: 0 }],
  ])('none for a norm %s', (_, { bias, training }, own) => {
    const { r, y } = block(bias, training);
    expect(printNodes(r.run(statistics, [y], { ...gpu, ...own }))).toBe(printNodes(r.tape.nodes));
  });
});
