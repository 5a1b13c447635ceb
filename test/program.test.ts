/**
 * Replaying programs: what is recorded ahead of a run, and results with and without Dawn's checks in shaders.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RandomStream } from '../src/base/random.ts';
import type { KernelVariant } from '../src/engine/dispatch.ts';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import { conv2d } from '../src/engine/ops/conv2d.ts';
import { add } from '../src/engine/ops/elementwise.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { initialize } from '../src/engine/runtime/initialize.ts';
import { createPipeline } from '../src/engine/runtime/pipeline.ts';
import { Program } from '../src/engine/runtime/program.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import { WarmUp } from '../src/engine/runtime/warm_up.ts';
import { backbones } from '../src/model/backbones.ts';
import { groups } from '../src/model/groups.ts';
import { detect, detectorParameters } from '../src/model/methods.ts';
import { randomValues } from './support/operations.ts';
import { openPoisoned } from './support/poison.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

const turn = (milliseconds = 5) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function sums(own = engine): Promise<Program> {
  const set = new ParameterSet();
  const tape = new Tape(set);
  const x = tape.input('x', [1, 4, 4, 4], 'channels');
  const twice = conv2d(
    tape,
    x,
    tape.constant(
      'w',
      [1, 1, 4, 4],
      'filter',
      Float32Array.from({ length: 16 }, (_, i) => (i % 5 ? 0 : 2)),
    ),
  );
  return Program.compile(own, tape, {
    outputs: { twice, thrice: add(tape, twice, x) },
    store: new ParameterStore(own, set),
  });
}

const filled = (value: number) => new Float32Array(64).fill(value);

describe('runs recorded ahead', () => {
  test('give what is asked for, whatever the run before read', async () => {
    const program = await sums();
    const reads = [['twice', 'thrice'], ['thrice'], ['thrice'], [], ['twice'], ['thrice', 'twice']];
    for (const [i, read] of reads.entries()) {
      const result = await program.run({ x: filled(i) }, read);
      expect(Object.keys(result)).toEqual(read);
      for (const name of read) expect(result[name]).toEqual(filled(i * (name === 'twice' ? 2 : 3)));
      // Every other time the next run is recorded before it is asked for.
      if (i % 2) await turn();
    }
    program.destroy();
  });

  test('keep their outputs apart when several are under way', async () => {
    const program = await sums();
    const results = await Promise.all(
      Array.from({ length: 9 }, async (_, i) => {
        if (i % 3 === 2) await turn();
        return program.run({ x: filled(i) }, i % 2 ? ['twice'] : ['thrice']);
      }),
    );
    results.forEach((result, i) => {
      expect(result).toEqual(i % 2 ? { twice: filled(2 * i) } : { thrice: filled(3 * i) });
    });
    program.destroy();
  });

  test('a program that is destroyed right after a run records nothing more', async () => {
    const notices: string[] = [];
    await using own = await Engine.open({ onNotice: (message) => notices.push(message) });
    const program = await sums(own);
    await program.run({ x: filled(1) });
    const before = program.recordingMilliseconds;
    program.destroy();
    await turn();
    await own.guard(own.device.queue.onSubmittedWorkDone());
    expect(program.recordingMilliseconds).toBe(before);
    expect(notices.filter((message) => !/software driver/.test(message))).toEqual([]);
  });
});

/** Maps of a detector, before and after its prologue ran again beside the memory of a run. */
async function detectorMaps(own: Engine): Promise<Buffer[]> {
  const size = 64;
  const images = randomValues({ shape: [1, size, size, 3], layout: 'channels' }, new RandomStream('images'));
  const set = detectorParameters(backbones.resnet18, 'aand');
  const store = new ParameterStore(own, set);
  initialize(store, Object.values(groups), 3);
  const tape = new Tape(set);
  const outputs = detect(
    tape,
    tape.input('images', [1, size, size, 3], 'channels'),
    backbones.resnet18,
    'aand',
  );
  const program = await Program.compile(own, tape, { outputs: { map: outputs.map }, store });
  const first = (await program.run({ images })).map as Float32Array;
  expect(new Set(first).size).toBeGreaterThan(1000);
  await program.refresh();
  const second = (await program.run({ images })).map as Float32Array;
  program.destroy();
  store.destroy();
  return [first, second].map((map) => Buffer.from(map.buffer));
}

