/**
 * This checkout against another built one, case by case: `npm run bench -- --against FOLDER`. Each is a
 * process of its own, and they take turns, so that changes of the machine's speed meet both.
 */
import { join } from 'node:path';
import type { BenchCase } from '../src/bench/case.ts';
import { median, quantile } from '../src/bench/measure.ts';
import { buildCase } from '../src/bench/run.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { answerTurns, startWorker } from './worker.ts';

/** The process of one case: builds it and runs it once, then measures turns. */
export async function serveCase(benchCase: BenchCase): Promise<void> {
  const engine = await Engine.open();
  const { program, inputs, outputs } = await buildCase(engine, benchCase);
  const read = benchCase.kind === 'kernel' ? [] : Object.keys(outputs);
  await program.run(inputs, read);
  await answerTurns({}, async () => {
    const samples: number[] = [];
    // Long enough that the caches, which the other process emptied, count little.
    for (const started = performance.now(); samples.length < 3 || performance.now() - started < 100; ) {
      const before = performance.now();
      await program.run(inputs, read);
      samples.push(performance.now() - before);
    }
    return median(samples);
  });
  await engine.close();
}

export interface Comparison {
  readonly name: string;
  readonly median_ms: number;
  readonly other_ms: number;
  /** Time of this checkout by that of the other: median over rounds, and quartiles. */
  readonly ratio: number;
  readonly quartiles: readonly [number, number];
  /** Ratio of the fastest tenths of both: what is left where other work on the machine slows most turns. */
  readonly fastest: number;
}

/** @throws Error where a process ends, such as one of a checkout that is not built or lacks the case */
export async function compareCase(
  name: string,
  folders: readonly [own: string, other: string],
  args: readonly string[],
  rounds: number,
): Promise<Comparison> {
  const start = (folder: string) =>
    startWorker(process.execPath, [join(folder, 'dist/bench.js'), '--serve', name, ...args], folder);
  const workers = [await start(folders[0]), await start(folders[1])] as const;
  try {
    const times: [number, number][] = [];
    for (let round = 0; round < rounds; round++) times.push([await workers[0].run(), await workers[1].run()]);
    const sorted = (values: number[]) => values.sort((a, b) => a - b);
    const own = sorted(times.map(([time]) => time));
    const others = sorted(times.map(([, time]) => time));
    const ratios = sorted(times.map(([time, other]) => time / other));
    return {
      name,
      median_ms: quantile(own, 0.5),
      other_ms: quantile(others, 0.5),
      ratio: quantile(ratios, 0.5),
      quartiles: [quantile(ratios, 0.25), quantile(ratios, 0.75)],
      fastest: quantile(own, 0.1) / quantile(others, 0.1),
    };
  } finally {
    for (const worker of workers) await worker.close();
  }
}
