/**
 * A tuned kernel for one architecture needs its file and a profile, nothing else: shown by a made-up
 * architecture, whose kernel lies in test/fixtures as if it lay in kernels/.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { KernelModule } from '../kernels/generated.ts';
import { gpu } from '../src/engine/device/gpu.ts';
import type { DeviceProfile } from '../src/engine/device/profile.ts';
import { profileOf, profiles } from '../src/engine/device/profiles.ts';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import { conv2d } from '../src/engine/ops/conv2d.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { Program } from '../src/engine/runtime/program.ts';
import { retarget } from '../src/engine/runtime/retarget.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import { tuneCase, tuningCases } from '../src/engine/runtime/tuner.ts';
import { convolutions, expectConvolution, reference } from './support/convolutions.ts';

// What the build does with every file of kernels/ (scripts/kernels).
vi.mock('../kernels/generated.ts', async (original) => {
  const { reflectKernels } = await import('../src/engine/kernels/reflect/reflect.ts');
  const generated = await original<typeof import('../kernels/generated.ts')>();
  const text = readFileSync(new URL('fixtures/conv2d_example.wesl', import.meta.url), 'utf8');
  const kernelTexts = { ...generated.kernelTexts, conv2d_example: text.replace(/\/\/.*/g, '') };
  return { ...generated, kernelTexts, kernelContracts: reflectKernels(kernelTexts) };
});

/** The one line per family that a profile needs: which kernel, in which shape. */
const kernel = {
  // The build would put it into the type.
  module: 'conv2d_example' as string as KernelModule,
  entry: 'main',
  tile: { rows: 64, columnQuads: 1 },
  tilesPerWorkgroup: 1,
  step: 1,
  statistics: false,
};

const example: DeviceProfile = {
  ...gpu,
  name: 'example',
  title: 'a made-up GPU',
  recognises: ({ vendor, architecture }) => vendor === 'example' && architecture === 'first',
  kernels: {
    ...gpu.kernels,
    convolution: {
      ...gpu.kernels.convolution,
      candidates: (target) => [kernel, ...gpu.kernels.convolution.candidates(target)],
      choose: () => kernel,
    },
  },
};

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine?.close());

test('its architecture alone gets the profile', () => {
  const adapter = {
    ...engine.adapter,
    vendor: 'example',
    architecture: 'first',
    device: '',
    description: '',
    fallback: false,
  };
  const list = [example, ...profiles];
  expect(profileOf(adapter, list)).toBe(example);
  expect(profileOf({ ...adapter, architecture: 'second' }, list)).toBe(gpu);
  expect(profileOf(engine.adapter, list)).toBe(engine.profile);
});

test.each(
  Object.entries(convolutions),
)('%s: its kernel meets the reference, gradients too', async (name, c) => {
  await expectConvolution(engine, c, reference(name, c), { profile: example });
});

test('split sums and epilogues reach its kernel', async () => {
  const c = convolutions['odd channels'] as (typeof convolutions)[string];
  await expectConvolution(engine, c, reference('split', c), { profile: example, force: { splits: 2 } });
});

function record(): { tape: Tape; y: ReturnType<typeof conv2d> } {
  const tape = new Tape(new ParameterSet());
  const x = tape.input('x', [1, 8, 8, 16], 'channels');
  return { tape, y: conv2d(tape, x, tape.input('w', [3, 3, 16, 32], 'filter'), undefined, { padding: 1 }) };
}

test('a plan names its kernel, and the tuner times it', async () => {
  const own = retarget(engine, { profile: example });
  const { tape, y } = record();
  const store = new ParameterStore(own, tape.parameters);
  const program = await Program.compile(own, tape, { outputs: { y }, store });
  expect(program.plan).toBe('conv2d: conv2d_example.main <8,1,1>');
  program.destroy();
  const [tuningCase] = tuningCases([record().tape]).values();
  const rejected: string[] = [];
  const alone: DeviceProfile = {
    ...example,
    kernels: {
      ...example.kernels,
      convolution: { ...example.kernels.convolution, candidates: () => [kernel] },
    },
  };
  const timed = await tuneCase(
    retarget(engine, { profile: alone }),
    tuningCase as NonNullable<typeof tuningCase>,
    (_, reason) => rejected.push(reason),
  );
  expect(rejected).toEqual([]);
  expect(timed.configuration).toBe(kernel);
});
