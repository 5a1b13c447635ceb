/** The measurement behind `npm run learning -- suspects`: sets with known defects among the good images. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeDirtySets } from '../bench/learning/dirty.ts';
import { measureSuspects, type SuspectsRow, suspectsSection } from '../bench/learning/suspects.ts';
import { randomWeights } from '../bench/support/random_weights.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { writeMvtec } from './support/layouts.ts';
import { tinyTeacher } from './support/tiny_teacher.ts';

let engine: Engine;
let folder: string;
beforeAll(async () => {
  engine = await Engine.open();
  folder = mkdtempSync(join(tmpdir(), 'suspects-'));
  await writeMvtec(folder, 'washer', 0, 12);
  await makeDirtySets(join(folder, 'washer'), { out: join(folder, 'sets'), shares: [0, 0.08], seed: 0 });
});
afterAll(async () => {
  await engine.close();
  rmSync(folder, { recursive: true, force: true });
});

const options = async () => ({
  backbone: tinyTeacher,
  teacher: await randomWeights(engine, tinyTeacher),
  teacherName: 'random weights',
  imageSize: 64,
});

test('every form ranks the defects that the set has, from 0 to 1', async () => {
  const rows = await measureSuspects(engine, [join(folder, 'sets/dirty-08')], await options());
  expect(rows.length).toBeGreaterThan(5);
  expect(new Set(rows.map(({ form }) => form)).size).toBe(rows.length);
  for (const row of rows) {
    expect(row).toMatchObject({
      set: 'washer, dirty-08',
      features: 'tiny, 64 pixels',
      images: 13,
      defects: 1,
    });
    expect(row.auroc).toBeGreaterThanOrEqual(0);
    expect(row.auroc).toBeLessThanOrEqual(1);
    expect(row.foundInTwice).toBeGreaterThanOrEqual(row.found);
    // The one defect is found or not.
    expect([0, 1]).toContain(row.found);
  }
});

test('a set without a defect is refused', async () => {
  await expect(measureSuspects(engine, [join(folder, 'sets/dirty-00')], await options())).rejects.toThrow(
    'no training image is a link to one of another folder',
  );
});

test("the table has the program's own ranking by set, and the means of every form", () => {
  const row = (set: string, form: string, auroc: number): SuspectsRow => ({
    ...{ set, features: 'tiny, 64 pixels', images: 14, defects: 2, form, auroc },
    ...{ found: 0.5, foundInTwice: 1 },
  });
  const record = { command: '-', date: '-', commit: '-', machine: '-', driver: '-', node: null, load: null };
  const own = 'as the program does';
  const { rows } = suspectsSection(
    [row('a', own, 0.8), row('a', 'other', 0.6), row('b', own, 0.9), row('b', 'other', 0.5)],
    'random',
    record,
  );
  expect(rows).toEqual([
    ['a', '2 of 14', 'tiny, 64 pixels', own, 80, 50, 100],
    ['b', '2 of 14', 'tiny, 64 pixels', own, 90, 50, 100],
    ['mean of 2 sets', '-', 'tiny, 64 pixels', own, expect.closeTo(85, 9), 50, 100],
    ['mean of 2 sets', '-', 'tiny, 64 pixels', 'other', expect.closeTo(55, 9), 50, 100],
  ]);
});
