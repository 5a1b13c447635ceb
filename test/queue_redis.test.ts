/**
 * The queue against a real redis-server: TLS, users, lost jobs, a broker that goes away, hostile jobs.
 */
import type { ChildProcess } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { queueName } from '../src/cli/queue.ts';
import { useCommand, useFolder } from './support/command.ts';
import { part, writeImage } from './support/layouts.ts';
import { brokerAt, washerTask as task } from './support/queue.ts';
import { type Certificates, freePort, hasRedis, makeCertificates, startRedis } from './support/redis.ts';

describe.skipIf(!hasRedis())('with redis-server', () => {
  const folder = useFolder(realpathSync(tmpdir()));
  const command = useCommand();
  const servers: ChildProcess[] = [];
  let certificates: Certificates;

  beforeAll(async () => {
    certificates = makeCertificates(join(folder, 'certificates'));
    for (const name of ['train/good/0', 'train/good/1', 'test/good/0', 'test/bad/0'])
      await writeImage(join(folder, 'parts/washer', `${name}.png`), part(0, 1).image);
  });
  afterAll(() => {
    for (const server of servers) server.kill('SIGKILL');
  });

  async function redis(port: number, ...more: string[]): Promise<ChildProcess> {
    const server = await startRedis(folder, port, ...more);
    servers.push(server);
    return server;
  }

  function aand(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const { child, ended, heard } = command.start(args, { env });
    const said = ended.then(({ code, stdout, stderr }) => ({ code, said: `${stdout}${stderr}` }));
    return { child, heard, ended: said };
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
    await (await brokerAt(url('worker:s3cret'), tls)).reach();
    for (const [user, more, message] of [
      ['worker:s3cret', {}, /certificate.*--queue-ca names/],
      ['worker:s3cret', { queueCa: certificates.otherCa }, /certificate.*--queue-ca names/],
      ['worker:wr0ng', tls, /WRONGPASS.*check user, password and rights/],
      ['nobody:wr0ng', tls, /WRONGPASS/],
      ['', tls, /NOAUTH|NOPERM/],
    ] as const) {
      const error = (await (await brokerAt(url(user), more)).reach().catch((caught) => caught)) as Error;
      expect(error.message).toMatch(new RegExp(`no Redis answers at rediss://.*127\\.0\\.0\\.1:${port} \\(`));
      expect(error.message).toMatch(message);
      expect(error.message).not.toMatch(/s3cret|wr0ng/);
    }
    // Plain text to a TLS port, and TLS to nobody.
    await expect((await brokerAt(`redis://127.0.0.1:${port}`)).reach()).rejects.toThrow(/no Redis answers/);
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
    await (await brokerAt(url, { queueCa: certificates.ca, ...own })).reach();
    await expect((await brokerAt(url, { queueCa: certificates.ca })).reach()).rejects.toThrow(
      /no Redis answers/,
    );
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

  test('what a standing broker would keep open ends when the broker is closed', async () => {
    const port = await freePort();
    const server = await redis(port);
    const broker = await brokerAt(`redis://127.0.0.1:${port}`);
    const client = new Redis(broker.connection);
    client.on('error', () => {});
    await client.ping();
    server.kill('SIGSTOP');
    const status = async (wanted: string) => {
      while (client.status !== wanted) await new Promise((later) => setTimeout(later, 20));
    };
    // It comes again to a server that takes the connection and says nothing.
    client.disconnect(true);
    await status('connect');
    await broker.close();
    await status('end');
    await expect(client.connect()).rejects.toThrow(/Connection is closed/);
    server.kill('SIGKILL');
  }, 30_000);

  test('a worker without a GPU says so and ends', async () => {
    const port = await freePort();
    await redis(port);
    const none = { VK_DRIVER_FILES: join(folder, 'no-driver.json'), VK_ICD_FILENAMES: '' };
    const worker = aand(['worker', '--root', folder, '--queue', `redis://127.0.0.1:${port}`], none);
    const { code, said } = await worker.ended;
    expect(said).toMatch(/No WebGPU adapter was found/);
    expect(code).toBe(1);
  }, 60_000);

  test('Ctrl-C ends a worker at once whose broker is away, or goes while it ends', async () => {
    for (const told of [true, false]) {
      const port = await freePort();
      const server = await redis(port);
      const queue = new Queue(queueName, { connection: { host: '127.0.0.1', port } });
      await queue.add('run', null);
      await queue.close();
      const worker = aand(['worker', '--root', folder, '--queue', `redis://127.0.0.1:${port}`]);
      await worker.heard(/is refused/);
      server.kill('SIGKILL');
      if (told) await worker.heard(/does not answer/);
      worker.child.kill('SIGINT');
      const begun = performance.now();
      const { code, said } = await worker.ended;
      // The failsafe of an interrupted command comes after 30 seconds.
      expect(performance.now() - begun).toBeLessThan(20_000);
      expect(said).not.toContain('was not waited for');
      expect(code).toBe(0);
    }
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
