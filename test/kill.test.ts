/** The short form of test/long/kill.test.ts: a training that is killed twice. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundle } from './support/bundle.ts';
import { drawProduct, killAndCompare } from './support/kills.ts';

const folder = mkdtempSync(join(tmpdir(), 'aand-kill-'));
const washer = join(folder, 'washer');
let cliFolder: string;

beforeAll(async () => {
  cliFolder = mkdtempSync(join(process.cwd(), 'node_modules', '.aand-kill-'));
  await bundle('src/cli/main.ts', join(cliFolder, 'cli.mjs'), 'node');
  await drawProduct(washer, 0, 4, 1);
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  rmSync(cliFolder, { recursive: true, force: true });
});

test('a training that is killed goes on to the same files; nothing is half written, nothing is left', async () => {
  const args = (out: string) => [
    'train',
    washer,
    '--out',
    out,
    '--image-size',
    '32',
    '--batch',
    '2',
    '--epochs',
    '1,2',
  ];
  const scenario = { name: 'train', first: args, again: (out: string) => [...args(out), '--resume'] };
  const row = await killAndCompare(join(cliFolder, 'cli.mjs'), folder, scenario, {
    kills: 2,
    perRun: 2,
    seed: 1,
  });
  expect(row).toMatchObject({ kills: 2, broken: [], differing: [], leftovers: [] });
  expect(row.identical).toBe(row.resumed);
}, 300_000);
