/** A few hundred damaged model files and checkpoints; test/long/mutations.test.ts tries 10,000. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Engine } from '../src/engine/runtime/engine.ts';
import { mutateCheckpoint, mutateModel, mutateSettings } from './support/mutation_runs.ts';
import type { Tally } from './support/mutations.ts';

describe('damaged files', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.open();
  });
  afterAll(() => engine?.close());

  function expectRefused(tally: Tally, title: string, count: number): void {
    expect(
      { tried: tally.sum(), different: tally.sum('different'), crash: tally.sum('crash') },
      tally.text(title),
    ).toEqual({
      tried: count,
      different: 0,
      crash: 0,
    });
    expect(tally.sum('refused')).toBeGreaterThan(0.9 * count);
  }

  test('of 100 model files none opens as another model', async () => {
    expectRefused(await mutateModel(engine, { count: 100, seed: 1 }), 'model files', 100);
  });

  test('of 200 checkpoints none goes on as another training', async () => {
    expectRefused(await mutateCheckpoint(engine, { count: 200, seed: 1 }), 'checkpoints', 200);
  });

  test('of 300 changed settings each is refused, or read as it was written', async () => {
    const tally = await mutateSettings({ count: 300, seed: 1 });
    expect(tally.sum('different') + tally.sum('crash'), tally.text('settings')).toBe(0);
    expect(tally.sum('refused')).toBeGreaterThan(100);
    expect(tally.sum('identical')).toBeGreaterThan(10);
  });
});
