/**
 * A process on a device that does nothing: what a run costs on the host. Prints a {@link HostReport} as
 * JSON.
 */
import { globals } from 'webgpu';
import { Engine } from '../../src/engine/runtime/engine.ts';
import type { Program, RunInputs } from '../../src/engine/runtime/program.ts';
import { type BenchCase, benchCases } from '../cases.ts';
import { measurePipeline } from '../pipeline.ts';
import { buildCase } from '../run.ts';
import { type HostFigures, type HostReport, hostPrograms } from './host.ts';

const warmUpRuns = 20;
const countedRuns = 10;

function median(values: number[]): number {
  values.sort((a, b) => a - b);
  return values[values.length >> 1] ?? 0;
}

const objects = ['GPUQueue', 'GPUDevice', 'GPUCommandEncoder', 'GPUComputePassEncoder', 'GPUBuffer'] as const;

/** Counts every call of WebGPU from now on, by its name. */
function countCalls(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const object of objects) {
    const { prototype } = (globals as Record<string, { prototype: object }>)[object] ?? { prototype: {} };
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
      if (typeof value !== 'function' || name === 'constructor') continue;
      const key = `${object}.${name}`;
      Object.defineProperty(prototype, name, {
        value(this: unknown, ...args: unknown[]) {
          counts.set(key, (counts.get(key) ?? 0) + 1);
          return value.apply(this, args);
        },
      });
    }
  }
  return counts;
}

interface Timed {
  readonly submitted: number;
  readonly recording: number;
}

/** Runs one after the other; the next is recorded while the device would work. */
async function timeRuns(program: Program, inputs: RunInputs, runs: number): Promise<Timed> {
  const submitted: number[] = [];
  const recording: number[] = [];
  for (let i = 0; i < runs + warmUpRuns; i++) {
    const started = performance.now();
    const run = program.run(inputs);
    const milliseconds = performance.now() - started;
    await run;
    // The next run is recorded in a turn of its own.
    await new Promise((resolve) => setTimeout(resolve));
    if (i < warmUpRuns) continue;
    submitted.push(milliseconds);
    recording.push(program.recordingMilliseconds);
  }
  return { submitted: median(submitted), recording: median(recording) };
}

const engine = await Engine.open();
try {
  const cases = benchCases();
  const built = [];
  for (const { title, name, runs } of hostPrograms) {
    const { program, inputs } = await buildCase(
      engine,
      cases.find((each) => each.name === name) as BenchCase,
    );
    built.push({ title, program, inputs, time: await timeRuns(program, inputs, runs) });
  }
  const pipeline = await measurePipeline(engine);
  // Counting makes calls slower, so it comes last.
  const counts = countCalls();
  const figures: HostFigures[] = [];
  for (const { title, program, inputs, time } of built) {
    counts.clear();
    for (let i = 0; i < countedRuns; i++) {
      await program.run(inputs);
      await new Promise((resolve) => setTimeout(resolve));
    }
    const calls = [...counts].map(([name, count]) => [name, count / countedRuns] as const);
    figures.push({
      program: title,
      dispatches: program.dispatchCount,
      calls: calls.reduce((sum, [, count]) => sum + count, 0),
      callsByName: Object.fromEntries(calls.sort(([, a], [, b]) => b - a)),
      submitted_ms: time.submitted,
      recording_ms: time.recording,
    });
  }
  const report: HostReport = { programs: figures, pipeline };
  console.log(JSON.stringify(report));
} finally {
  await engine.close();
}
