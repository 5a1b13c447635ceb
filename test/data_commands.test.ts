/**
 * Commands on data sets as people have them: what is guessed is said and reaches metrics.json, and changes no
 * result.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, test } from 'vitest';
import { useCommand, useFolder } from './support/command.ts';
import { writeMvtec } from './support/layouts.ts';

const folder = useFolder();
const command = useCommand();
const path = (name: string) => join(folder, name);
const aand = (args: readonly string[], cwd = folder) => command.run(args, { cwd });

const quick = ['--image-size', '32', '--batch', '3', '--epochs', '1,1'];
const metrics = (run: string) => JSON.parse(readFileSync(path(`${run}/metrics.json`), 'utf8'));
const model = () => path('named/model.safetensors');

/** The tensors of a model file, without the header that knows paths and times. */
function tensors(run: string): Buffer {
  const bytes = readFileSync(path(`${run}/model.safetensors`));
  return bytes.subarray(8 + Number(bytes.readBigUInt64LE(0)));
}

/** A copy of the product whose masks are written anew. */
async function withMasks(
  name: string,
  change: (mask: Buffer) => readonly number[],
  channels: 1 | 3 | 4,
): Promise<string> {
  cpSync(path('hazelnut'), path(name), { recursive: true });
  for (const defect of readdirSync(path(`${name}/ground_truth`))) {
    const file = path(`${name}/ground_truth/${defect}/000_mask.png`);
    const { data, info } = await sharp(file).toColourspace('b-w').raw().toBuffer({ resolveWithObject: true });
    const raw = { width: info.width, height: info.height, channels };
    writeFileSync(
      file,
      await sharp(Uint8Array.from(change(data)), { raw })
        .png()
        .toBuffer(),
    );
  }
  return path(name);
}

beforeAll(async () => {
  await writeMvtec(folder, 'hazelnut');
  const { code, stderr } = await aand(['train', 'hazelnut', '--out', 'named', ...quick]);
  expect(code, stderr).toBe(0);
});

describe('train', () => {
  test('from inside the folder learns the same weights, by the rule of the category', async () => {
    const { code, stderr } = await aand(['train', '.', '--out', '../inside', ...quick], path('hazelnut'));
    expect(code, stderr).toBe(0);
    expect(metrics('inside').settings.foreground).toBe('threshold:50');
    expect(tensors('inside').equals(tensors('named'))).toBe(true);
    expect(metrics('named')).toMatchObject({
      category: 'hazelnut',
      masks: {
        count: 2,
        encoding: 'bright on black, values 0 and 255; marked above 127.5',
        empty: [],
        full: [],
      },
      warnings: [],
    });
  });

  test('ends before it begins where all masks are empty', async () => {
    const empty = await withMasks('empty', (mask) => [...mask].map(() => 0), 1);
    const { code, stderr } = await aand(['train', empty, '--out', 'never', ...quick]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/all 2 masks are empty \(the first is .*000_mask\.png\), read as: /);
    expect(stderr).not.toMatch(/stage I/);
  });
});

describe('test', () => {
  let usual: Record<string, unknown>;
  const numbers = ({ image_AUROC, pixel_AUROC, AUPRO, pixel_AP, counts }: Record<string, unknown>) => ({
    image_AUROC,
    pixel_AUROC,
    AUPRO,
    pixel_AP,
    counts,
  });

  test('white on black: nothing is said', async () => {
    const { code, stderr } = await aand(['test', model(), 'hazelnut', '--out', 'usual']);
    expect(code, stderr).toBe(0);
    expect(stderr).not.toMatch(/warning:/);
    usual = metrics('usual');
    expect(usual.pixel_AUROC).toBeTypeOf('number');
  });

  test.each<[string, (mask: Buffer) => readonly number[], 1 | 3 | 4, string]>([
    [
      '0 and 1',
      (mask) => [...mask].map((value) => (value ? 1 : 0)),
      1,
      'bright on black, values 0 and 1; marked above 0.5',
    ],
    [
      'alpha',
      (mask) => [...mask].flatMap((value) => [255, 255, 255, value]),
      4,
      'in the alpha channel, opaque on transparent, values 0 and 255; marked above 127.5',
    ],
    [
      'inverted',
      (mask) => [...mask].map((value) => 255 - value),
      1,
      'dark on white, values 0 and 255; marked where the difference is above 127.5',
    ],
  ])('masks %s: the same metrics, and the guess is said', async (name, change, channels, words) => {
    const { code, stderr } = await aand([
      'test',
      model(),
      await withMasks(name, change, channels),
      '--out',
      `out ${name}`,
    ]);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain(`warning: masks: ${words}`);
    const report = metrics(`out ${name}`);
    expect(numbers(report)).toEqual(numbers(usual));
    expect(report.masks.encoding).toBe(words);
    expect(report.warnings).toEqual([`masks: ${words}`]);
  });

  test('good parts by another name, hidden files, one empty mask', async () => {
    const root = await withMasks('messy', (mask) => [...mask].map((value) => value), 1);
    renameSync(join(root, 'test/good'), join(root, 'test/OK'));
    mkdirSync(join(root, 'test/.ipynb_checkpoints'));
    cpSync(join(root, 'test/OK/000.png'), join(root, 'test/.ipynb_checkpoints/000-checkpoint.png'));
    cpSync(join(root, 'test/OK/000.png'), join(root, 'test/OK/._000.png'));
    const mask = join(root, 'ground_truth/chip/000_mask.png');
    writeFileSync(
      mask,
      await sharp({ create: { width: 64, height: 64, channels: 3, background: 'black' } })
        .png()
        .toBuffer(),
    );
    const { code, stderr } = await aand(['test', model(), root, '--out', 'out messy']);
    expect(code, stderr).toBe(0);
    const report = metrics('out messy');
    expect(report.counts).toEqual(usual.counts);
    expect(report.image_AUROC).toBe(usual.image_AUROC);
    expect(report.masks.empty).toEqual([mask]);
    expect(report.warnings).toEqual([`${root}/test/OK is taken as good`, `${mask}: the mask is empty`]);
    for (const warning of report.warnings) expect(stderr).toContain(`warning: ${warning}`);

    const shown = await aand(['data', root, '--out', 'sheet.png']);
    expect(shown.stdout).toContain('masks: bright on black, values 0 and 255; marked above 127.5');
    expect(shown.stdout).toContain(`hidden, left out: 2, such as ${root}/test/.ipynb_checkpoints/`);
    expect(shown.stdout).toContain(`${root}/test/OK is taken as good`);
    expect(shown.stdout).toContain(`${mask}: the mask is empty`);
  });
});
