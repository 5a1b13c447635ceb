/** Models with 16-bit weights and activations: close to 32 bits, half the memory, for inference only. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RandomStream } from '../src/base/random.ts';
import { gpu } from '../src/engine/device/gpu.ts';
import { gradients } from '../src/engine/gradients.ts';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import { conv2d } from '../src/engine/ops/conv2d.ts';
import { fuse } from '../src/engine/passes/index.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { Program } from '../src/engine/runtime/program.ts';
import { type Retargeting, retarget } from '../src/engine/runtime/retarget.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import { backboneNamed, backbones } from '../src/model/backbones.ts';
import { initialize } from '../src/model/initialize.ts';
import { detect, detectorParameters } from '../src/model/methods.ts';

const size = 64;
const images = (() => {
  const random = new RandomStream('half');
  return Float32Array.from({ length: 2 * size * size * 3 }, () => random.uniform(-2, 2));
})();

async function run(engine: Engine, name: string, half: boolean) {
  const set = detectorParameters(backboneNamed(name), 'aand', { half });
  const store = new ParameterStore(engine, set);
  initialize(store, set.groups, 0);
  const tape = new Tape(set);
  const { map, score } = detect(
    tape,
    tape.input('images', [2, size, size, 3], 'channels'),
    backboneNamed(name),
    'aand',
  );
  const program = await Program.compile(engine, tape, { outputs: { map, score }, store });
  const result = await program.run({ images });
  const kept = (await store.read(['student.layer1.0.conv2.weight'])).get('student.layer1.0.conv2.weight');
  const facts = {
    ...result,
    plan: program.plan,
    bytes: program.bytes,
    weights: store.bytes,
    arena: program.memory.lowerBound,
    kept,
  };
  program.destroy();
  store.destroy();
  return facts as typeof facts & { map: Float32Array; score: Float32Array; kept: Float32Array };
}

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine?.close());

const targets: Record<string, Retargeting> = {
  'as this adapter': {},
  'as a real GPU (workgroup tiles)': { profile: gpu, target: { subgroupSize: 0 } },
  'as a GPU with matrix units': {
    profile: gpu,
    target: {
      subgroupSize: 16,
      matrixUnits: [{ component: 'f16', rows: 32, columns: 16, depth: 16, emulated: true }],
    },
  },
};

describe('16-bit floats', () => {
  test.for([
    ['resnet18', 'as this adapter'],
    ['resnet18', 'as a real GPU (workgroup tiles)'],
    ['resnet18', 'as a GPU with matrix units'],
  ] as const)('%s %s: the map is close, the memory half', async ([name, target], { skip }) => {
    if (!engine.device.features.has('shader-f16')) return skip('the adapter has no shader-f16');
    const own = retarget(engine, targets[target] as Retargeting);
    const full = await run(own, name, false);
    const half = await run(own, name, true);
    const units = own.target.matrixUnits !== undefined;
    // Only 16-bit operands go to units that multiply such.
    expect(/conv2d_matrix\.main\S*,matrix_half/.test(half.plan)).toBe(units);
    expect(full.plan).not.toContain('conv2d_matrix');
    const difference = Math.max(...full.map.map((value, i) => Math.abs(value - (half.map[i] as number))));
    const most = Math.max(...full.map);
    console.log(
      `${name} ${target}: largest difference ${difference.toExponential(1)} in maps of up to ${most.toFixed(2)}; weights ` +
        `${(full.weights / 2 ** 20).toFixed(1)} -> ${(half.weights / 2 ** 20).toFixed(1)} MiB, values ${(full.arena / 2 ** 20).toFixed(1)} -> ${(half.arena / 2 ** 20).toFixed(1)} MiB`,
    );
    expect(difference).toBeGreaterThan(0);
    expect(difference).toBeLessThan(5e-3 * most);
    expect(half.weights).toBeLessThan(0.52 * full.weights);
    expect(half.arena).toBeLessThan(0.65 * full.arena);
    // What is read back from the device is what was written, rounded once (below 2^-14 by an absolute step).
    const rounding = full.kept.reduce(
      (worst, value, i) =>
        Math.max(worst, Math.abs(value - (half.kept[i] as number)) / Math.max(Math.abs(value), 2 ** -14)),
      0,
    );
    expect(rounding).toBeGreaterThan(0);
    expect(rounding).toBeLessThan(2 ** -11 + 1e-6);
  });

  test('a plan mixes widths only where an operation converts', () => {
    const set = detectorParameters(backbones.resnet18, 'aand', { half: true });
    const tape = new Tape(set);
    const { map, score, amplified } = detect(
      tape,
      tape.input('images', [1, size, size, 3], 'channels'),
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
