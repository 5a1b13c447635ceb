/** How far a whole training is: it never falls, ends at 1, and forecasts by what was measured. */
import { describe, expect, test } from 'vitest';
import { partsOf, type TrainingProgress, TrainingWatch } from '../src/session/training_progress.ts';
import type { Progress } from '../src/train/trainer.ts';

const stages = [
  { stage: 'stage I', epochs: 2 },
  { stage: 'stage II', epochs: 3 },
];

function played(shape: Parameters<typeof partsOf>[0]) {
  let now = 0;
  const told: TrainingProgress[] = [];
  const watch = new TrainingWatch({ now: () => now, rest: async () => {} }, (progress) =>
    told.push(progress),
  );
  watch.expect(partsOf(shape));
  const train = (stage: string, epochs: number, total: number, seconds: number) => {
    for (let epoch = 0; epoch < epochs; epoch++)
      for (let images = 1; images <= total; images++) {
        now += seconds * 1000;
        const left = (epochs - epoch) * total - images;
        const progress: Progress = {
          stage,
          epoch,
          epochs,
          images,
          total,
          losses: { loss: 1 },
          imagesPerSecond: 1 / seconds,
          remaining: left * seconds,
        };
        watch.training(progress);
      }
  };
  const count = (label: string, total: number, seconds: number) => {
    const progress = watch.counting(label);
    for (let done = 1; done <= total; done++) {
      now += seconds * 1000;
      progress(done, total);
    }
  };
  return { watch, told, train, count };
}

const falls = (told: readonly TrainingProgress[]) =>
  told.filter(({ fraction }, i) => fraction < (told[i - 1]?.fraction ?? 0));

describe('a training with a test', () => {
  const run = played({ learned: 10, stages, leftOut: 0, tested: 4, calibrated: 10 });
  run.count('reading', 10, 0.01);
  run.train('stage I', 2, 10, 1);
  run.train('stage II', 3, 10, 2);
  run.count('testing', 4, 1);
  run.count('calibrating', 10, 1);
  run.watch.finish();

  test('its share never falls and ends at 1', () => {
    expect(falls(run.told)).toEqual([]);
    expect(run.told[0]?.fraction).toBeGreaterThan(0);
    expect(run.told.at(-1)).toMatchObject({ stage: 'done', fraction: 1, remaining: 0 });
    expect(run.told.at(-2)?.fraction).toBe(1);
  });

  test('names stages with epochs from 1', () => {
    expect([...new Set(run.told.map(({ stage, epoch, epochs }) => `${stage} ${epoch}/${epochs}`))]).toEqual([
      'reading 0/0',
      'stage I 1/2',
      'stage I 2/2',
      'stage II 1/3',
      'stage II 2/3',
      'stage II 3/3',
      'testing 0/0',
      'calibrating 0/0',
      'done 0/0',
    ]);
  });

  test('says nothing of the time while it reads, then counts the stages that are still to come', () => {
    expect(run.told.slice(0, 10).map(({ remaining }) => remaining)).toEqual(new Array(10).fill(undefined));
    // Half of stage I: 10 s of it, 30 image epochs at its pace, 14 judged images at a quarter of it.
    expect(run.told[19]?.remaining).toBeCloseTo(10 + 30 + 14 / 4);
    // Half of stage II, at its own pace.
    expect(run.told[10 + 20 + 14]?.remaining).toBeCloseTo(15 * 2 + (14 / 4) * 2);
  });
});

test('images that are left out are trained at the pace of the stages before them', () => {
  const run = played({ learned: 10, stages, leftOut: 2, tested: 4, calibrated: 0 });
  run.train('stage I', 2, 10, 1);
  run.train('stage II', 3, 10, 2);
  run.count('testing', 4, 0.5);
  const rest = 2 * (2 * 5 * 1 + 3 * 5 * 2);
  expect(run.told.at(-1)?.remaining).toBeCloseTo(rest);
  for (const part of [1, 2]) {
    run.train(`left out ${part} of 2, stage I`, 2, 5, 1);
    run.train(`left out ${part} of 2, stage II`, 3, 5, 2);
    run.count(`left out ${part} of 2`, 5, 0.5);
  }
  expect(falls(run.told)).toEqual([]);
  expect(run.told.at(-1)).toMatchObject({ fraction: 1 });
});

test('what nobody expected is told, and moves nothing', () => {
  const run = played({
    learned: 4,
    stages: [{ stage: 'features', epochs: 1 }],
    leftOut: 0,
    tested: 0,
    calibrated: 4,
  });
  run.train('features', 1, 4, 1);
  const before = run.told.at(-1);
  run.count('something else', 3, 1);
  expect(run.told.at(-1)).toMatchObject({ stage: 'something else', fraction: before?.fraction });
});
