/** Addresses of the queue, and jobs as the worker reads them; the queue at work is in queue_redis.test.ts. */
import { once } from 'node:events';
import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { benchmarkCommand } from '../src/cli/benchmark.ts';
import type { BenchmarkTask } from '../src/cli/benchmark_tasks.ts';
import { UsageError } from '../src/cli/common.ts';
import { plainText } from '../src/cli/queue_broker.ts';
import { confine, jobOptions, parseJob, parseRow, RefusedJob, rowOf } from '../src/cli/queue_job.ts';
import { useFolder } from './support/command.ts';
import { brokerAt, washerTask as task } from './support/queue.ts';

const folder = useFolder(realpathSync(tmpdir()));

describe('the address', () => {
  test.each([
    ['redis://host', 'redis://host'],
    ['redis://:pass%2Fword@host:7000/2', 'redis://:***@host:7000/2'],
    ['rediss://worker:secret@[::1]:6380', 'rediss://worker:***@[::1]:6380'],
    ['redis://maybeSecret@host', 'redis://***@host'],
  ])('%s is shown as %s', async (queue, shown) => {
    expect((await brokerAt(queue)).shown).toBe(shown);
  });

  test('what the broker says is shown without the password and without control characters', async () => {
    const broker = await brokerAt('redis://:pass%2Fword@host');
    expect(broker.hide('AUTH pass/word pass%2Fword\u001b[2J')).toBe('AUTH *** *** [2J');
    expect(broker.connection).toMatchObject({ host: 'host', port: 6379, password: 'pass/word' });
  });

  test.each([
    'secret',
    'http://:secret@host',
    'redis:/:secret@host',
    'redis://:secret@host?db=1',
    'redis://:secret@host/x',
  ])('%s is refused, and not repeated', async (queue) => {
    const error = (await brokerAt(queue).catch((caught) => caught)) as Error;
    expect(error).toBeInstanceOf(UsageError);
    expect(error.message).toMatch(/must be an address such as redis:\/\/host:6379/);
    expect(error.message).not.toContain('secret');
  });

  test('a server that takes connections and says nothing is an error', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const { port } = server.address() as AddressInfo;
      const broker = await brokerAt(`redis://127.0.0.1:${port}`);
      await expect(broker.reach()).rejects.toThrow(/no Redis answers at .* has said nothing for 10 s/);
    } finally {
      server.close();
    }
  });

  test('certificates belong to rediss, and must be readable', async () => {
    await expect(brokerAt('redis://host', { queueCa: '/x' })).rejects.toThrow(
      /need an address that begins with rediss/,
    );
    await expect(brokerAt('rediss://host', { queueCert: '/x' })).rejects.toThrow(/belong together/);
    await expect(brokerAt('rediss://host', { queueCa: join(folder, 'none') })).rejects.toThrow(
      /--queue-ca: ENOENT/,
    );
  });
});

