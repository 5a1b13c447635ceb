/** A broker for an address, and a job as a benchmark gives it. */
import type { BenchmarkTask } from '../../src/cli/benchmark_tasks.ts';
import { Broker } from '../../src/cli/queue_broker.ts';

export const brokerAt = (queue: string, more = {}) => Broker.at({ queue, queueWait: 60, ...more });

export const washerTask: BenchmarkTask = {
  dataset: 'data',
  category: 'washer',
  mode: 'rd',
  seed: 0,
  out: 'out/washer',
  options: { backbone: 'resnet18', imageSize: 32, batch: 3, epochs: [1, 2] },
};
