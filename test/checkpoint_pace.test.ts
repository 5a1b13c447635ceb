/** Checkpoints take a tenth of a training's time, however short its epochs are. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Engine } from '../src/engine/runtime/engine.ts';
import { CheckpointPace } from '../src/train/checkpoint_pace.ts';
import { readSafetensors } from '../src/weights/safetensors.ts';
import { memory, toldStage } from './support/trainings.ts';

/** Epochs of a second or less, and checkpoints of `taken` milliseconds: the epochs that got one. */
async function epochsWithCheckpoint(epoch: number, taken: number, epochs: number): Promise<number[]> {
  let now = 0;
  const pace = new CheckpointPace(() => now);
  const found: number[] = [];
  for (let i = 1; i <= epochs; i++) {
    now += epoch;
    if (!pace.due) continue;
    found.push(i);
    await pace.write(async () => {
      now += taken;
    });
  }
  return found;
}

test.each([
  ['long epochs all have one', 1000, 100, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]],
  ['as long as a checkpoint', 100, 100, [1, 10]],
  ['a third of nine checkpoints', 300, 100, [1, 4, 7, 10]],
  ['checkpoints that take no time', 100, 0, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]],
] as const)('%s', async (_, epoch, taken, expected) => {
  expect(await epochsWithCheckpoint(epoch, taken, 10)).toEqual(expected);
});

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

test('a stage keeps its first and its last epoch, and goes on after a cut between them', async () => {
  const checkpoint = memory();
  const kept: number[] = [];
  let now = 0;
  const slow = {
    ...checkpoint,
    save: async (data: Uint8Array) => {
      now += 1000;
      kept.push(JSON.parse(readSafetensors(data).metadata.state ?? '').epoch);
      if (kept.length === 1) checkpoint.data = data;
    },
  };
  const epochs = Array.from({ length: 6 }, () => undefined);
  const clock = { now: () => now };
  const whole = await toldStage(engine, epochs, slow, clock);
  expect(kept).toEqual([1, 6]);
  expect(whole).toHaveLength(6);
  expect(await toldStage(engine, epochs, checkpoint, { ...clock, resume: true })).toEqual(whole);
});
