/** How long a training still needs: what a try says of it, and what its parts say while it runs. */

import { describe, expect, test } from 'vitest';
import { Pace } from '../app/pace.ts';
import { stageTimes } from '../src/session/measure_training.ts';

describe('the times of a stage, from the steps of a try', () => {
  test('the first epoch tells what compiling takes, the others what an epoch takes', () => {
    // Two full steps of 1 s and a short one of .5 s; .25 s between epochs; compiling takes 7 s.
    const stamps = [108, 109, 109.5, 110.75, 111.75, 112.25, 113.5, 114.5, 115];
    expect(stageTimes(stamps, 100, 3, 0)).toEqual({ overhead: 6.75, epoch: 2.75 });
    // Ten full steps in the training: eight more, without what lies between epochs.
    expect(stageTimes(stamps, 100, 3, 8).epoch).toBe(10.75);
  });

  test('an epoch of one step', () => {
    expect(stageTimes([5, 6, 7], 0, 1, 0)).toEqual({ overhead: 4, epoch: 1 });
  });
});

describe('the pace of a training', () => {
  const parts = [
    { name: 'reading', seconds: 2 },
    { name: 'stage I', seconds: 100 },
    { name: 'stage II', seconds: 50 },
    { name: 'left out 1 of 2', seconds: 60 },
    { name: 'left out 2 of 2', seconds: 60 },
    { name: 'testing', seconds: 10 },
  ];
  let clock = 0;
  const pace = () => {
    clock = 0;
    return new Pace(parts, () => clock);
  };

  test('before anything ran it is what was measured', () => {
    expect(pace().left('reading', undefined)).toBe(282);
    expect(pace().left('something else', 3)).toBeUndefined();
  });

  test('a part that takes twice as long makes the later ones longer', () => {
    const running = pace();
    running.left('reading', undefined);
    clock = 2;
    expect(running.left('stage I', 100)).toBe(280);
    clock = 102;
    // 100 s are over and 100 s are to come of a part that was thought to take 100 s.
    const factor = 202 / 102;
    expect(running.left('stage I', 100)).toBeCloseTo(100 + 180 * factor, 9);
    clock = 202;
    expect(running.left('stage II', 100)).toBeCloseTo(100 + 130 * (302 / 152), 9);
  });

  test('stages of a left-out part belong to it; its rest is never less than the running stage needs', () => {
    const running = pace();
    running.left('stage II', 0);
    clock = 50;
    expect(running.place('left out 1 of 2, stage I')).toBe(4);
    expect(running.left('left out 1 of 2, stage I', 20)).toBe(60 + 70);
    clock = 105;
    expect(running.left('left out 1 of 2, stage II', 20)).toBe(20 + 70);
  });

  test('one odd part cannot make the rest endless, and what a resumed training skips tells nothing', () => {
    const running = pace();
    running.left('reading', undefined);
    clock = 1000;
    expect(running.left('stage I', undefined)).toBe(100 * 4 + 180 * 4);
    const resumed = pace();
    resumed.left('reading', undefined);
    clock = 90;
    expect(resumed.left('left out 2 of 2', undefined)).toBe(70);
  });
});
