/** The engine's public face, by a program that uses nothing else. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { trainClassifier } from '../examples/classifier.ts';
import { Engine } from '../src/engine/index.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

test('the example learns to tell the directions of stripes, and repeats bit for bit', async () => {
  const history = await trainClassifier(engine, 40);
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const last = history.slice(-5);
  expect(history[0]?.loss).toBeGreaterThan(1.2);
  expect(mean(last.map(({ loss }) => loss))).toBeLessThan(0.4);
  // Chance is a quarter.
  expect(mean(last.map(({ accuracy }) => accuracy))).toBeGreaterThan(0.85);
  expect(await trainClassifier(engine, 5)).toEqual(history.slice(0, 5));
});
