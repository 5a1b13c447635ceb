/**
 * The benchmark with all categories and modes, and the same numbers through a queue although a worker is
 * killed.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { numbers } from '../support/benchmark_numbers.ts';
import { useCommand, useFolder } from '../support/command.ts';
import { writeMvtec, writeMvtec3d } from '../support/layouts.ts';
import { hasRedis, useRedis } from '../support/redis.ts';

const folder = useFolder();
const command = useCommand();
const quick = ['--image-size', '32', '--batch', '3', '--epochs', '1,2'];
const benchmark = (out: string, ...more: string[]) => [
  ...['benchmark', join(folder, 'mvtec'), '--out', out, '--modes', 'rd,aand', '--seeds', '0'],
  ...quick,
  ...more,
];
const alone = join(folder, 'alone');

beforeAll(async () => {
  await writeMvtec(join(folder, 'mvtec'), 'washer', 0);
  await writeMvtec(join(folder, 'mvtec'), 'fabric', 1);
  await writeMvtec3d(join(folder, 'mvtec3d'), 'bagel');
});

test('train reads photographs beside depth maps, by the rule of the category', async () => {
  const out = join(folder, 'out-mvtec3d');
  const args = ['--category', 'bagel', '--out', out, ...quick];
  const { code, stderr } = await command.run(['train', join(folder, 'mvtec3d'), ...args]);
  expect(stderr).not.toContain('warning');
  expect(code).toBe(0);
  const metrics = JSON.parse(readFileSync(join(out, 'metrics.json'), 'utf8'));
  expect(metrics).toMatchObject({
    format: 'mvtec3d',
    counts: { train_good: 6, test_good: 2, test_anomalous: 2, test_without_mask: 0 },
  });
  expect(metrics.AUPRO).toBeTypeOf('number');
  expect(metrics.settings.foreground).toBe('threshold:50');
  expect(readdirSync(join(out, 'images')).sort()).toEqual(['chip', 'good', 'rust']);
});

test('a benchmark runs every category in every mode', async () => {
  const { code, stderr } = await command.run(benchmark(alone));
  expect(stderr).toContain('run 4 of 4');
  expect(code).toBe(0);
  expect(Object.keys(numbers(alone))).toEqual([
    'fabric/rd/0',
    'washer/rd/0',
    'fabric/aand/0',
    'washer/aand/0',
  ]);
});

describe.skipIf(!hasRedis())('through a queue', () => {
  const redis = useRedis();

  test('two workers, one killed in the middle of a run: the same numbers as in one process', async () => {
    const out = join(folder, 'queued');
    const coordinator = command.start(benchmark(out, '--queue', redis.url));
    const worker = (name: string) => ['worker', '--queue', redis.url, '--root', folder, '--name', name];
    const survivor = command.start(worker('survivor'));
    let killed = '';
    const victim = command.start(worker('victim'), {
      onError(text, child) {
        if (killed || !/stage (I|II) /.test(text)) return;
        killed = /victim: (.*)/.exec(text)?.[1] ?? 'unknown';
        child.kill('SIGKILL');
      },
    });
    await victim.ended;
    expect(killed).toMatch(/^(washer|fabric), /);
    const { code, stderr } = await coordinator.ended;
    expect(stderr).toContain(`${killed}: its worker is gone; the run goes back to the queue`);
    expect(code).toBe(0);
    survivor.child.kill('SIGINT');
    const ended = await survivor.ended;
    expect(ended.code).toBe(0);
    expect(ended.stderr).toContain(`survivor: ${killed}`);
    expect(numbers(out)).toEqual(numbers(alone));
  });
});
