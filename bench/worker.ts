/**
 * A process that waits for its turn to measure: lines that start with '@' are JSON, first what it has to say
 * of itself, then a time per `run`.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface Worker {
  /** What the process said of itself. */
  readonly ready: unknown;
  /** Milliseconds of one turn. */
  run(): Promise<number>;
  close(): Promise<void>;
}

/** @throws Error with the last words of a process that ends instead of answering */
export async function startWorker(command: string, args: readonly string[], cwd: string): Promise<Worker> {
  const child = spawn(command, args, { cwd, stdio: ['pipe', 'pipe', 'pipe'] });
  const queue: unknown[] = [];
  const waiting: { resolve: (value: unknown) => void; reject: (error: Error) => void }[] = [];
  let words = '';
  child.stderr.on('data', (data: Buffer) => {
    words = (words + data.toString()).slice(-2000);
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (!line.startsWith('@')) return;
    const message: unknown = JSON.parse(line.slice(1));
    const next = waiting.shift();
    if (next) next.resolve(message);
    else queue.push(message);
  });
  let end: Error | undefined;
  const finish = (error: Error) => {
    end ??= error;
    for (const { reject } of waiting) reject(end);
  };
  child.on('error', finish);
  child.on('close', (code) => finish(new Error(`${args[0]} ended with code ${code}: ${words.trim()}`)));
  const next = async (): Promise<unknown> => {
    if (queue.length) return queue.shift();
    if (end) throw end;
    return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
  };
  return {
    ready: await next(),
    async run() {
      child.stdin.write('run\n');
      return ((await next()) as { milliseconds: number }).milliseconds;
    },
    async close() {
      child.kill('SIGKILL');
    },
  };
}

/** The other end: says that it is ready, then answers every line with the time that a turn took. */
export async function answerTurns(ready: unknown, turn: () => Promise<number>): Promise<void> {
  const send = (message: unknown) => process.stdout.write(`@${JSON.stringify(message)}\n`);
  send(ready);
  for await (const _ of createInterface({ input: process.stdin })) send({ milliseconds: await turn() });
}
