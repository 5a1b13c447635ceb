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
  expect(slope({ megabytes: steps, scores: 1 }, 1)).toBeCloseTo(100, 9);
  expect(slope({ megabytes: steps, scores: 1 }, 20)).toBeCloseTo(5, 9);
  expect(slope({ megabytes: [9, 9, 5, 5, 5], scores: 1 }, 1)).toBe(0);
});

// What a few operations show: an engine kept 2 to 4 MB, a batch size 80.
test.each<[SoakKind, number, number]>([
  ['engines', 10, 20],
  ['batch sizes', 12, 120],
])('%s: memory stays within a bound, and the process ends by itself', async (kind, operations, most) => {
  const { megabytes, scores } = await soak.run(kind, operations, 1, 110_000);
  expect(scores).toBe(1);
  expect((megabytes.at(-1) as number) - (megabytes[operations / 2 - 1] as number)).toBeLessThan(most);
});
