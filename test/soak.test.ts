/** A short form of test/long/soak.test.ts, and that a process ends by itself after its engines are closed. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Soak, type SoakKind, slope } from './support/soak.ts';

let soak: Soak;
beforeAll(async () => {
  soak = await Soak.prepare();
});
afterAll(() => soak[Symbol.dispose]());

test('the slope is that of the second half', () => {
  const steps = [7, 9, 8, 100, 200, 300, 400];
  expect(slope({ megabytes: steps, scores: 1 }, 1)).toBeCloseTo(10_000, 6);
  expect(slope({ megabytes: steps, scores: 1 }, 20)).toBeCloseTo(500, 6);
  expect(slope({ megabytes: [9, 9, 5, 5, 5], scores: 1 }, 1)).toBe(0);
});

// Before, an engine kept 2 MB and a batch size 80.
test.each<[SoakKind, number, number, number]>([
  ['empty engines', 60, 20, 20],
  ['batch sizes', 12, 6, 120],
])('%s: memory stays within a bound, and the process ends by itself', async (kind, operations, every, most) => {
  const { megabytes } = await soak.run(kind, operations, every, 110_000);
  expect(megabytes).toHaveLength(operations / every);
  expect((megabytes.at(-1) as number) - (megabytes[0] as number)).toBeLessThan(most);
});
