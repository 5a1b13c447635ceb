/**
 * 10,000 damaged model files and checkpoints through Detector.open and the resuming of a training (`npm run
 * test:mutations`): none is accepted with other weights or settings than were written, nothing crashes,
 * nothing hangs.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Engine } from '../../src/engine/runtime/engine.ts';
import { mutateCheckpoint, mutateModel, mutateSettings } from '../support/mutation_runs.ts';
import type { Tally } from '../support/mutations.ts';

const seed = Number(process.env.AAND_MUTATION_SEED ?? 0);
// What takes longer hangs: opening an undamaged file takes well below a second.
const longest = 60_000;

describe('mutations', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.open();
  });
  afterAll(() => engine?.close());

  function report(tally: Tally, title: string, count: number): void {
    console.log(tally.text(title));
    expect(tally.sum()).toBe(count);
    expect(tally.sum('different')).toBe(0);
    expect(tally.sum('crash')).toBe(0);
    expect(tally.slowest).toBeLessThan(longest);
  }

  test('4,000 model files', async () => {
    report(await mutateModel(engine, { count: 4000, seed }), 'model files, through Detector.open', 4000);
  });

  test('3,000 checkpoints', async () => {
    report(
      await mutateCheckpoint(engine, { count: 3000, seed }),
      'checkpoints, through a resumed training',
      3000,
    );
  });

  test('3,000 settings with digests that fit', async () => {
    report(await mutateSettings({ count: 3000, seed }), 'settings, through readDetector', 3000);
  });
});
