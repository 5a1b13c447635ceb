/** Models with 16-bit weights and activations: close to 32 bits, half the memory, for inference only. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { gradients } from '../src/engine/gradients.ts';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import { conv2d } from '../src/engine/ops/conv2d.ts';
import { fuse } from '../src/engine/passes/index.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import { backbones } from '../src/model/backbones.ts';
import { detect, detectorParameters } from '../src/model/methods.ts';
import { expectHalf } from './support/half.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine?.close());

describe('16-bit floats', () => {
  test('the map is close to that of 32 bits, the memory half', async ({ skip }) => {
    if (!engine.device.features.has('shader-f16')) return skip('the adapter has no shader-f16');
    await expectHalf(engine, {});
  });

  test('a plan mixes widths only where an operation converts', () => {
    const set = detectorParameters(backbones.resnet18, 'aand', { half: true });
    const tape = new Tape(set);
    const { map, score, amplified } = detect(
      tape,
      tape.input('images', [1, 64, 64, 3], 'channels'),
      backbones.resnet18,
      'aand',
    );
    // A feature that the program reads stays in 32 bits, and so does everything that must be alike with it.
    const [feature] = amplified;
    const { nodes } = fuse(tape, [map, score, ...(feature ? [feature] : [])], engine.lowering);
    const scoreMap = nodes.find(({ definition }) => definition.name === 'score_map');
    expect(Object.values(scoreMap?.inputs ?? {}).map(({ half }) => half ?? false)).toEqual(
      Array(6).fill(false),
    );
    const gates = nodes.filter(({ definition }) => definition.name === 'softmax_gate');
    expect(gates.flatMap(({ inputs }) => Object.values(inputs)).some(({ half }) => half)).toBe(false);
    expect(
      nodes.flatMap(({ outputs }) => Object.values(outputs)).filter(({ half }) => half).length,
    ).toBeGreaterThan(30);
  });

  test('training 16-bit weights is refused', () => {
    const set = new ParameterSet({ half: true });
    const tape = new Tape(set);
    const x = tape.input('x', [1, 4, 4, 4], 'channels');
    const w = tape.parameter('w', [3, 3, 4, 4], 'filter', 'model');
    const y = conv2d(tape, x, w, undefined, { padding: 1 });
    const dy = tape.input('dy', y.shape, 'channels');
    expect(() => gradients(tape, new Map([[y, dy]]), [w])).toThrow(
      /w is kept in 16 bits, which only inference can use/,
    );
    // The gradient of the images is no training.
    expect(gradients(tape, new Map([[y, dy]]), [x]).get(x)?.half).toBeFalsy();
  });

  test('a device without them says so', async () => {
    const plain = await Engine.open({ minimal: true });
    try {
      const set = detectorParameters(backbones.resnet18, 'rd', { half: true });
      expect(() => new ParameterStore(plain, set)).toThrow(/no 16-bit floats \(shader-f16\): use f32/);
    } finally {
      await plain.close();
    }
  });
});
