/** `aand data --suspects`, `aand train --drop-suspects` and `--leave-out` on a small product. */
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { useCommand, useFolder } from './support/command.ts';
import { writeMvtec } from './support/layouts.ts';

const folder = useFolder();
const command = useCommand();
const path = (name: string) => join(folder, name);
const aand = (args: readonly string[]) => command.run(args, { cwd: folder });
const quick = ['--image-size', '32', '--batch', '3', '--epochs', '1,1', '--backbone', 'resnet18_half'];
const json = (name: string) => JSON.parse(readFileSync(path(name), 'utf8'));
const planted = 'train/good/003a-chip.png';

beforeAll(async () => {
  await writeMvtec(folder, 'hazelnut');
  copyFileSync(path('hazelnut/test/chip/000.png'), path(`hazelnut/${planted}`));
});

describe('data --suspects', () => {
  test('prints, draws and lists them; the list can be given back', async () => {
    const { code, stdout, stderr } = await aand(['data', 'hazelnut', '--suspects', '2']);
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/ {4}1 {2}\d\.\d{3} {2}train\/good\/003a-chip\.png\n {5}2 {2}\d/);
    const list = readFileSync(path('suspects.txt'), 'utf8').split('\n');
    expect(list.filter((line) => line && !line.startsWith('#'))).toHaveLength(2);
    expect(list[2]).toBe(planted);
    expect(readFileSync(path('suspects.png')).subarray(1, 4).toString()).toBe('PNG');
    const training = ['train', 'hazelnut', '--out', 'listed', ...quick, '--leave-out', 'suspects.txt'];
    const trained = await aand(training);
    expect(trained.code, trained.stderr).toBe(0);
    expect(trained.stderr).toContain('2 images of suspects.txt are left out');
    const { left_out, counts, settings } = json('listed/metrics.json');
    expect(left_out.listed).toContain(planted);
    expect([left_out.listed.length, counts.train_good, settings.listed_left_out]).toEqual([2, 5, 2]);
  });

  test('takes a share, and leaves files of others alone', async () => {
    writeFileSync(path('hazelnut/suspects.txt'), 'mine');
    const { code, stderr } = await aand(['data', 'hazelnut', '--suspects', '--out', 'hazelnut/sheet.png']);
    expect([code, stderr]).toEqual([1, expect.stringContaining('suspects.txt was not written by aand data')]);
    expect(existsSync(path('hazelnut/sheet.png'))).toBe(false);
    rmSync(path('hazelnut/suspects.txt'));
    const shared = await aand(['data', 'hazelnut', '--suspects', '.3', '--out', 'share/a.png', '--json']);
    expect(shared.code, shared.stderr).toBe(0);
    const { suspects } = JSON.parse(shared.stdout);
    expect(suspects.map(({ rank }: { rank: number }) => rank)).toEqual([1, 2]);
    expect(suspects[0].file).toBe(planted);
  });
});

describe('train --drop-suspects', () => {
  const training = ['train', 'hazelnut', '--out', 'dropped', ...quick, '--drop-suspects', '.3'];

  test('leaves them out and says which; a resumed training leaves out the same', async () => {
    const { code, stderr } = await aand(training);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain(
      'suspects: 2 of 7 good images are left out (--drop-suspects):\n  train/good/003a-',
    );
    const first = json('dropped/metrics.json');
    expect(first.left_out.suspects[0]).toBe(planted);
    expect(first.counts.train_good).toBe(5);
    expect(first.settings).toMatchObject({ drop_suspects: 0.3, suspects_left_out: 2 });
    expect(first.run.settings['share of suspects left out']).toBe(0.3);
    expect(json('dropped/suspects.json').left_out).toEqual(first.left_out.suspects);
    rmSync(path('dropped/metrics.json'));
    const resumed = await aand([...training, '--resume']);
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(resumed.stderr).not.toContain('comparing');
    expect(json('dropped/metrics.json').left_out).toEqual(first.left_out);
    // Another share is another training.
    const other = await aand([...training.slice(0, -1), '.15', '--resume']);
    expect([other.code, other.stderr]).toEqual([
      1,
      expect.stringMatching(/variant was .*suspects left out: 2/),
    ]);
  });

  test('keeps them from the threshold too', async () => {
    const { code, stderr } = await aand([
      ...['train', 'hazelnut/train/good', '--out', 'alone', ...quick, '--drop-suspects', '.3'],
      ...['--hold-out', '.4'],
    ]);
    expect(code, stderr).toBe(0);
    const bytes = readFileSync(path('alone/model.safetensors'));
    const header = bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString();
    expect(header).not.toContain('003a-chip');
    expect(json('alone/metrics.json').left_out.suspects[0]).toBe('003a-chip.png');
  });
});

describe('what cannot be done is said before anything is trained', () => {
  const train = (...more: string[]) => aand(['train', 'hazelnut', '--out', 'never', ...quick, ...more]);

  test('all images as suspects, a list of other files, a list that is not there', async () => {
    const all = await train('--drop-suspects', '.99');
    expect([all.code, all.stderr]).toEqual([
      1,
      expect.stringContaining('--drop-suspects 0.99 leaves out all of the 7 good images'),
    ]);
    writeFileSync(path('wrong.txt'), 'train/good/900.png\n');
    const wrong = await train('--leave-out', 'wrong.txt');
    expect([wrong.code, wrong.stderr]).toEqual([
      1,
      expect.stringContaining('wrong.txt names train/good/900.png, which is no training image of hazelnut'),
    ]);
    const missing = await train('--leave-out', 'nowhere.txt');
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining('nowhere.txt')]);
    expect(existsSync(path('never/model.safetensors'))).toBe(false);
  });
});
