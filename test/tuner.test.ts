/** The tuner, its persistence, and the forecast of a program's needs. */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { readTunings, tuningPath } from '../src/cli/tunings.ts';
import { convolutionTile } from '../src/engine/device/convolution_tiles.ts';
import type { MatrixKernel } from '../src/engine/device/families.ts';
import { gpu } from '../src/engine/device/gpu.ts';
import { lane } from '../src/engine/device/matrix_products.ts';
import type { DeviceProfile } from '../src/engine/device/profile.ts';
import type { Tuning } from '../src/engine/device/tuning.ts';
import { tuningFingerprint, tuningKey } from '../src/engine/device/tuning.ts';
import { gradients } from '../src/engine/gradients.ts';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import { elements } from '../src/engine/graph/tensor.ts';
import { conv2d } from '../src/engine/ops/conv2d.ts';
import { forecast } from '../src/engine/plan/forecast.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { Program } from '../src/engine/runtime/program.ts';
import { retarget } from '../src/engine/runtime/retarget.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import { tuneCase, tuningCases } from '../src/engine/runtime/tuner.ts';
import { backbones } from '../src/model/backbones.ts';
import { detect, detectorParameters } from '../src/model/methods.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

function smallTape(): Tape {
  const tape = new Tape(new ParameterSet());
  const x = tape.input('x', [1, 8, 8, 16], 'channels');
  const w = tape.input('w', [3, 3, 16, 32], 'filter');
  const y = conv2d(tape, x, w, undefined, { padding: 1 });
  gradients(tape, new Map([[y, tape.input('seed', y.shape, 'channels')]]), [x, w]);
  return tape;
}

test('every kind of product is a case, and each is tuned to a configuration that computes the same', {
  timeout: 120_000,
}, async () => {
  const cases = tuningCases([smallTape()]);
  expect([...cases.values()].map(({ products }) => products[0]?.node.definition.name).sort()).toEqual([
    'conv2d',
    'conv2d_weight_gradient',
    'conv_transpose2d',
  ]);
  for (const tuningCase of cases.values()) {
    const rejected: string[] = [];
    const entry = await tuneCase(engine, tuningCase, (_, reason) => rejected.push(reason));
    expect(engine.profile.kernels[tuningCase.family].candidates(engine.target)).toContainEqual(
      entry.configuration,
    );
    expect(entry.milliseconds).toBeLessThanOrEqual(entry.tableMilliseconds);
    expect(entry.milliseconds).toBeGreaterThan(0);
    expect(rejected).toEqual([]);
  }
});

test("on a GPU a product is timed by the device's clock, without the host's share", async ({ skip }) => {
  if (!engine.device.features.has('timestamp-query')) return skip('the adapter has no timestamps');
  const [tuningCase] = tuningCases([smallTape()]).values();
  const profile = vi.spyOn(Program.prototype, 'profile');
  const candidates = [lane('convolution', 1, 64, 8, 1), lane('convolution', 1, 64, 8, 2)];
  const two = { ...gpu.kernels.convolution, candidates: () => candidates, choose: () => candidates[0] };
  const kernels = { ...gpu.kernels, convolution: two };
  const device = retarget(engine, { profile: { ...gpu, kernels } as DeviceProfile });
  const entry = await tuneCase(device, tuningCase as NonNullable<typeof tuningCase>);
  expect(entry.milliseconds).toBeGreaterThan(0);
  // The table's choice and the other candidate, each with as many runs.
  expect(profile.mock.calls.length).toBe(50);
  profile.mockRestore();
});

test('a tuning is used on its own device and kernels only', async () => {
  const tape = smallTape();
  const key = [...tuningCases([tape]).keys()][0] as string;
  const other = lane('convolution', 1, 64, 8, 1);
  const entries = { [key]: { configuration: other, milliseconds: 1, tableMilliseconds: 2 } };
  const own: Tuning = { fingerprint: tuningFingerprint(engine), entries };
  // What was measured without matrix units does not choose for a device that has them.
  const unit = { component: 'f32', rows: 8, columns: 8, depth: 8 } as const;
  expect(tuningFingerprint(retarget(engine, { target: { matrixUnits: [unit] } }))).not.toBe(own.fingerprint);
  for (const [tuning, used] of [
    [own, true],
    [{ ...own, fingerprint: 'another device' }, false],
    // Of a version whose keys went by all images of a batch.
    [{ ...own, fingerprint: own.fingerprint.replace('convolutions by one image; ', '') }, false],
  ] as const) {
    await using opened = await Engine.open({ tunings: [tuning] });
    const x = tape.inputs[0];
    if (!x) throw new Error('no input');
    const fresh = smallTape();
    const y = fresh.nodes[0]?.outputs.y;
    if (!y) throw new Error('no output');
    const store = new ParameterStore(opened, fresh.parameters);
    const program = await Program.compile(opened, fresh, { outputs: { y }, store });
    expect(program.plan.includes('SUBGROUP=1,')).toBe(used);
  }
});