describe('no bit of a detector is changed by', () => {
  let expected: Buffer;
  beforeAll(async () => {
    const [first, second] = (await detectorMaps(engine)) as [Buffer, Buffer];
    expect(second.equals(first)).toBe(true);
    expect(new Float32Array(first.buffer).every(Number.isFinite)).toBe(true);
    expected = first;
  });

  test('checks in shaders', async () => {
    await using checked = await Engine.open({ shaderChecks: true });
    for (const map of await detectorMaps(checked)) expect(map.equals(expected)).toBe(true);
  });

  test('what lies in new memory', async () => {
    await using poisoned = await openPoisoned();
    for (const map of await detectorMaps(poisoned)) expect(map.equals(expected)).toBe(true);
  });
});

/** The device with another `onSubmittedWorkDone`. */
function withDone(device: GPUDevice, done: () => Promise<undefined>): GPUDevice {
  const forward = <T extends object>(object: T, own: Partial<Record<keyof T, unknown>>): T =>
    new Proxy(object, {
      get(target, key) {
        if (key in own) return own[key as keyof T];
        const value: unknown = Reflect.get(target, key);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  return forward(device, { queue: forward(device.queue, { onSubmittedWorkDone: done }) });
}

/** A device that is idle at once when a compilation begins, and ends each after a time. */
function compiling(milliseconds: number, onEnd: () => void): () => Promise<undefined> {
  let calls = 0;
  return async () => {
    if (calls++ % 2 === 0) return undefined;
    await turn(milliseconds);
    onEnd();
    return undefined;
  };
}

describe('the warm-up of kernels', () => {
  const kernels: KernelVariant[] = [
    { module: 'elementwise', entry: 'relu' },
    { module: 'elementwise', entry: 'add' },
    { module: 'elementwise', entry: 'scale' },
    { module: 'elementwise', entry: 'relu_gradient' },
    { module: 'rows', entry: 'clear' },
    { module: 'rows', entry: 'gather' },
  ];
  const pipelines = () =>
    Promise.all(
      kernels.map(async (variant) => ({ variant, pipeline: await createPipeline(engine.device, variant) })),
    );

  test('a device that is slow gets help from a second one, which goes when all is done', async () => {
    let [own, helped, opened] = [0, 0, 0];
    let lost: Promise<unknown> = Promise.reject(new Error('no helper was opened'));
    lost.catch(() => {});
    const slow = withDone(
      engine.device,
      compiling(150, () => own++),
    );
    const warmUp = new WarmUp(slow, async () => {
      opened++;
      const adapter = await engine.gpu.requestAdapter();
      const device = await (adapter as GPUAdapter).requestDevice();
      lost = device.lost;
      return withDone(device, async () => {
        helped++;
        return engine.guard(device.queue.onSubmittedWorkDone());
      });
    });
    await Promise.all((await pipelines()).map(({ variant, pipeline }) => warmUp.compile(variant, pipeline)));
    expect(opened).toBe(1);
    expect(helped).toBeGreaterThan(0);
    expect(own + helped).toBe(kernels.length);
    await lost;
  });

  test('what the device was doing before is not taken for a slow compilation', async () => {
    let [calls, opened] = [0, 0];
    const busy = withDone(engine.device, async () => {
      if (calls++ % 2 === 0) await turn(100);
      return undefined;
    });
    const warmUp = new WarmUp(busy, async () => {
      opened++;
      throw new Error('no helper is needed');
    });
    await Promise.all((await pipelines()).map(({ variant, pipeline }) => warmUp.compile(variant, pipeline)));
    expect(opened).toBe(0);
  });

  test('what waits when the engine closes is told so', async () => {
    const warmUp = new WarmUp(
      withDone(engine.device, () => turn(20).then(() => undefined)),
      () => Promise.reject(new Error('no adapter')),
    );
    const all = Promise.allSettled(
      (await pipelines()).map(({ variant, pipeline }) => warmUp.compile(variant, pipeline)),
    );
    warmUp.close();
    const [first, ...rest] = await all;
    expect(first?.status).toBe('fulfilled');
    for (const waiting of rest)
      expect(waiting).toMatchObject({
        status: 'rejected',
        reason: { message: expect.stringContaining('was closed') },
      });
  });

  test('without a second device the first compiles all', async () => {
    let own = 0;
    const slow = withDone(
      engine.device,
      compiling(80, () => own++),
    );
    const warmUp = new WarmUp(slow, () => Promise.reject(new Error('no adapter')));
    await Promise.all((await pipelines()).map(({ variant, pipeline }) => warmUp.compile(variant, pipeline)));
    expect(own).toBe(kernels.length);
  });
});
