/**
 * The queue against a real redis-server: addresses, TLS, users, lost jobs, a broker that goes away, hostile
 * jobs.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { benchmarkCommand } from '../src/cli/benchmark.ts';
import type { BenchmarkTask } from '../src/cli/benchmark_tasks.ts';
import { UsageError } from '../src/cli/common.ts';
import { queueName } from '../src/cli/queue.ts';
import { Broker, plainText } from '../src/cli/queue_broker.ts';
import { confine, jobOptions, parseJob, parseRow, RefusedJob, rowOf } from '../src/cli/queue_job.ts';
import { bundle } from './support/bundle.ts';
import { part, writeImage } from './support/layouts.ts';
import { type Certificates, freePort, hasRedis, makeCertificates, startRedis } from './support/redis.ts';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'aand-queue-')));
const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

const at = (queue: string, more = {}) => Broker.at({ queue, queueWait: 60, ...more });

const task: BenchmarkTask = {
  dataset: 'data',
  category: 'washer',
  mode: 'rd',
  seed: 0,
  out: 'out/washer',
  options: { backbone: 'resnet18', imageSize: 32, batch: 3, epochs: [1, 2] },
};

describe('the address', () => {
  test('is shown without its password; errors do not repeat it', async () => {
    for (const [queue, shown] of [
      ['redis://host', 'redis://host'],
      ['redis://:pass%2Fword@host:7000/2', 'redis://:***@host:7000/2'],
      ['rediss://worker:secret@[::1]:6380', 'rediss://worker:***@[::1]:6380'],
      ['redis://maybeSecret@host', 'redis://***@host'],
    ] as const)
      expect((await at(queue)).shown).toBe(shown);
    const broker = await at('redis://:pass%2Fword@host');
    expect(broker.hide('AUTH pass/word pass%2Fword\u001b[2J')).toBe('AUTH *** *** [2J');
    expect(broker.connection).toMatchObject({ host: 'host', port: 6379, password: 'pass/word' });
    for (const queue of [
      'secret',
      'http://:secret@host',
      'redis:/:secret@host',
      'redis://:secret@host?db=1',
      'redis://:secret@host/x',
    ]) {
      const error = (await at(queue).catch((caught) => caught)) as Error;
      expect(error).toBeInstanceOf(UsageError);
      expect(error.message).toMatch(/must be an address such as redis:\/\/host:6379/);
      expect(error.message).not.toContain('secret');
    }
  });

  test('certificates belong to rediss, and must be readable', async () => {
    await expect(at('redis://host', { queueCa: '/x' })).rejects.toThrow(
      /need an address that begins with rediss/,
    );
    await expect(at('rediss://host', { queueCert: '/x' })).rejects.toThrow(/belong together/);
    await expect(at('rediss://host', { queueCa: join(folder, 'none') })).rejects.toThrow(
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

describe.skipIf(!hasRedis())('with redis-server', () => {
  let cliFolder: string;
  let cli: string;
  let certificates: Certificates;

  beforeAll(async () => {
    cliFolder = mkdtempSync(join(process.cwd(), 'node_modules', '.aand-queue-'));
    cli = join(cliFolder, 'cli.mjs');
    await bundle('src/cli/main.ts', cli, 'node');
    certificates = makeCertificates(join(folder, 'certificates'));
    for (const name of ['train/good/0', 'train/good/1', 'test/good/0', 'test/bad/0'])
      await writeImage(join(folder, 'parts/washer', `${name}.png`), part(0, 1).image);
  });
  afterAll(() => rmSync(cliFolder, { recursive: true, force: true }));

  async function redis(port: number, ...more: string[]): Promise<ChildProcess> {
    const server = await startRedis(folder, port, ...more);
    children.push(server);
    return server;
  }

  function aand(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const child = spawn('node', [cli, ...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.push(child);
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data) => {
        said += data;
      });
    const ended = new Promise<{ code: number | null; said: string }>((done) =>
      child.on('close', (code) => done({ code, said })),
    );
    const heard = async (text: string | RegExp) => {
      while (!said.match(text)) {
        if (child.exitCode !== null) throw new Error(`ended before it said ${text}: ${said}`);
        await new Promise((later) => setTimeout(later, 50));
      }
    };
    return { child, ended, heard };
  }

  const benchmark = (out: string, ...more: string[]) => [
    ...[
      'benchmark',
      join(folder, 'parts'),
      '--out',
      join(folder, out),
      '--modes',
      'rd',
      '--image-size',
      '32',
    ],
    ...['--batch', '2', '--epochs', '1,1', ...more],
  ];

  test('TLS with an own authority, users with rights; wrong ones are named without the password', async () => {
    const port = await freePort();
    const users = '--user default off --user worker on >s3cret ~bull:* &* +@all --user weak on >s3cret +ping';
    await redis(
      0,
      '--tls-port',
      String(port),
      '--tls-auth-clients',
      'no',
      ...certificates.server,
      ...users.split(' '),
    );
    const url = (user: string) => `rediss://${user}@127.0.0.1:${port}`;
    const tls = { queueCa: certificates.ca };
    await (await at(url('worker:s3cret'), tls)).reach();
    for (const [user, more, message] of [
      ['worker:s3cret', {}, /certificate.*--queue-ca names/],
      ['worker:s3cret', { queueCa: certificates.otherCa }, /certificate.*--queue-ca names/],
      ['worker:wr0ng', tls, /WRONGPASS.*check user, password and rights/],
      ['nobody:wr0ng', tls, /WRONGPASS/],
      ['', tls, /NOAUTH|NOPERM/],
    ] as const) {
      const error = (await (await at(url(user), more)).reach().catch((caught) => caught)) as Error;
      expect(error.message).toMatch(new RegExp(`no Redis answers at rediss://.*127\\.0\\.0\\.1:${port} \\(`));
      expect(error.message).toMatch(message);
      expect(error.message).not.toMatch(/s3cret|wr0ng/);
    }
    // Plain text to a TLS port, and TLS to nobody.
    await expect((await at(`redis://127.0.0.1:${port}`)).reach()).rejects.toThrow(/no Redis answers/);
    // The command line: from the environment, the password in no message.
    const out = benchmark('tls');
    const wrong = await aand(out, { AAND_QUEUE: url('worker:wr0ng'), AAND_QUEUE_CA: certificates.ca }).ended;
    expect(wrong.code).toBe(1);
    expect(wrong.said).toMatch(/WRONGPASS/);
    expect(wrong.said).not.toContain('wr0ng');
    const right = aand(out, { AAND_QUEUE: url('worker:s3cret'), AAND_QUEUE_CA: certificates.ca });
    await right.heard(/1 runs are queued at rediss:\/\/worker:\*\*\*@127/);
    right.child.kill('SIGINT');
    const { code, said } = await right.ended;
    expect(code).toBe(130);
    expect(said).not.toContain('s3cret');
  });

  test('a broker that asks for a certificate gets one', async () => {
    const port = await freePort();
    await redis(0, '--tls-port', String(port), ...certificates.server);
    const url = `rediss://127.0.0.1:${port}`;
    const own = { queueCert: certificates.clientCert, queueKey: certificates.clientKey };
    await (await at(url, { queueCa: certificates.ca, ...own })).reach();
    await expect((await at(url, { queueCa: certificates.ca })).reach()).rejects.toThrow(/no Redis answers/);
  });

  test('jobs that are gone end the benchmark with an error, and the next call queues them again', async () => {
    const port = await freePort();
    const server = await redis(port, '--requirepass', 's3cret');
    const url = `redis://:s3cret@127.0.0.1:${port}`;
    const first = aand(benchmark('lost'), { AAND_QUEUE: url });
    await first.heard('1 runs are queued');
    const queue = new Queue(queueName, { connection: { host: '127.0.0.1', port, password: 's3cret' } });
    await queue.obliterate({ force: true });
    const lost = await first.ended;
    expect(lost.code).toBe(1);
    expect(lost.said).toMatch(
      /has lost 1 of 1 runs: Redis was restarted without persistence, or emptied\. Start the same command again/,
    );
    const second = aand(benchmark('lost', '--queue', url));
    await second.heard('1 runs are queued');
    expect(await queue.count()).toBe(1);
    await queue.close();
    // Restarted, and empty.
    server.kill('SIGKILL');
    await second.heard(/does not answer .*it is waited for up to 60 s/);
    await redis(port, '--requirepass', 's3cret');
    const restarted = await second.ended;
    expect(restarted.said).toMatch(/has lost 1 of 1 runs/);
    expect(`${lost.said}${restarted.said}`).not.toContain('s3cret');
  });

  test('a broker that stays away ends benchmark and worker after the time that was given', async () => {
    const port = await freePort();
    const server = await redis(port);
    const queue = ['--queue', `redis://127.0.0.1:${port}`, '--queue-wait', '3'];
    const waiting = aand(benchmark('away', ...queue));
    await waiting.heard('1 runs are queued');
    // A worker beside it has nothing to do with the benchmark's folder.
    const worker = aand(['worker', ...queue, '--root', join(folder, 'certificates'), '--name', 'w1']);
    await worker.heard(/w1: .*is refused/);
    expect((await waiting.ended).said).toMatch(
      /worker 'w1' refused it: the job's dataset lies outside of the worker's --root/,
    );
    // A queue that stands still: its job is taken by nobody.
    const standing = new Queue(queueName, { connection: { host: '127.0.0.1', port } });
    await standing.pause();
    await standing.close();
    const again = aand(benchmark('away', ...queue));
    await again.heard(/1 runs are queued/);
    server.kill('SIGSTOP');
    for (const { ended } of [again, worker]) {
      const { code, said } = await ended;
      expect(said).toMatch(/has not answered for 3 s .*start the same command again/);
      expect(code).toBe(1);
    }
    server.kill('SIGKILL');
  });

  test('hostile jobs are refused or fail without a word about the files; the worker goes on', async () => {
    const port = await freePort();
    await redis(port);
    const root = join(folder, 'parts');
    const queue = new Queue(queueName, { connection: { host: '127.0.0.1', port } });
    const options = { ...task.options, imageSize: 32 };
    const jobs = {
      outside: { ...task, dataset: '../../etc', options },
      outsideAbsent: { ...task, dataset: '../../none', options },
      types: { ...task, options: { ...options, batch: '7' } },
      nothing: null,
      absent: { ...task, dataset: 'none', options },
      file: { ...task, dataset: 'washer/train/good', category: '0.png', options },
      weights: { ...task, dataset: '.', options: { ...options, weights: 'washer/train/good/0.png' } },
    };
    for (const [jobId, data] of Object.entries(jobs)) await queue.add('run', data, { jobId });
    const worker = aand([
      'worker',
      '--root',
      root,
      '--once',
      '--name',
      'w2',
      '--queue',
      `redis://127.0.0.1:${port}`,
    ]);
    const { code, said } = await worker.ended;
    expect(code).toBe(0);
    const told: Record<string, string> = {};
    for (const jobId of Object.keys(jobs)) {
      const job = await queue.getJob(jobId);
      expect(await job?.getState(), jobId).toBe('failed');
      told[jobId] = job?.failedReason ?? '';
      expect(JSON.stringify([job?.failedReason, job?.stacktrace, job?.returnvalue]), jobId).not.toMatch(
        /aand-queue-|\/src\/|\.mjs|ENOENT/,
      );
    }
    expect(told.outside).toBe(
      "worker 'w2' refused it: the job's dataset lies outside of the worker's --root",
    );
    expect(told.outsideAbsent).toBe(told.outside);
    expect(told.types).toMatch(/refused it: the job's options\.batch/);
    expect(told.nothing).toMatch(/refused it: the job's data/);
    const bare = (text = '') => text.replace(/\[[0-9a-f]+\]/, '[]');
    expect(bare(told.absent)).toBe("the run failed; the messages of worker 'w2' say why []");
    expect(bare(told.file)).toBe(bare(told.absent));
    expect(bare(told.weights)).toBe(bare(told.absent));
    // The worker's own messages say all, under the same sign.
    const [sign] = /\[[0-9a-f]+\]/.exec(told.absent ?? '') ?? [];
    expect(said).toContain(sign);
    expect(said).toContain(join(root, 'none'));
    await queue.close();
  });
});
