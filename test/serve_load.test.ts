/** The measurement of a server under load: every request has an answer and a line in the log. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { measureLoad } from '../bench/load.ts';
import { useCommand } from './support/command.ts';
import { writeModel } from './support/page_copies.ts';

const command = useCommand();
const folder = mkdtempSync(join(tmpdir(), 'aand-load-test-'));
const model = join(folder, 'model.safetensors');
beforeAll(() => writeModel(model));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('many senders at once: nothing is lost, and the figures are those of the answers', async () => {
  let told = 0;
  const result = await measureLoad({
    cli: command.path,
    model,
    name: 'small',
    requests: 60,
    concurrency: 8,
    folder,
    onProgress: (done, total) => {
      told++;
      expect([done, total]).toEqual([told, 60]);
    },
  });
  expect(told).toBe(60);
  expect(result).toMatchObject({ requests: 60, concurrency: 8, failed: 0, missing: 0, surplus: 0 });
  expect(readFileSync(join(folder, 'small-8.jsonl'), 'utf8').trim().split('\n')).toHaveLength(60);
  expect(result.requests_per_s).toBeCloseTo(60 / result.seconds, 6);
  expect(result.p50_ms).toBeGreaterThan(0);
  expect(result.p99_ms).toBeGreaterThanOrEqual(result.p50_ms);
  expect(result.slowest_ms).toBeGreaterThanOrEqual(result.p99_ms);
  expect(result.memory_mib).toHaveLength(20);
  expect(Math.min(...result.memory_mib)).toBeGreaterThan(20);
});

test('requests that the server refuses are counted as failed', async () => {
  const result = await measureLoad({
    cli: command.path,
    model,
    name: 'refused',
    requests: 20,
    concurrency: 2,
    folder,
    pictures: [new Uint8Array([1, 2, 3])],
  });
  expect(result).toMatchObject({ failed: 20, missing: 0, surplus: 0, requests_per_s: 0 });
});

test('a server that does not start ends the measurement with what it said', async () => {
  const missing = join(folder, 'none.safetensors');
  await expect(
    measureLoad({ cli: command.path, model: missing, name: 'none', requests: 1, concurrency: 1, folder }),
  ).rejects.toThrow(/aand serve has ended: .*none\.safetensors/s);
});
