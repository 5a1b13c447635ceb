/** `aand worker`: works on the runs of benchmarks that are queued in Redis. */
import { hostname } from 'node:os';
import type { Command } from 'commander';
import { interruptSignal } from './common.ts';
import { work } from './queue.ts';

export function workerCommand(program: Command): void {
  program
    .command('worker')
    .description(
      'train and test what aand benchmark --queue hands out; data set and results folder must be the same paths here',
    )
    .requiredOption('--queue <url>', 'Redis, such as redis://host:6379')
    .option('--name <text>', 'how this worker is called in the messages', `${hostname()}-${process.pid}`)
    .option('--once', 'end when the queue is empty')
    .action(async ({ queue, name, once }: { queue: string; name: string; once?: boolean }) => {
      await work(queue, name, interruptSignal(), once ?? false);
    });
}