describe('jobs', () => {
  test('a right one is taken as it is', () => {
    expect(parseJob(JSON.parse(JSON.stringify(task)))).toEqual(task);
  });

  test('every option of the command travels, and nothing else', () => {
    const program = new Command();
    benchmarkCommand(program);
    const here = [
      'out',
      'force',
      'categories',
      'modes',
      'seeds',
      'category',
      'queue',
      'queueCa',
      'queueCert',
      'queueKey',
      'queueWait',
    ];
    const names = (program.commands[0]?.options ?? []).map((option) => option.attributeName());
    expect(names.filter((name) => !here.includes(name)).sort()).toEqual(
      Object.keys(jobOptions.entries).sort(),
    );
  });

  test('wrong types, unknown fields, hostile names are refused, by field', () => {
    const many = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`x${i}`, i]));
    for (const [field, changes] of [
      ['data', null],
      ['data', 'text'],
      ['data', []],
      ['dataset', { dataset: 7 }],
      ['dataset', { dataset: '' }],
      ['dataset', { dataset: 'a\0b' }],
      ['dataset', { dataset: 'x'.repeat(5000) }],
      ['category', { category: '..' }],
      ['category', { category: 'a/../../b' }],
      ['category', { category: 'a\\b' }],
      ['mode', { mode: 'x' }],
      ['mode', { mode: '__proto__' }],
      ['seed', { seed: '0' }],
      ['seed', { seed: 1.5 }],
      ['out', { out: ['x'] }],
      ['more', { more: 1 }],
      ['x0', many],
      ['options', { options: undefined }],
      ['options', { options: 'x' }],
      ['options.x0', { options: { ...task.options, ...many } }],
      ['options.backbone', { options: { ...task.options, backbone: 'toString' } }],
      ['options.imageSize', { options: { ...task.options, imageSize: '32' } }],
      ['options.imageSize', { options: { ...task.options, imageSize: 33 } }],
      ['options.batch', { options: { ...task.options, batch: 1e9 } }],
      ['options.epochs', { options: { ...task.options, epochs: [1] } }],
      ['options.epochs', { options: { ...task.options, epochs: '1,2' } }],
      ['options.holdOut', { options: { ...task.options, holdOut: -1 } }],
      ['options.weights', { options: { ...task.options, weights: {} } }],
      ['options.foreground', { options: { ...task.options, foreground: 'magic' } }],
      ['options.out', { options: { ...task.options, out: '/etc' } }],
    ] as const) {
      const data =
        changes && typeof changes === 'object' && !Array.isArray(changes) ? { ...task, ...changes } : changes;
      let error: unknown;
      try {
        parseJob(data);
      } catch (caught) {
        error = caught;
      }
      expect(error, field).toBeInstanceOf(RefusedJob);
      expect((error as Error).message).toMatch(new RegExp(`^the job's ${field}`));
    }
    const hostile = `\u001b[2J${'x'.repeat(10_000)}`;
    const error = (() => {
      try {
        return parseJob({ ...task, [hostile]: 1 }) && '';
      } catch (caught) {
        return (caught as Error).message;
      }
    })();
    expect(error.length).toBeLessThan(300);
    expect(error).not.toContain('\u001b');
  });

  test('paths must lie in the root, by their real place; what lies outside is not told', async () => {
    const root = join(folder, 'root');
    mkdirSync(join(root, 'data/washer'), { recursive: true });
    mkdirSync(join(folder, 'root-beside/data'), { recursive: true });
    writeFileSync(join(folder, 'secret'), 'x');
    symlinkSync(folder, join(root, 'up'));
    symlinkSync(join(root, 'data'), join(root, 'same'));
    symlinkSync(join(root, 'loop'), join(root, 'loop'));
    expect(await confine(task, root)).toEqual({
      ...task,
      dataset: join(root, 'data'),
      out: join(root, 'out/washer'),
    });
    expect((await confine({ ...task, dataset: 'same' }, root)).dataset).toBe(join(root, 'data'));
    const options = {
      weights: join(root, 'w.pth'),
      textures: 'textures',
      foreground: 'folder:masks',
      normalDir: '../washer',
    };
    expect(
      (await confine({ ...task, options: { ...task.options, ...options } }, root)).options,
    ).toMatchObject({
      weights: join(root, 'w.pth'),
      textures: join(root, 'textures'),
      foreground: `folder:${join(root, 'masks')}`,
      normalDir: '../washer',
    });
    const refused = async (changes: Partial<BenchmarkTask>, field: string) =>
      expect(confine({ ...task, ...changes }, root)).rejects.toThrow(
        `the job's ${field} lies outside of the worker's --root`,
      );
    for (const path of [
      '../../etc',
      '/etc',
      '/etc/none/such',
      'up',
      'up/secret',
      'up/none',
      'loop',
      '../root-beside/data',
      'data/../..',
    ]) {
      await refused({ dataset: path }, 'dataset');
      await refused({ out: path }, 'out');
      for (const field of ['weights', 'textures'] as const)
        await refused({ options: { ...task.options, [field]: path } }, `options.${field}`);
      await refused({ options: { ...task.options, foreground: `folder:${path}` } }, 'options.foreground');
    }
    for (const field of ['normalDir', 'normalTestDir', 'maskDir'] as const)
      await refused({ options: { ...task.options, [field]: '../../../secret' } }, `options.${field}`);
    await refused({ options: { ...task.options, abnormalDir: ['bad', '/etc'] } }, 'options.abnormalDir');
  });

  test('what travels back is the row of the table, checked on its arrival', () => {
    const row = rowOf({
      image_AUROC: 0.5,
      AUPRO: null,
      saturated: { image_AUROC: 0.7, AUsPRO: null, kinds: { '/home/me': {} } },
      settings: { weights: '/home/me/w.pth' },
      warnings: ['/home/me/x.png'],
      unreadable: ['/home/me/a.png', '/home/me/b.png'],
      intervals: { image_AUROC: [0.4, 0.6], AUPRO: null },
      seconds: { train: 3, total: 4 },
      adapter: 'llvmpipe',
    });
    expect(JSON.stringify(row)).not.toContain('/home');
    expect(parseRow(JSON.parse(JSON.stringify(row)))).toEqual({
      unreadable: 2,
      image_AUROC: 0.5,
      AUPRO: null,
      image_AUROC_by_kind: 0.7,
      AUsPRO: null,
      intervals: { image_AUROC: [0.4, 0.6], AUPRO: null },
      seconds: { train: 3 },
      adapter: 'llvmpipe',
    });
    for (const wrong of [
      null,
      'x',
      {},
      { ...row, image_AUROC: '<script>' },
      { ...row, intervals: 'x' },
      { ...row, seconds: 1 },
    ])
      expect(() => parseRow(wrong)).toThrow(/something else than the results of a run/);
    expect(plainText('a\u001b]0;title\u0007b\r\nc\u202ed')).toBe('a ]0;title b c d');
  });
});
