/** A training is tried out: what it tells of the parts, on a clock that goes on by one second a look. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { randomWeights } from '../bench/support/random_weights.ts';
import { Interrupted } from '../src/base/errors.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { registerBackbone } from '../src/model/backbones.ts';
import { measureTraining } from '../src/session/measure_training.ts';
import type { MeasuredJob } from '../src/session/measured_job.ts';
import { proceduralTextures } from '../src/synthetic/procedural_textures.ts';
import { tinyTeacher } from './support/tiny_teacher.ts';
import { memory } from './support/trainings.ts';

let engine: Engine;
let job: MeasuredJob;
beforeAll(async () => {
  registerBackbone(tinyTeacher);
  engine = await Engine.open();
  job = {
    engine,
    backbone: tinyTeacher,
    mode: 'aand',
    teacher: await randomWeights(engine, tinyTeacher),
    teacherName: 'random weights',
    textures: proceduralTextures(),
    imageSize: 32,
    batch: 2,
    epochs: [10, 20],
    seed: 1,
    images: 9,
    folds: 0,
    photographs: 9,
    scored: 5,
  };
});
afterAll(() => engine.close());

/** Every look at it is a second later. */
const ticking = () => {
  let milliseconds = 0;
  return {
    now() {
      milliseconds += 1000;
      return milliseconds;
    },
    rest: async () => {},
  };
};

describe('a training that is tried out', () => {
  test('its parts take their epochs times their steps, and testing its images', async () => {
    const shares: number[] = [];
    const parts = await measureTraining(job, { clock: ticking(), onProgress: (share) => shares.push(share) });
    // Five steps of a second each; what is tried are two full ones and the short one.
    expect(parts).toEqual([
      { name: 'stage I', seconds: 10 * 5 },
      { name: 'stage II', seconds: 20 * 5 },
      { name: 'testing', seconds: expect.closeTo(0.5 + 5 * 0.5, 9) },
    ]);
    expect(shares.at(-1)).toBe(1);
    expect(shares).toEqual([...shares].sort((a, b) => a - b));
    expect(shares).toHaveLength(2 * 3 * (3 + 2));
  });

  test('images that are left out are trained as long on the others', async () => {
    const stored = [memory(), memory()] as const;
    let shown = 0;
    const parts = await measureTraining(
      { ...job, mode: 'rd', epochs: [0, 20], folds: 3, photographs: 3 },
      {
        clock: ticking(),
        checkpoint: { stage1: stored[0], stage2: stored[1] },
        afterEpoch: async () => {
          shown++;
        },
      },
    );
    expect(parts.map(({ name }) => name)).toEqual([
      'stage II',
      'left out 1 of 3',
      'left out 2 of 3',
      'left out 3 of 3',
      'testing',
    ]);
    // Six images are three steps; one image of a part is judged.
    expect(parts[1]?.seconds).toBeCloseTo(20 * 3 + 1, 9);
    // What an epoch does beside its steps is done in the first try alone, as in the training.
    expect(shown).toBe(3);
    expect(await stored[1].load()).toBeDefined();
  });

  test('a method that keeps features looks at all images, chooses, and looks at them again', async () => {
    const shares: number[] = [];
    const parts = await measureTraining(
      { ...job, mode: 'patchcore', images: 20, folds: 2, photographs: 20, coreset: 0.1 },
      { clock: ticking(), onProgress: (share) => shares.push(share) },
    );
    // A second for eight images; 20 images have 16 patches each, of which 32 are kept, a second for each.
    const [looking, choosing, gathering] = [20 / 8, 32, 20 / 8];
    const half = 10 / 8 + 16 / 2 + 10 / 8;
    expect(parts).toEqual([
      { name: 'features', seconds: expect.closeTo(looking, 9) },
      { name: 'coreset', seconds: expect.closeTo(choosing, 9) },
      { name: 'bank', seconds: expect.closeTo(gathering, 9) },
      // Ten images, half of the patches to choose among; then ten images are judged.
      { name: 'left out 1 of 2', seconds: expect.closeTo(half + 0.5 + 10 * 0.5, 9) },
      { name: 'left out 2 of 2', seconds: expect.closeTo(half + 0.5 + 10 * 0.5, 9) },
      { name: 'testing', seconds: expect.closeTo(0.5 + 5 * 0.5, 9) },
    ]);
    expect(shares).toEqual([0.25, 0.5, 0.75, 1]);
  });

  test('is stopped by its signal', async () => {
    const stop = new AbortController();
    const work = measureTraining(job, { signal: stop.signal, onProgress: () => stop.abort() });
    await expect(work).rejects.toThrow(Interrupted);
    const other = new AbortController();
    const bank = measureTraining(
      { ...job, mode: 'patchcore' },
      { signal: other.signal, onProgress: () => other.abort() },
    );
    await expect(bank).rejects.toThrow(Interrupted);
  });
});