describe('a kernel is tuned for one image, whatever the batch', () => {
  const product = (batch: number) => {
    const tape = new Tape(new ParameterSet());
    const x = tape.input('x', [batch, 8, 8, 16], 'channels');
    const w = tape.input('w', [3, 3, 16, 32], 'filter');
    return { tape, y: conv2d(tape, x, w, undefined, { padding: 1 }) };
  };
  const [one, four] = [product(1), product(4)];
  const whole = convolutionTile({ outputs: [4, 1], depth: 4 });
  const sliced = convolutionTile({ outputs: [4, 1], depth: 8, slices: 4 });

  test('batches share a key and are measured together', () => {
    const cases = tuningCases([one.tape, four.tape, product(4).tape]);
    expect([...cases.keys()]).toEqual(['convolution/6/3/5']);
    const rows = [...cases.values()].flatMap(({ products }) => products.map(({ problem }) => problem.rows));
    expect(rows).toEqual([64, 256]);
  });

  test('a weight gradient goes by the pixels of all images, which it adds up', () => {
    const problem = { family: 'weight_gradient', rows: 144, columnQuads: 8, depth: 64 } as const;
    expect(tuningKey(problem)).not.toBe(tuningKey({ ...problem, depth: 256 }));
  });

  test.for([
    ['is faster in every batch', [1, 0.5], [4, 3], true],
    ['is slower in one of them', [1, 0.1], [4, 5], false],
  ] as const)('a candidate is kept if it %s', async ([, alone, together, kept], { skip }) => {
    if (!engine.device.features.has('timestamp-query')) return skip('the adapter has no timestamps');
    const profile = vi.spyOn(Program.prototype, 'profile').mockImplementation(function (
      this: Program,
      given,
    ) {
      const times = (given as { x: Float32Array }).x.length === 8 * 8 * 16 ? alone : together;
      const [ofTable, ofCandidate] = times;
      const milliseconds = this.plan.includes('SLICES=4') ? ofCandidate : ofTable;
      return Promise.resolve([{ operation: '', kernel: '', milliseconds, flops: 0, bytes: 0 }]);
    });
    const convolution = {
      ...gpu.kernels.convolution,
      candidates: () => [whole, sliced],
      choose: () => whole,
    };
    const changed = { ...gpu, kernels: { ...gpu.kernels, convolution } };
    const [tuningCase] = tuningCases([one.tape, four.tape]).values();
    const entry = await tuneCase(
      retarget(engine, { profile: changed }),
      tuningCase as NonNullable<typeof tuningCase>,
    );
    profile.mockRestore();
    expect(entry).toMatchObject(
      kept
        ? { configuration: sliced, milliseconds: 3.5, tableMilliseconds: 5 }
        : { configuration: whole, milliseconds: 5, tableMilliseconds: 5 },
    );
  });

  test('the bits of an image are the same in every batch, in another order than that of the table', async () => {
    const images = Float32Array.from({ length: 4 * 8 * 8 * 16 }, (_, i) => Math.sin(i));
    const weights = Float32Array.from({ length: 3 * 3 * 16 * 32 }, (_, i) => Math.cos(i));
    const [key] = tuningCases([one.tape]).keys();
    const first = async ({ tape, y }: ReturnType<typeof product>, tuned: Record<string, MatrixKernel>) => {
      const own = retarget(engine, { profile: gpu, tuned });
      const store = new ParameterStore(own, tape.parameters);
      const program = await Program.compile(own, tape, { outputs: { y }, store });
      const x = images.subarray(0, tape.inputs[0] && elements(tape.inputs[0].shape));
      const { y: result } = await program.run({ x, w: weights });
      program.destroy();
      store.destroy();
      return (result as Float32Array).subarray(0, 8 * 8 * 32);
    };
    const tuned = { [key as string]: sliced };
    const alone = await first(one, tuned);
    expect(await first(four, tuned)).toEqual(alone);
    expect(await first(one, {})).not.toEqual(alone);
  });
});

test('the forecast of memory is what the program then takes', async () => {
  const backbone = backbones.resnet18;
  const set = detectorParameters(backbone, 'aand');
  const record = () => {
    const tape = new Tape(set);
    const { map, score } = detect(tape, tape.input('images', [2, 64, 64, 3], 'channels'), backbone, 'aand');
    return { tape, map, score };
  };
  const { tape, map, score } = record();
  const peaks = { gflops: 100, gbytesPerSecond: 5 };
  const { bytes, flops, milliseconds } = forecast(
    tape,
    [map, score],
    engine.lowering,
    engine.device.limits,
    peaks,
  );
  const again = record();
  const store = new ParameterStore(engine, set);
  const outputs = { map: again.map, score: again.score };
  const program = await Program.compile(engine, again.tape, { outputs, store });
  // Beside the plan a program has its uniforms (256 bytes per dispatch) and the rounding of its buffers.
  expect(Math.abs(program.bytes - bytes)).toBeLessThan(0.02 * bytes);
  expect(flops).toBe(program.cost.flops);
  expect(milliseconds).toBeGreaterThan(flops / 100e6);
  program.destroy();
  store.destroy();
});

test('a damaged cache is left unused', async () => {
  const cache = mkdtempSync(join(tmpdir(), 'aand-cache-'));
  vi.stubEnv('XDG_CACHE_HOME', cache);
  expect(await readTunings()).toEqual([]);
  mkdirSync(join(cache, 'aand-webgpu'));
  writeFileSync(tuningPath(), JSON.stringify([{ fingerprint: 'one', entries: {} }]));
  expect(await readTunings()).toEqual([{ fingerprint: 'one', entries: {} }]);
  writeFileSync(tuningPath(), '{ not json');
  expect(await readTunings()).toEqual([]);
  vi.unstubAllEnvs();
});
