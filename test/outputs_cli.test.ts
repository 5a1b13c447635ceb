/**
 * What the commands do with files that are there already: photographs, models, results, and a reader that
 * goes.
 */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Ended, useCommand, useFolder } from './support/command.ts';
import { part, writeImage } from './support/layouts.ts';

const folder = useFolder();
const command = useCommand();
const out = join(folder, 'out');
const model = join(out, 'model.safetensors');
const good = join(folder, 'good');

/** Runs the command; with `closeStdout` its stdout is closed after the first piece. */
const aand = (args: readonly string[], closeStdout = false) => command.run(args, { closeStdout });

const names = (path: string) => readdirSync(path).sort();
const visible = (path: string) => names(path).filter((name) => !name.startsWith('.'));
const train = (...more: string[]) => [
  ...['train', good, '--out', out, '--mode', 'rd', '--image-size', '32', '--batch', '2', '--epochs', '1,1'],
  ...more,
];
let photograph: Uint8Array;

/** A folder of photographs by their paths in it. */
function photos(name: string, ...paths: string[]): string {
  for (const path of paths) {
    mkdirSync(join(folder, name, path, '..'), { recursive: true });
    writeFileSync(join(folder, name, path), photograph);
  }
  return join(folder, name);
}

beforeAll(async () => {
  mkdirSync(good);
  for (let i = 0; i < 2; i++) {
    await writeImage(join(good, `${i}.png`), part(0, i).image);
    photograph = readFileSync(join(good, `${i}.png`));
  }
  const { code, stderr } = await aand(train());
  if (code !== 0) throw new Error(stderr);
});

describe('train', () => {
  test('a finished model is not replaced unasked; --force keeps it; --resume gives the same one', async () => {
    const before = readFileSync(model);
    const refused = await aand(train());
    expect(refused).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`${model} is a finished model`),
    });
    expect((await aand(train('--resume'))).code).toBe(0);
    expect(readFileSync(model).equals(before)).toBe(true);
    expect((await aand(train('--force', '--seed', '1'))).code).toBe(0);
    expect(readFileSync(join(out, 'model.backup-1.safetensors')).equals(before)).toBe(true);
    expect(readFileSync(model).equals(before)).toBe(false);
    expect(names(out).filter((name) => /tmp|lock/.test(name))).toEqual([]);
  });

  test('two trainings into one folder: one is refused at once and names the other', async () => {
    const both = await Promise.all([aand(train('--force')), aand(train('--force'))]);
    expect(both.map(({ code }) => code).sort()).toEqual([0, 1]);
    const refused = both.find(({ code }) => code === 1);
    expect(refused?.stderr).toMatch(/out is in use by aand train \(process \d+, since/);
  });
});

