/**
 * Benchmark runs on several machines: a queue in Redis through BullMQ (docs/queue.md). The queue belongs to
 * the folder of the results, so a second benchmark does not mix with it. A worker that dies loses nothing:
 * its run returns to the queue when its lock runs out, and the next worker continues from the run's
 * checkpoints where both see the same folder. A broker that loses the jobs, or stays away, ends the benchmark
 * with an error: what is finished lies in the results folder.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { type BenchmarkTask, type Outcome, taskName } from './benchmark_tasks.ts';
import { type Broker, plainText, type QueueOptions, withBroker } from './queue_broker.ts';
import { parseRow } from './queue_job.ts';
import { loadBullMq } from './queue_sockets.ts';

export const queueName = 'aand-benchmark';

// How often the jobs are looked up; events are only quicker.
const lookMilliseconds = 5000;
const keptSeconds = 3600;
const attempts = 3;

/** The job of a task: the same benchmark started again finds its jobs instead of making new ones. */
function jobId({ dataset, category, mode, seed, out, options }: BenchmarkTask): string {
  const text = JSON.stringify([dataset, category, mode, seed, out, options]);
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text))
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return `${category}-${mode}-${seed}-${hash.toString(16)}`.replaceAll(':', '_');
}

/** Hands tasks to workers and waits for all of them. Stopping it leaves the runs in the queue. */
export function runThroughQueue(
  options: QueueOptions,
  tasks: readonly BenchmarkTask[],
  signal: AbortSignal,
  onDone: (outcome: Outcome) => Promise<void>,
): Promise<void> {
  return withBroker(options, (broker) => runAt(broker, tasks, signal, onDone));
}

async function runAt(
  broker: Broker,
  tasks: readonly BenchmarkTask[],
  signal: AbortSignal,
  onDone: (outcome: Outcome) => Promise<void>,
): Promise<void> {
  const { Queue, QueueEvents } = await loadBullMq();
  const queue = new Queue<BenchmarkTask, unknown, string>(queueName, { connection: broker.connection });
  const events = new QueueEvents(queueName, { connection: broker.connection });
  // The watch tells what matters of a connection.
  queue.on('error', () => {});
  events.on('error', () => {});
  const stopped = new Promise<never>((_, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
  });
  stopped.catch(() => {});
  const gone = broker.watch();
  /** What the broker is asked, unless the benchmark is stopped or the broker goes away for good. */
  const unlessOver = <T>(work: Promise<T>): Promise<T> =>
    Promise.race([work, stopped, gone.then((away) => away)]);

  const open = new Map(tasks.map((task) => [jobId(task), task]));
  const total = open.size;
  let done = 0;
  let wake = () => {};
  const ended = new Set<string>();
  const onEnd = ({ jobId: id }: { jobId: string }) => {
    ended.add(id);
    wake();
  };
  events.on('completed', onEnd);
  events.on('failed', onEnd);
  events.on('progress', ({ jobId: id, data }) => {
    const task = open.get(id);
    const { worker, text } = (data ?? {}) as { worker?: unknown; text?: unknown };
    if (task)
      console.error(`${taskName(task)} (${plainText(String(worker), 100)}): ${plainText(String(text), 200)}`);
  });
  events.on('stalled', ({ jobId: id }) => {
    const task = open.get(id);
    if (task) console.error(`${taskName(task)}: its worker is gone; the run goes back to the queue`);
  });

  const outcomeOf = async (id: string, task: BenchmarkTask): Promise<Outcome | 'open' | 'lost'> => {
    const job = await queue.getJob(id);
    const state = await job?.getState();
    if (!job || state === 'unknown') return 'lost';
    if (state === 'failed') return { task, error: plainText(job.failedReason || 'the run failed') };
    if (state !== 'completed') return 'open';
    try {
      return { task, report: parseRow(job.returnvalue) };
    } catch (error) {
      return { task, error: (error as Error).message };
    }
  };

  try {
    await unlessOver(events.waitUntilReady());
    for (const [id, task] of open) {
      // What is asked for has no results: a job of before that ended is of no use.
      const known = await unlessOver(queue.getJob(id));
      if (known && /^(failed|completed)$/.test(await unlessOver(known.getState())))
        await unlessOver(known.remove());
      const kept = { age: keptSeconds };
      await unlessOver(
        queue.add('run', task, { attempts, removeOnComplete: kept, removeOnFail: kept, jobId: id }),
      );
    }
    console.error(
      `${total} runs are queued at ${broker.shown}; aand worker works on them (its address in ` +
        'AAND_QUEUE or --queue)',
    );
    let looked = performance.now();
    while (open.size) {
      const awake = new Promise<void>((resolve) => {
        wake = resolve;
      });
      if (!ended.size) {
        const timer = new AbortController();
        await unlessOver(
          Promise.race([awake, wait(lookMilliseconds, undefined, { signal: timer.signal })]),
        ).finally(() => timer.abort());
      }
      const all = performance.now() - looked >= lookMilliseconds;
      if (all) looked = performance.now();
      let lost = 0;
      for (const id of all ? [...open.keys()] : [...ended]) {
        const task = open.get(id);
        if (!task) continue;
        const outcome = await unlessOver(outcomeOf(id, task));
        if (outcome === 'lost') lost++;
        if (typeof outcome === 'string') continue;
        open.delete(id);
        console.error(`${++done} of ${total} done: ${taskName(task)}`);
        await onDone(outcome);
      }
      ended.clear();
      if (lost)
        throw new Error(
          `the queue at ${broker.shown} has lost ${lost} of ${total} runs: Redis was restarted without ` +
            'persistence, or emptied. Start the same command again: finished runs are kept, and the ' +
            'others are queued anew',
        );
    }
  } finally {
    await broker.close(events, queue);
  }
}
