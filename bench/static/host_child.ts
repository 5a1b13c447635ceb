/**
 * A process on a device that does nothing: what a run costs on the host. Prints a {@link HostReport} as
 * JSON.
 */
import { globals } from 'webgpu';
import type { BenchCase } from '../../src/bench/case.ts';
import { benchCases } from '../../src/bench/cases.ts';
import { median, quantile } from '../../src/bench/measure.ts';
import { buildCase } from '../../src/bench/run.ts';
import { Engine } from '../../src/engine/runtime/engine.ts';
import type { Program, RunInputs } from '../../src/engine/runtime/program.ts';
import { measurePipeline } from '../pipeline.ts';
import { type HostFigures, type HostReport, hostPrograms } from './host.ts';

const warmUpRuns = 20;
const countedRuns = 10;

/** A piece of work of the kind that a run does, which never changes: small objects in a map, by name. */
function fixedWork(): number {
  const places = new Map<string, { readonly place: number }>();
  for (let i = 0; i < 2000; i++) places.set(`binding ${i % 500}`, { place: i });
  return [...places.values()].reduce((sum, { place }) => sum + place, 0);
}

const objects = ['GPUQueue', 'GPUDevice', 'GPUCommandEncoder', 'GPUComputePassEncoder', 'GPUBuffer'] as const;

/** Bytes that a call of `writeBuffer` writes: counts are in elements of a typed array. */
function writtenBytes([, , data, first = 0, count]: unknown[]): number {
  const source = data as ArrayBuffer | Uint8Array;
  const { BYTES_PER_ELEMENT: unit = 1 } = source as Partial<Uint8Array>;
  return count === undefined ? source.byteLength - (first as number) * unit : (count as number) * unit;
}

interface Counted {
  /** Calls by name. */
  readonly calls: Map<string, number>;
  /** Bytes that were written to the device. */
  bytes: number;
}

/** Counts every call of WebGPU from now on, by its name. */
function countCalls(): Counted {
  const counts = new Map<string, number>();
  const counted: Counted = { calls: counts, bytes: 0 };
  for (const object of objects) {
    const { prototype } = (globals as Record<string, { prototype: object }>)[object] ?? { prototype: {} };
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
      if (typeof value !== 'function' || name === 'constructor') continue;
      const key = `${object}.${name}`;
      Object.defineProperty(prototype, name, {
        value(this: unknown, ...args: unknown[]) {
          counts.set(key, (counts.get(key) ?? 0) + 1);
          if (name === 'writeBuffer') counted.bytes += writtenBytes(args);
          return value.apply(this, args);
        },
      });
    }
  }
  return counted;
}

interface Timed {
  readonly submitted: number;
  readonly recording: number;
  readonly relative: number;
}

/** Runs one after the other; the next is recorded while the device would work. */
async function timeRuns(program: Program, inputs: RunInputs, runs: number): Promise<Timed> {
  const submitted: number[] = [];
  const recording: number[] = [];
  const fixed: number[] = [];
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
    const begun = performance.now();
    fixedWork();
    fixed.push(performance.now() - begun);
  }
  const least = (values: number[]) =>
    quantile(
      values.sort((a, b) => a - b),
      0.25,
    );
  return {
    submitted: median(submitted),
    recording: median(recording),
    relative: (least(submitted) + least(recording)) / least(fixed),
  };
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
  const counted = countCalls();
  const figures: HostFigures[] = [];
  for (const { title, program, inputs, time } of built) {
    counted.calls.clear();
    counted.bytes = 0;
    for (let i = 0; i < countedRuns; i++) {
      await program.run(inputs);
      await new Promise((resolve) => setTimeout(resolve));
    }
    const calls = [...counted.calls].map(([name, count]) => [name, count / countedRuns] as const);
    figures.push({
      program: title,
      dispatches: program.dispatchCount,
      calls: calls.reduce((sum, [, count]) => sum + count, 0),
      callsByName: Object.fromEntries(calls.sort(([, a], [, b]) => b - a)),
      uploaded_bytes: counted.bytes / countedRuns,
      submitted_ms: time.submitted,
      recording_ms: time.recording,
      relative: time.relative,
    });
  }
  const report: HostReport = { programs: figures, pipeline };
  console.log(JSON.stringify(report));
} finally {
  await engine.close();
}
