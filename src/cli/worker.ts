/** `aand worker`: works on the runs of benchmarks that are queued in Redis. */
import { randomBytes } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import type { Job, Worker } from 'bullmq';
import { type Command, Option } from 'commander';
import type { Engine } from '../engine/runtime/engine.ts';
import type { Progress } from '../train/trainer.ts';
import { runTask, taskName } from './benchmark_tasks.ts';
import { interruptSignal, UsageError, withEngine } from './common.ts';
import { queueName } from './queue.ts';
import { addQueueOptions, type Broker, type QueueOptions, withBroker } from './queue_broker.ts';
import { confine, parseJob, RefusedJob, rowOf } from './queue_job.ts';
import { loadBullMq } from './queue_sockets.ts';

// A run is given back when its worker has not been heard of for this long.
const lockMilliseconds = 30_000;
const stalledCheckMilliseconds = 5_000;
// Deaths of workers that a run survives.
const mostStalls = 5;
const progressMilliseconds = 5000;
const emptyMilliseconds = 500;
const leaveMilliseconds = 5000;
const lookMilliseconds = 200;

interface WorkerOptions extends QueueOptions {
  readonly root: string;
  readonly name: string;
  readonly once?: boolean;
}

/** An error as it travels: the broker would keep its stack, and with it paths of this machine. */
function told<T extends Error>(error: T): T {
  error.stack = error.message;
  return error;
}

/**
 * Ends a worker. What it would still tell a broker that is away, or that goes meanwhile, is not waited for.
 */
async function leave(worker: Worker, broker: Broker): Promise<void> {
  const ended = new AbortController();
  const late = wait(leaveMilliseconds, undefined, { signal: ended.signal }).catch(() => {});
  const brokerGoes = async () => {
    while (!broker.away && !ended.signal.aborted) await wait(lookMilliseconds);
  };
  // A worker that waits for its broker while it closes cannot be told any more that it need not.
  await ((await broker.answers())
    ? Promise.race([worker.close(), brokerGoes()])
    : Promise.race([worker.close(true), late]));
  ended.abort();
}

/** Works on runs until it is interrupted, or with `once` until the queue is empty. */
async function work(
  options: WorkerOptions,
  broker: Broker,
  root: string,
  interrupted: AbortSignal,
): Promise<void> {
  const { name, once } = options;
  const { DelayedError, Queue, UnrecoverableError, Worker } = await loadBullMq();
  const say = (text: string) => console.error(`${name}: ${broker.hide(text)}`);

  const over = new AbortController();
  const signal = AbortSignal.any([interrupted, over.signal]);
  const gone = broker.watch();
  let training: Promise<unknown> = Promise.resolve();

  const processWith = (engine: Engine) => async (job: Job<unknown, unknown>, token?: string) => {
    let title = 'a job';
    let last = 0;
    const onProgress = ({ stage, epoch, epochs, images, total, remaining }: Progress) => {
      if (performance.now() - last < progressMilliseconds) return;
      last = performance.now();
      const text = `${stage} ${epoch + 1}/${epochs}: ${images}/${total}, ${Math.round(remaining)} s left`;
      job.updateProgress({ worker: name, text }).catch(() => {});
    };
    try {
      const asked = parseJob(job.data);
      title = taskName(asked);
      say(title);
      const result = runTask(engine, await confine(asked, root), signal, onProgress);
      training = result.catch(() => {});
      return rowOf(await result);
    } catch (error) {
      if (error instanceof RefusedJob) {
        say(`${title} is refused: ${error.message}`);
        throw told(new UnrecoverableError(`worker '${name}' refused it: ${error.message}`));
      }
      if (!signal.aborted) {
        // The whole text stays here: it names files, and whether they are there.
        const reference = randomBytes(4).toString('hex');
        say(`${title} failed [${reference}]: ${(error as Error).message}`);
        throw told(new Error(`the run failed; the messages of worker '${name}' say why [${reference}]`));
      }
      // Interrupted here is no failure of the run: another worker may take it at once.
      await job.moveToDelayed(Date.now() + 1000, token);
      throw new DelayedError();
    }
  };

  await withEngine(async (engine) => {
    const queue = new Queue(queueName, { connection: broker.connection });
    const worker: Worker = new Worker(queueName, processWith(engine), {
      connection: broker.connection,
      concurrency: 1,
      lockDuration: lockMilliseconds,
      stalledInterval: stalledCheckMilliseconds,
      maxStalledCount: mostStalls,
    });
    queue.on('error', () => {});
    // The watch speaks of connections.
    worker.on('error', (error) => {
      if (!/ECONN|Connection is closed|ETIMEDOUT|EPIPE|LOADING/.test(error.message)) say(error.message);
    });
    const stopped = new Promise<void>((resolve) => {
      if (interrupted.aborted) resolve();
      interrupted.addEventListener('abort', () => resolve(), { once: true });
    });
    const emptied = async () => {
      for (;;) {
        await wait(emptyMilliseconds, undefined, { ref: false });
        const { waiting, active, delayed } = await queue.getJobCounts('waiting', 'active', 'delayed');
        if (!waiting && !active && !delayed) return;
      }
    };
    try {
      await Promise.race([stopped, gone.then((never) => never), ...(once ? [emptied()] : [])]);
    } finally {
      // A training stops after its step; its checkpoints stay.
      over.abort();
      await training;
      await leave(worker, broker);
      await broker.close(queue);
    }
  });
}

export function workerCommand(program: Command): void {
  const command = program
    .command('worker')
    .description('train and test what aand benchmark --queue hands out; docs/queue.md says whom that trusts')
    .option(
      '--root <folder>',
      'data sets, results, weights and textures of jobs must lie in it; relative paths begin here',
      '.',
    )
    .addOption(
      new Option('--name <text>', 'how this worker is called in the messages').default(
        `${hostname()}-${process.pid}`,
        'the name of the host and the number of the process',
      ),
    )
    .option('--once', 'end when the queue is empty');
  addQueueOptions(command, 'the broker', true).action(async (options: WorkerOptions) => {
    const root = await realpath(options.root).catch(() => {
      throw new UsageError(`--root ${options.root}: no such folder`);
    });
    await withBroker(options, (broker) => work(options, broker, root, interruptSignal()));
  });
}