describe('predict', () => {
  const rowsOf = ({ stdout }: Ended) => JSON.parse(stdout) as { path: string; picture: string }[];

  test('photographs are never replaced, however their folder is spelled, with --force neither', async () => {
    const here = photos('same', 'photo.png');
    symlinkSync(here, join(folder, 'same-link'));
    for (const spelling of [here, `${here}/../same`, join(folder, 'same-link')]) {
      const { code, stderr } = await aand(['predict', model, here, '--out', spelling, '--force']);
      expect(stderr).toMatch(/photo\.png is one of the files that are read; it is never replaced/);
      expect(code).toBe(1);
    }
    expect(readFileSync(join(here, 'photo.png')).equals(photograph)).toBe(true);
    expect(visible(here)).toEqual(['photo.png']);
  });

  test('pictures of earlier runs are not predicted; names do not collide and are those of the rows', async () => {
    const here = photos('inside', 'a.png', 'A.png', 'a.jpg', 'sub/a.png', '=1.png');
    const inside = join(here, 'pictures');
    const first = await aand(['predict', model, here, '--out', inside, '--json']);
    expect(first).toMatchObject({ code: 0 });
    const rows = rowsOf(first);
    expect(rows.map(({ path }) => path).sort()).toEqual(
      ['=1.png', 'A.png', 'a.jpg', 'a.png', 'sub/a.png'].map((path) => join(here, path)),
    );
    expect(new Set(rows.map(({ picture }) => picture.toLowerCase())).size).toBe(5);
    for (const { picture } of rows) expect(readFileSync(picture).length).toBeGreaterThan(1000);
    const second = await aand(['predict', model, here, '--out', inside, '--json']);
    expect(second.stderr).toContain('5 images are results that aand wrote; they are left out');
    expect(rowsOf(second)).toEqual(rows);
  });

  test('another photograph of the same name gets a name of its own; another model is said', async () => {
    const [monday, tuesday] = [photos('monday', '0.png'), photos('tuesday', '0.png')];
    const both = join(folder, 'both');
    await aand(['predict', model, monday, '--out', both]);
    const picture = readFileSync(join(both, '0.png'));
    const [row] = rowsOf(await aand(['predict', model, tuesday, '--out', both, '--json']));
    expect(row?.picture).not.toBe(join(both, '0.png'));
    expect(readFileSync(join(both, '0.png')).equals(picture)).toBe(true);
    const other = join(folder, 'other.safetensors');
    copyFileSync(model, other);
    const { code, stderr } = await aand(['predict', other, monday, '--out', both]);
    expect(stderr).toMatch(
      /1 pictures in .*both are of another model \(.*model\.safetensors\); they are replaced/,
    );
    expect(code).toBe(0);
  });

  test('an image that fails: what was done is printed, the JSON is valid', async () => {
    const here = photos('broken', '0.png', '2.png');
    writeFileSync(join(here, '1.png'), 'no image');
    const result = await aand(['predict', model, here, '--out', join(folder, 'broken-out'), '--json']);
    expect(rowsOf(result).map(({ path }) => path)).toEqual(
      ['0.png', '2.png'].map((name) => join(here, name)),
    );
    expect(result.code).toBe(1);
  });

  test('a reader that goes ends it quietly with exit code 0, and no lock stays', async () => {
    const many = photos('many', ...Array.from({ length: 40 }, (_, i) => `${i}.png`));
    const pictures = join(folder, 'many-out');
    const { code, stderr } = await aand(['predict', model, many, '--out', pictures], true);
    expect(code).toBe(0);
    expect(stderr).not.toMatch(/EPIPE|aand:|at /);
    expect(names(pictures).filter((name) => /tmp|lock/.test(name))).toEqual([]);
    expect(visible(pictures).length).toBeLessThan(40);
  });
});

describe('single files', () => {
  test('export: an existing file stays without --force, the model and a folder always', async () => {
    const file = join(folder, 'small.safetensors');
    writeFileSync(file, 'mine');
    const args = (path: string, ...more: string[]) => [
      'export',
      model,
      '--to',
      'safetensors-f16',
      '--out',
      path,
      ...more,
    ];
    expect(await aand(args(file))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('exists already'),
    });
    expect(readFileSync(file, 'utf8')).toBe('mine');
    const before = readFileSync(model);
    for (const path of [model, good]) expect((await aand(args(path, '--force'))).code).toBe(1);
    expect(readFileSync(model).equals(before)).toBe(true);
    expect((await aand(args(file, '--force'))).code).toBe(0);
    expect(readFileSync(join(folder, 'small.backup-1.safetensors'), 'utf8')).toBe('mine');
  });

  test('import onto its source is refused', async () => {
    const before = readFileSync(model);
    const { code, stderr } = await aand(['import', model, '--out', model, '--force']);
    expect([code, stderr]).toEqual([1, expect.stringContaining('is what is read')]);
    expect(readFileSync(model).equals(before)).toBe(true);
  });

  test('calibrate in place keeps the model before it and says where; --out onto another file is refused', async () => {
    const copy = join(folder, 'calibrated/model.safetensors');
    mkdirSync(join(copy, '..'));
    copyFileSync(model, copy);
    const before = readFileSync(copy);
    const done = await aand(['calibrate', copy, '--rule', 'value:0.5']);
    expect(done.stderr).toContain(join(folder, 'calibrated/model.backup-1.safetensors'));
    expect(readFileSync(join(folder, 'calibrated/model.backup-1.safetensors')).equals(before)).toBe(true);
    expect(readFileSync(copy).equals(before)).toBe(false);
    const photo = join(good, '0.png');
    const refused = await aand(['calibrate', copy, '--rule', 'value:0.5', '--out', photo]);
    expect([refused.code, readFileSync(photo).subarray(1, 4).toString()]).toEqual([1, 'PNG']);
  });

  test('data: its own contact sheet is replaced, a file of others is not', async () => {
    const sheet = join(folder, 'sheets/contact-sheet.png');
    for (let i = 0; i < 2; i++) expect((await aand(['data', good, '--out', sheet])).code).toBe(0);
    writeFileSync(sheet, 'mine');
    expect((await aand(['data', good, '--out', sheet])).code).toBe(1);
    expect(readFileSync(sheet, 'utf8')).toBe('mine');
  });
});
