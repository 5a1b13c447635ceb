/** Targets that are kept against targets that are computed again. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Engine } from '../../src/engine/runtime/engine.ts';
import type { TrainDetectorOptions } from '../../src/train/check_options.ts';
import { trainDetector } from '../../src/train/train_detector.ts';
import type { SafetensorsFile } from '../../src/weights/safetensors.ts';
import { randomTeacher, smallTraining } from '../support/trainings.ts';

let engine: Engine;
let teacher: SafetensorsFile;
const options = (more: Partial<TrainDetectorOptions> = {}) => smallTraining(engine, teacher, more);

beforeAll(async () => {
  engine = await Engine.open();
  teacher = await randomTeacher(engine);
});
afterAll(() => engine.close());

test('cached targets are those of their images', async () => {
  // Adam turns a gradient's last bit into a whole step, so only losses of parameters that stand still can
  // be compared.
  const losses = async (cacheBytes: number) => {
    const { store, history } = await trainDetector(options({ epochs: [1, 3], baseRate: 1e-12, cacheBytes }));
    store.destroy();
    return history.stage2.map(({ loss }) => loss as number);
  };
  const recomputed = await losses(0);
  const cached = await losses(2 ** 31);
  const relative = cached.map((loss, i) => Math.abs(loss / (recomputed[i] as number) - 1));
  expect(cached.length).toBe(3);
  // Two batches, drawn anew in each epoch, have other batch statistics and so another loss.
  expect(new Set(cached).size).toBe(3);
  expect(Math.max(...relative)).toBeLessThan(2e-6);
});
