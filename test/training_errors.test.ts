/** Numbers that run away end a training, and numbers that cannot be right are refused. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import { backbones } from '../src/model/backbones.ts';
import { groups } from '../src/model/groups.ts';
import { detectorParameters } from '../src/model/methods.ts';
import type { TrainDetectorOptions } from '../src/train/check_options.ts';
import { trainDetector } from '../src/train/train_detector.ts';
import { trainStage } from '../src/train/trainer.ts';
import { storeParameters } from '../src/weights/parameters.ts';
import { readSafetensors, type SafetensorsFile, writeSafetensors } from '../src/weights/safetensors.ts';
import { memory, randomTeacher, smallTraining, type ToStage, toldStage } from './support/trainings.ts';

let engine: Engine;
let teacher: SafetensorsFile;
const options = (more: Partial<TrainDetectorOptions> = {}) => smallTraining(engine, teacher, more);

beforeAll(async () => {
  engine = await Engine.open();
  teacher = await randomTeacher(engine);
});
afterAll(() => engine.close());

const stage = (...more: ToStage) => toldStage(engine, ...more);

describe('numbers that run away', () => {
  test.each([
    ['parameter', Number.NaN, /tensor 'bn\.running_var' \[4\] holds NaN at index 2 after epoch 2/],
    [
      'first_moment',
      Number.NEGATIVE_INFINITY,
      /\(Adam's first moment\) \[4\] holds -Infinity at index 2 after epoch 2/,
    ],
    ['second_moment', Number.NaN, /\(Adam's second moment\) \[4\] holds NaN at index 2 after epoch 2/],
  ] as const)('%s %s ends the stage although the loss is finite; the older checkpoint stays', async (kind, value, message) => {
    const checkpoint = memory();
    const running = stage([undefined, [kind, value], undefined], checkpoint);
    await expect(running).rejects.toThrow(message);
    await expect(running).rejects.toThrow(
      /Likely causes: a learning rate .*a\.checkpoint still holds epoch 1$/,
    );
    expect(JSON.parse(readSafetensors(checkpoint.data as Uint8Array).metadata.state ?? '').epoch).toBe(1);
    expect(await stage([undefined, undefined, undefined], checkpoint, { resume: true })).toHaveLength(3);
    await expect(stage([undefined, [kind, value]])).rejects.toThrow(message);
  });

  test('a loss that is not finite names its step and likely causes', async () => {
    const store = new ParameterStore(engine, new ParameterSet());
    const running = trainStage({
      stage: 'a stage',
      store,
      group: 'none',
      items: 2,
      batch: 1,
      epochs: 1,
      seed: 0,
      step: async (_, __, step) => ({ losses: Promise.resolve({ loss: step === 2 ? Number.NaN : 1 }) }),
    });
    await expect(running).rejects.toThrow(/a stage: loss 'loss' is NaN in epoch 1, step 2: .*Likely causes/);
  });

  test.each([
    Number.NaN,
    0,
    -1,
    1e30,
    Number.POSITIVE_INFINITY,
  ])('a learning rate of %s is refused', async (rate) => {
    await expect(trainDetector(options({ baseRate: rate }))).rejects.toThrow(
      `the learning rate is ${rate}, expected a number above 0`,
    );
  });

  test.each([
    ['batch', 0],
    ['batch', Number.NaN],
    ['epochs', 1.5],
    ['seed', 0.5],
  ])('%s %s is refused', async (name, value) => {
    const store = new ParameterStore(engine, new ParameterSet());
    const options = { stage: 's', store, group: 'none', items: 1, batch: 1, epochs: 1, seed: 0 };
    const step = async () => ({ losses: Promise.resolve({}) });
    await expect(trainStage({ ...options, step, [name]: value })).rejects.toThrow(
      /expected a whole number of at least/,
    );
  });

  test('parameters that are not finite are never written into a file', async () => {
    const store = new ParameterStore(engine, detectorParameters(backbones.resnet18, 'rd'));
    store.write('teacher.bn1.running_var', new Float32Array(64).fill(1).with(5, Number.NaN));
    await expect(storeParameters(store, [groups.teacher])).rejects.toThrow(
      "tensor 'teacher.bn1.running_var' [64] holds NaN at index 5",
    );
    store.destroy();
  });

  test('what 16-bit floats cannot hold is refused, not written as infinity', () => {
    const file = (value: number) =>
      writeSafetensors(new Map([['x', { shape: [2], values: new Float32Array([1, value]), type: 'F16' }]]));
    expect(readSafetensors(file(-65519)).tensors.get('x')?.values[1]).toBe(-65504);
    expect(() => file(65520)).toThrow(
      "tensor 'x' [2] holds 65520 at index 1, but 16-bit floats end at 65504",
    );
    expect(() => file(-1e9)).toThrow('holds -1000000000 at index 1');
  });
});
