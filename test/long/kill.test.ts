/**
 * Kills: train (both stages), benchmark, distill-teacher and calibrate end by SIGKILL at random moments,
 * around writes too, and go on. `npm run test:kill`; KILLS=6 for fewer, KILL_SEED for other moments.
 */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { drawProduct, killAndCompare, killTable, type Row, type Scenario } from '../support/kills.ts';

const cli = resolve('dist/cli.js');
const teacher = resolve('weights/teacher_resnet18.safetensors');
const total = Number(process.env.KILLS ?? 50);
const seed = Number(process.env.KILL_SEED ?? 0);
const folder = mkdtempSync(join(tmpdir(), 'aand-kill-'));
const data = join(folder, 'data');
const washer = join(data, 'washer');
const model = join(folder, 'model', 'model.safetensors');
const quick = ['--image-size', '32', '--batch', '2', '--epochs', '2,3'];
const one = ['--image-size', '32', '--batch', '2', '--epochs', '1,1'];
const rows: Row[] = [];

const scenarios: readonly (Scenario & { readonly share: number; readonly perRun: number })[] = [
  {
    name: 'train',
    share: 0.5,
    perRun: 5,
    first: (out) => ['train', washer, '--out', out, ...quick],
    again: (out) => ['train', washer, '--out', out, ...quick, '--resume'],
  },
  {
    name: 'benchmark',
    share: 0.2,
    perRun: 5,
    first: (out) => ['benchmark', data, '--out', out, '--modes', 'rd,aand', ...one],
    again: (out) => ['benchmark', data, '--out', out, '--modes', 'rd,aand', ...one],
  },
  {
    name: 'distill-teacher',
    share: 0.2,
    perRun: 5,
    first: (out) => distill(out),
    again: (out) => [...distill(out), '--resume'],
  },
  {
    name: 'calibrate',
    share: 0.1,
    perRun: 3,
    prepare: (out) => copyFileSync(model, join(out, 'model.safetensors')),
    first: (out) => ['calibrate', join(out, 'model.safetensors'), join(washer, 'train/good')],
    again: (out) => ['calibrate', join(out, 'model.safetensors'), join(washer, 'train/good')],
  },
];

function distill(out: string): string[] {
  const options = ['--epochs', '3', '--batch', '2', '--image-size', '32'];
  return [
    'distill-teacher',
    '--from',
    teacher,
    '--images',
    washer,
    '--out',
    join(out, 'small.safetensors'),
    ...options,
  ];
}

beforeAll(async () => {
  await drawProduct(washer, 0, 4, 2);
  mkdirSync(join(folder, 'model'));
});
afterAll(() => {
  console.log(killTable(rows));
  rmSync(folder, { recursive: true, force: true });
});

describe(`${total} kills`, () => {
  test.each(scenarios.map((scenario) => [scenario.name, scenario] as const))('%s', async (name, scenario) => {
    const kills = Math.max(1, Math.round(total * scenario.share));
    const row = await killAndCompare(cli, folder, scenario, { kills, perRun: scenario.perRun, seed });
    if (name === 'train') copyFileSync(join(folder, 'train-alone', 'model.safetensors'), model);
    rows.push(row);
    expect(row.kills).toBe(kills);
    expect(row.broken).toEqual([]);
    expect(row.differing).toEqual([]);
    expect(row.leftovers).toEqual([]);
    expect(row.identical).toBe(row.resumed);
  });
});
