/**
 * Commands on files of which some cannot be read: these are named, counted and left out, and the results of
 * the others are whole.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { demoProducts } from '../src/synthetic/demo_products.ts';
import { type Ended, useCommand, useFolder } from './support/command.ts';
import { part, writeImage } from './support/layouts.ts';

const folder = useFolder();
const command = useCommand();
const aand = (...args: string[]) => command.run(args);
const product = join(folder, 'product');
let trained: Ended;

/** A drawn part, and where it is defective its mask. */
async function draw(path: string, index: number, defect?: string): Promise<void> {
  const { image, mask } = part(0, index, defect);
  await writeImage(path, image);
  const truth = path.replace('/test/', '/ground_truth/').replace('.png', '_mask.png');
  if (mask) await writeImage(truth, mask);
}

beforeAll(async () => {
  const defect = Object.keys((demoProducts[0] as (typeof demoProducts)[number]).defects)[0] as string;
  for (const i of [0, 1, 2, 3, 4]) await draw(join(product, `train/good/${i}.png`), i);
  for (const i of [0, 1, 2]) await draw(join(product, `test/good/${i}.png`), 10 + i);
  for (const i of [0, 1, 2]) await draw(join(product, `test/${defect}/${i}.png`), 20 + i, defect);
  writeFileSync(join(product, 'train/good/2.png'), 'no image');
  writeFileSync(join(product, 'test/good/1.png'), '');
  writeFileSync(join(product, `ground_truth/${defect}/2_mask.png`), 'no mask');
  trained = await aand(
    ...['train', product, '--out', join(folder, 'out'), '--mode', 'rd', '--image-size', '32'],
    ...['--batch', '2', '--epochs', '1,1'],
  );
});

test('train leaves out what cannot be read, before it trains, and says so in metrics.json and at the end', () => {
  const { code, stderr } = trained;
  expect(code, stderr).toBe(1);
  expect(stderr).toContain(
    'aand: 3 files could not be read and were left out, the results are of the others: ',
  );
  const report = JSON.parse(readFileSync(join(folder, 'out/metrics.json'), 'utf8'));
  expect(
    report.unreadable.map(({ path }: { path: string }) => path.replace(/^.*\/(.*\/.*\/)/, '$1')).sort(),
  ).toEqual([
    expect.stringMatching(/^ground_truth\/.*\/2_mask\.png$/),
    'test/good/1.png',
    'train/good/2.png',
  ]);
  expect(report.counts).toEqual({ train_good: 4, test_good: 2, test_anomalous: 3, test_without_mask: 1 });
  for (const name of ['model.safetensors', 'report.html', 'scores.csv'])
    expect(existsSync(join(folder, 'out', name)), name).toBe(true);
  for (const named of ['1.png', '2.png', '2_mask.png'])
    expect(stderr.indexOf(named), named).toBeLessThan(stderr.indexOf('stage II'));
});

test('predict scores the readable ones of any mixture; --strict none', async () => {
  const photos = join(folder, 'photos');
  for (const name of ['a.png', 'z.png']) await draw(join(photos, name), 30);
  const whole = readFileSync(join(photos, 'a.png'));
  writeFileSync(join(photos, 'half.png'), whole.subarray(0, whole.length / 2));
  writeFileSync(join(photos, 'empty.png'), '');
  mkdirSync(join(photos, 'folder.png'));
  symlinkSync('gone.png', join(photos, 'broken.png'));
  symlinkSync('/dev/zero', join(photos, 'device.png'));
  symlinkSync('.', join(photos, 'loop'));
  spawnSync('mkfifo', [join(photos, 'pipe.png')]);
  const model = join(folder, 'out/model.safetensors');
  const missing = join(folder, 'missing.png');
  const { code, stdout, stderr } = await aand(
    'predict',
    model,
    missing,
    photos,
    '--out',
    join(folder, 'p'),
    '--json',
  );
  expect(code, stderr).toBe(1);
  const rows = JSON.parse(stdout) as { path: string; raw_score: number }[];
  expect(rows.map(({ path }) => path)).toEqual(['a.png', 'z.png'].map((name) => join(photos, name)));
  expect(rows[0]?.raw_score).toBe(rows[1]?.raw_score);
  for (const reason of [
    `${missing}: no such file or folder`,
    `${photos}/half.png: cannot be read as an image`,
    `${photos}/empty.png: the file is empty`,
    `${photos}/folder.png: a folder, not a file`,
    `${photos}/broken.png: no such file`,
    `${photos}/device.png: a device, not a file`,
    `${photos}/pipe.png: a named pipe, not a file`,
  ])
    expect(stderr).toContain(`cannot be read, left out: ${reason}`);
  expect(stderr).toContain('aand: 7 files could not be read');

  const strict = await aand('predict', model, photos, '--out', join(folder, 's'), '--json', '--strict');
  expect(strict.code, strict.stderr).toBe(1);
  expect(strict.stdout).not.toContain('raw_score');
});

test('a pipe as model or weights, and a rule that needs defects, are refused at once', async () => {
  const pipe = join(folder, 'pipe.safetensors');
  spawnSync('mkfifo', [pipe]);
  const good = join(product, 'train/good');
  const model = await aand('predict', pipe, good, '--out', join(folder, 'x'));
  expect([model.code, model.stderr]).toEqual([1, `aand: ${pipe}: a named pipe, not a file\n`]);
  const weights = await aand('train', good, '--weights', pipe, '--out', join(folder, 'x'));
  expect([weights.code, weights.stderr]).toEqual([1, `aand: ${pipe}: a named pipe, not a file\n`]);
  const rule = await aand(
    'train',
    good,
    '--threshold',
    'f1',
    '--out',
    join(folder, 'x'),
    '--image-size',
    '32',
  );
  expect(rule.code).toBe(1);
  expect(rule.stderr).toContain('--threshold f1 needs good and defective images');
  expect(rule.stderr).not.toContain('stage');
});
