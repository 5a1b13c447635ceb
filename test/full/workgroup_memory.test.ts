/** NaN in the workgroup memory of kernels for GPUs changes no bit, and every such kernel is tried. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readKernels } from '../../scripts/kernels/generate.ts';
import { RandomStream } from '../../src/base/random.ts';
import { amd } from '../../src/engine/device/amd.ts';
import { convolutionTile } from '../../src/engine/device/convolution_tiles.ts';
import { intel } from '../../src/engine/device/intel.ts';
import { gradients } from '../../src/engine/gradients.ts';
import { ParameterSet } from '../../src/engine/graph/parameter_set.ts';
import { Tape } from '../../src/engine/graph/tape.ts';
import type { Tensor } from '../../src/engine/graph/tensor.ts';
import { globalAveragePool } from '../../src/engine/ops/average_pool.ts';
import { crossEntropy } from '../../src/engine/ops/cross_entropy.ts';
import { gatedResidual } from '../../src/engine/ops/gate.ts';
import { bankScore, nearestRows } from '../../src/engine/ops/nearest.ts';
import { mean } from '../../src/engine/ops/reduce.ts';
import type { Engine } from '../../src/engine/runtime/engine.ts';
import { Program } from '../../src/engine/runtime/program.ts';
import { ParameterStore } from '../../src/engine/runtime/store.ts';
import { greedyCoreset } from '../../src/train/coreset.ts';
import { onDevice, operands, runsCases, smallRuns } from '../support/half_runs.ts';
import { expectHalfConvolution } from '../support/half_units.ts';
import { features, type Input, map, type Operation, randomValues, run } from '../support/operations.ts';
import * as oracle from '../support/oracle.ts';
import { otherTargets } from '../support/targets.ts';
import { openPair, type Pair, same, sameDetector, sameOperations } from '../support/workgroup_memory.ts';

let pair: Pair;
beforeAll(async () => {
  pair = await openPair();
});
afterAll(() => pair?.[Symbol.asyncDispose]());

const profiles = { ...otherTargets, 'a GPU of AMD': { profile: amd }, 'a GPU of Intel': { profile: intel } };

const random = (input: Input) => randomValues(input, new RandomStream('workgroup memory', ...input.shape));

/** Runs what is recorded on one engine, on random values. */
function recorded(
  inputs: Readonly<Record<string, Input>>,
  record: (tape: Tape, inputs: Record<string, Tensor>) => Record<string, Tensor>,
) {
  return async (engine: Engine) => {
    const tape = new Tape(new ParameterSet());
    const all = Object.entries(inputs);
    const tensors = all.map(([name, { shape, layout }]) => [name, tape.input(name, shape, layout)] as const);
    const outputs = record(tape, Object.fromEntries(tensors));
    const store = new ParameterStore(engine, tape.parameters);
    const program = await Program.compile(engine, tape, { outputs, store });
    try {
      return await program.run(Object.fromEntries(all.map(([name, input]) => [name, random(input)])));
    } finally {
      program.destroy();
      store.destroy();
    }
  };
}

test.each(Object.entries(profiles))('golden operations, as on %s', async (_, choices) => {
  await sameOperations(pair, choices);
});

test('a detector and training steps, as on a real GPU', async () => {
  await sameDetector(pair, otherTargets['a real GPU (workgroup tiles)']);
});

test('the loss of classes', async () => {
  const logits = Float32Array.from({ length: 3 * 130 }, (_, i) => ((i * 37) % 101) / 25 - 2);
  const operation: Operation = {
    inputs: { logits: features([3, 1, 1, 130]), labels: map([3]) },
    differentiable: ['logits'],
    record: (tape, inputs) => crossEntropy(tape, inputs.logits as Tensor, inputs.labels as Tensor),
    reference: (inputs) =>
      oracle.crossEntropy(inputs.logits as oracle.Array64, inputs.labels as oracle.Array64),
  };
  const labels = Float32Array.of(0, 129, 64);
  const g = Float32Array.of(1, 2, 3);
  await same(pair, {}, (engine) => run(engine, operation, { logits, labels }, g));
});

test('sums of many values', async () => {
  const inputs = { values: map([5001]), pixels: features([2, 9, 7, 24]) };
  const work = recorded(inputs, (tape, { values, pixels }) => ({
    mean: mean(tape, values as Tensor),
    pooled: globalAveragePool(tape, pixels as Tensor),
  }));
  await same(pair, otherTargets['a real GPU (workgroup tiles)'], work);
});

test("the gate's gradient on rows that registers do not hold", async () => {
  const rows = features([1, 6, 1, 1000]);
  const work = recorded({ x: rows, r: rows, g: map([1, 6, 1]), seed: rows }, (tape, inputs) => {
    const { x, r, g, seed } = inputs as Record<'x' | 'r' | 'g' | 'seed', Tensor>;
    const found = gradients(tape, new Map([[gatedResidual(tape, x, r, g), seed]]), [x, r, g]);
    return Object.fromEntries([x, r, g].map((tensor, i) => [`gradient${i}`, found.get(tensor) as Tensor]));
  });
  await same(pair, { profile: intel }, work);
});

test("the search in a bank, and the bank's choice", async () => {
  const inputs = { patches: features([3, 6, 6, 32]), bank: features([300, 32]) };
  const work = recorded(inputs, (tape, given) => {
    const { patches, bank } = given as Record<'patches' | 'bank', Tensor>;
    const nearest = nearestRows(tape, patches, bank);
    return { ...nearest, score: bankScore(tape, patches, bank, nearest, 9) };
  });
  await same(pair, { profile: amd }, work);
  const rows = random(features([500, 12]));
  await same(pair, { profile: amd }, async (engine) => ({
    chosen: Float32Array.from(await greedyCoreset(engine, rows, 12, { count: 40, first: 17 })),
  }));
});

test('sums of short runs in 16 bits', async ({ skip }) => {
  if (!pair.poisoned.device.features.has('shader-f16')) return skip('the adapter has no shader-f16');
  const short = runsCases['3x3'];
  if (!short) throw new Error('there is no case 3x3');
  const tile = convolutionTile(smallRuns);
  await same(pair, {}, async (engine) => ({
    y: (await onDevice(engine, short, operands(short), tile)).y,
  }));
});

test('matrix units, which are emulated', async ({ skip }) => {
  if (!pair.poisoned.device.features.has('shader-f16')) return skip('the adapter has no shader-f16');
  const shape = { subgroups: [2, 2], rows: 16, columns: 8, depth: 8 } as const;
  await expectHalfConvolution(pair.poisoned, { unit: [8, 8, 8], shape }, 'odd channels');
});

test('every kernel with workgroup memory was among them', () => {
  const texts = readKernels('kernels');
  const imported = (text: string) => [...text.matchAll(/^import package::(\w+)::/gm)].map(([, name]) => name);
  const hasMemory = (text: string): boolean =>
    text.includes('var<workgroup>') || imported(text).some((name) => hasMemory(texts[name as string] ?? ''));
  const kernels = Object.entries(texts).filter(([, text]) => text.includes('@compute') && hasMemory(text));
  const names = kernels.map(([name]) => name);
  expect(names.length).toBeGreaterThan(15);
  expect(names.filter((name) => !pair.modules.has(name))).toEqual([]);
});
