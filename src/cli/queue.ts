/**
 * Benchmark runs on several machines: a queue in Redis through BullMQ. The queue belongs to the folder of the results, so a
 * second benchmark does not mix with it. A worker that dies loses nothing: its run returns to the queue when its lock runs out,
 * and the next worker continues from the run's checkpoints where both see the same folder.
 */
import type { Job, Worker } from 'bullmq';
import type { Progress } from '../train/trainer.ts';
import { type BenchmarkTask, type Outcome, runTask, taskName } from './benchmark_tasks.ts';
import { UsageError, withEngine } from './common.ts';

const queueName = 'aand-benchmark';

// A run is given back when its worker has not been heard of for this long.
const lockMilliseconds = 30_000;
const stalledCheckMilliseconds = 5_000;
// Deaths of workers that a run survives.
const mostStalls = 5;

type BullMq = typeof import('bullmq');

async function loadBullMq(): Promise<BullMq> {
  try {
    return await import('bullmq');
  } catch {
    throw new Error('the queue needs BullMQ and a Redis client: npm install bullmq ioredis');
  }
}

function connection(url: string) {
  if (!/^rediss?:\/\//.test(url)) throw new UsageError(`--queue must be a URL such as redis://host:6379, not '${url}'`);
  return { url, maxRetriesPerRequest: null };
}

/** The job of a task: the same benchmark started again finds its jobs instead of making new ones. */
function jobId({ dataset, category, mode, seed, out, options }: BenchmarkTask): string {
  const text = JSON.stringify([dataset, category, mode, seed, out, options]);
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return `${category}-${mode}-${seed}-${hash.toString(16)}`.replaceAll(':', '_');
}

type Report = Record<string, unknown>;

/** A first contact without retries: an unreachable server is an error with a name, not a silent wait. */
async function reach(url: string) {
  const options = connection(url);
  const { Redis } = await import('ioredis');
  const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => null, connectTimeout: 5000 });
  let reason = '';
  redis.on('error', (error) => {
    reason = error.message;
  });
  try {
    await redis.connect();
    await redis.ping();
    return options;
  } catch (error) {
    throw new Error(`no Redis answers at ${url} (${reason || (error as Error).message})`);
  } finally {
    redis.disconnect();
  }
}

/** Hands tasks to workers and waits for all of them. Stopping it leaves the runs in the queue. */
export async function runThroughQueue(
  url: string,
  tasks: readonly BenchmarkTask[],
  signal: AbortSignal,
  onDone: (outcome: Outcome) => Promise<void>,
): Promise<void> {
  const { Queue, QueueEvents } = await loadBullMq();
  const options = await reach(url);
  const queue = new Queue<BenchmarkTask, Report>(queueName, { connection: options });
  const events = new QueueEvents(queueName, { connection: options });
  try {
    await events.waitUntilReady();
    const byId = new Map(tasks.map((task) => [jobId(task), task]));
    events.on('progress', ({ jobId: id, data }) => {
      const task = byId.get(id);
      const { worker, text } = data as { worker: string; text: string };
      if (task) console.error(`${taskName(task)} (${worker}): ${text}`);
    });
    events.on('stalled', ({ jobId: id }) => {
      const task = byId.get(id);
      if (task) console.error(`${taskName(task)}: its worker is gone; the run goes back to the queue`);
    });
    const jobOptions = { attempts: 3, removeOnComplete: { age: 3600 }, removeOnFail: { age: 3600 } };
    const jobs: { task: BenchmarkTask; job: Job<BenchmarkTask, Report> }[] = [];
    for (const [id, task] of byId) {
      const known = await queue.getJob(id);
      if (await known?.isFailed()) await known?.remove();
      jobs.push({ task, job: await queue.add('run', task, { ...jobOptions, jobId: id }) });
    }
    console.error(`${jobs.length} runs are queued; aand worker --queue ${url} works on them`);
    const stopped = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    stopped.catch(() => {});
    let done = 0;
    await Promise.all(
      jobs.map(async ({ task, job }) => {
        const outcome = await Promise.race([
          stopped,
          job.waitUntilFinished(events).then(
            (report): Outcome => ({ task, report }),
            (error): Outcome => ({ task, error: (error as Error).message }),
          ),
        ]);
        console.error(`${++done} of ${jobs.length} done: ${taskName(task)}`);
        await onDone(outcome);
      }),
    );
  } finally {
    await events.close();
    await queue.close();
  }
}

const progressMilliseconds = 5000;

/** Works on runs until it is interrupted, or with `once` until the queue is empty. */
export async function work(url: string, name: string, signal: AbortSignal, once: boolean): Promise<void> {
  const { DelayedError, Queue, Worker } = await loadBullMq();
  const queue = new Queue(queueName, { connection: await reach(url) });
  await withEngine(async (engine) => {
    const process = async (job: Job<BenchmarkTask, Report>, token?: string): Promise<Report> => {
      console.error(`${name}: ${taskName(job.data)}`);
      let last = 0;
      const onProgress = ({ stage, epoch, epochs, images, total, remaining }: Progress) => {
        if (performance.now() - last < progressMilliseconds) return;
        last = performance.now();
        const text = `${stage} ${epoch + 1}/${epochs}: ${images}/${total}, ${Math.round(remaining)} s left`;
        job.updateProgress({ worker: name, text }).catch(() => {});
      };
      try {
        return await runTask(engine, job.data, signal, onProgress);
      } catch (error) {
        if (!signal.aborted) throw error;
        // Interrupted here is no failure of the run: another worker may take it at once.
        await job.moveToDelayed(Date.now() + 1000, token);
        throw new DelayedError();
      }
    };
    const worker: Worker = new Worker(queueName, process, {
      connection: connection(url),
      concurrency: 1,
      lockDuration: lockMilliseconds,
      stalledInterval: stalledCheckMilliseconds,
      maxStalledCount: mostStalls,
    });
    worker.on('error', (error) => console.error(`${name}: ${error.message}`));
    worker.on('failed', (job, error) =>
      console.error(`${name}: ${job ? taskName(job.data) : 'a run'} failed: ${error.message}`),
    );
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
      if (!once) return;
      const check = setInterval(async () => {
        const { waiting, active, delayed } = (await queue.getJobCounts('waiting', 'active', 'delayed')) as Record<
          string,
          number
        >;
        if (waiting || active || delayed) return;
        clearInterval(check);
        resolve();
      }, 500);
    });
    await worker.close();
  });
  await queue.close();
}
