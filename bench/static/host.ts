/** The host's side of a GPU run: what is left of it where the device takes no time. */
import { packagedFile } from '../../src/cli/package.ts';
import { type PipelineFigures, pipelineText } from '../pipeline.ts';
import { runOn } from './compile.ts';
import type { Family } from './families.ts';

/** What is measured: names of the bench's cases, and how many runs. */
export const hostPrograms = [
  { title: 'detector', name: 'aand-resnet18/infer/1x3x256x256', runs: 400 },
  { title: 'step of stage I', name: 'aand-resnet18/stage1-step/16x3x128x128', runs: 60 },
  { title: 'step of stage II', name: 'aand-resnet18/stage2-step/16x3x128x128', runs: 60 },
] as const;

export interface HostFigures {
  readonly program: string;
  /** Kernel launches of a run. */
  readonly dispatches: number;
  /** Calls of WebGPU, those that read the results included. */
  readonly calls: number;
  readonly callsByName: Readonly<Record<string, number>>;
  /** Bytes that a run writes to the device. */
  readonly uploaded_bytes: number;
  /** JavaScript from the call of `run` until it is submitted, its inputs written (median). */
  readonly submitted_ms: number;
  /** JavaScript that records the next run meanwhile (median). */
  readonly recording_ms: number;
  /**
   * JavaScript of a run as a multiple of a fixed piece of work that was timed in turns with it (lower
   * quartiles of both): what other processes and other machines slow down alike.
   */
  readonly relative: number;
}

/** All that is measured. */
export interface HostReport {
  readonly programs: readonly HostFigures[];
  readonly pipeline: PipelineFigures;
}

/** @throws Error where the process fails */
export async function measureHost(family: Family): Promise<HostReport> {
  const { output } = await runOn(family, { args: [packagedFile('dist/static_host.js')] });
  return JSON.parse(output) as HostReport;
}

/** A line per program, and the pipeline's. */
export function hostLines({ programs, pipeline }: HostReport, family: Family): string {
  const lines = programs.map((figures) => {
    const { program, dispatches, calls, callsByName, submitted_ms, recording_ms } = figures;
    const most = Object.entries(callsByName).slice(0, 5);
    return (
      `  ${program}: ${dispatches} dispatches, ${calls.toFixed(0)} calls, ` +
      `${figures.uploaded_bytes} bytes written, JavaScript ` +
      `${(submitted_ms + recording_ms).toFixed(2)} ms (until submitted ${submitted_ms.toFixed(2)}, ` +
      `recording ${recording_ms.toFixed(2)}); ${most.map(([name, count]) => `${name} ${count}`).join(', ')}`
    );
  });
  return [`the host's side of a run, on ${family.name}, medians:`, ...lines, pipelineText(pipeline)].join(
    '\n',
  );
}
