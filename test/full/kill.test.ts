/** A training that is killed twice; test/long/kill.test.ts kills every command at many moments. */
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { useCommand, useFolder } from '../support/command.ts';
import { drawProduct, killAndCompare } from '../support/kills.ts';

const folder = useFolder();
const command = useCommand();
const washer = join(folder, 'washer');

beforeAll(() => drawProduct(washer, 0, 4, 1));

test('a training that is killed goes on to the same files; nothing is half written, nothing is left', async () => {
  const quick = ['--image-size', '32', '--batch', '2', '--epochs', '1,2'];
  const args = (out: string) => ['train', washer, '--out', out, ...quick];
  const scenario = { name: 'train', first: args, again: (out: string) => [...args(out), '--resume'] };
  const row = await killAndCompare(command.path, folder, scenario, {
    kills: 2,
    perRun: 2,
    seed: 1,
  });
  expect(row).toMatchObject({ kills: 2, broken: [], differing: [], leftovers: [] });
  expect(row.identical).toBe(row.resumed);
});
