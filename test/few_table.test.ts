import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fewRuns, fewSection, shellLine } from '../bench/learning/few.ts';
import type { Provenance } from '../src/bench/provenance.ts';

let folder: string;
const write = (path: string, text = path) => {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
};
const runs = (counts: number[]) =>
  fewRuns(join(folder, 'source/screw'), {
    out: join(folder, 'out'),
    counts,
    seeds: [0],
    augment: ['rotations', 'light'],
    options: ['--backbone', 'resnet18_half'],
  });

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'few '));
  for (let i = 0; i < 40; i++) write(`source/screw/train/good/${i}.png`);
  for (const kind of ['good', 'cut']) for (let i = 0; i < 2; i++) write(`source/screw/test/${kind}/${i}.png`);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const record = (driver: string): Provenance => ({
  command: 'few-table',
  date: 'today',
  commit: 'abc',
  machine: 'two cores',
  driver,
  node: '20',
  load: 3,
});

describe('subsets of few photographs', () => {
  it('are part of larger ones, with the whole test set; each is trained in every way', async () => {
    const made = await runs([4, 32]);
    const good = (n: number) => readdirSync(join(folder, `out/data/n${n}-seed0/screw/train/good`));
    expect(good(4)).toHaveLength(4);
    expect(good(32)).toEqual(expect.arrayContaining(good(4)));
    expect(readdirSync(join(folder, 'out/data/n4-seed0/screw/test/cut'))).toEqual(['0.png', '1.png']);
    const asked = made.map(({ out, args }) => [
      out.slice(out.indexOf('screw')),
      args.slice(args.indexOf('--threshold') + 2, -2).join(' '),
    ]);
    expect(asked).toEqual([
      ['screw/n4/100-epochs/seed0', '--epochs 100,120 --hold-out 0'],
      ['screw/n4/adaptive/seed0', ''],
      ['screw/n4/with-copies/seed0', '--augment rotations,light'],
      ['screw/n4/patchcore/seed0', ''],
      ['screw/n32/100-epochs/seed0', '--epochs 100,120 --hold-out 0.1'],
      ['screw/n32/adaptive/seed0', '--hold-out 0.1'],
      ['screw/n32/with-copies/seed0', '--hold-out 0.1 --augment rotations,light'],
      ['screw/n32/patchcore/seed0', '--hold-out 0.1'],
    ]);
    await expect(runs([41])).rejects.toThrow('screw has 40 good images to learn from, 41 are asked for');
  });

  it('are lines for a shell that do nothing twice', async () => {
    const [run] = await runs([4]);
    const line = shellLine(run as NonNullable<typeof run>, 'npx aand');
    expect(line).toMatch(
      /^\[ -e '.*few .*\/metrics\.json' \] \|\| npx aand train '.*' --out '.*' --seed 0 --resume /,
    );
    expect(line).toMatch(/ --backbone resnet18_half$/);
  });
});

describe('the table of few photographs', () => {
  it('has mean and deviation over seeds, and what the threshold does to the test set', () => {
    expect(() => fewSection([join(folder, 'out')], [], record)).toThrow('no finished training');
    for (const [seed, auroc] of [
      [0, 0.6],
      [1, 0.8],
    ] as const) {
      const metrics = {
        image_AUROC: auroc,
        pixel_AUROC: 0.9,
        adapter: 'a device',
        image_threshold: { threshold: 2 },
      };
      write(`out/screw/n4/adaptive/seed${seed}/metrics.json`, JSON.stringify(metrics));
      const rows = [
        '"a,b.png",good,1',
        'b.png,good,2',
        'c.png,bad,3',
        'd.png,bad,1.5',
        'e.png,bad,1',
        'f.png,bad,4',
      ];
      write(`out/screw/n4/adaptive/seed${seed}/scores.csv`, ['path,label,raw_score', ...rows].join('\n'));
    }
    const { rows, record: kept } = fewSection([join(folder, 'out')], ['a command'], record);
    const same = (mean: number) => ({ mean, deviation: 0 });
    expect(rows).toEqual([
      [
        'screw',
        '4',
        'adaptive',
        '2',
        { mean: 70, deviation: expect.closeTo(14.142, 3) },
        same(90),
        same(50),
        same(50),
      ],
    ]);
    expect(kept).toMatchObject({ driver: 'a device', load: null });
  });

  it('has rows of several folders in the order of products, counts and kinds', () => {
    const metrics = { image_AUROC: 0.5, pixel_AUROC: 0.5, adapter: '-', image_threshold: { threshold: 1 } };
    const run = (path: string) => {
      write(`${path}/seed0/metrics.json`, JSON.stringify(metrics));
      write(`${path}/seed0/scores.csv`, 'path,label,raw_score\na,good,0\nb,bad,2');
    };
    run('first/tile/n16/adaptive');
    run('first/tile/n2/patchcore');
    run('second/bolt/n4/adaptive');
    run('second/tile/n2/100-epochs');
    const folders = ['first', 'second'].map((name) => join(folder, name));
    expect(fewSection(folders, [], record).rows.map((row) => row.slice(0, 3).join(' '))).toEqual([
      'bolt 4 adaptive',
      'tile 2 100 epochs',
      'tile 2 patchcore',
      'tile 16 adaptive',
    ]);
  });
});
