/** Tunes every matrix product of a model: inference and both training stages, at one image size and batch. */

import type { MatrixKernel } from '../engine/device/families.ts';
import type { TunedEntry, Tuning } from '../engine/device/tuning.ts';
import { tuningFingerprint } from '../engine/device/tuning.ts';
import { Tape } from '../engine/graph/tape.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import { tuneCase, tuningCases } from '../engine/runtime/tuner.ts';
import { detect, detectorParameters, methods } from '../model/methods.ts';
import type { Teacher } from '../model/teacher.ts';
import { recordStep } from './step_programs.ts';

/** The tapes of inference and of the stages of the method with all parts. */
function tapesOf(teacher: Teacher, imageSize: number, batch: number): Tape[] {
  const set = detectorParameters(teacher, 'aand');
  const inference = new Tape(set);
  detect(inference, inference.input('images', [1, imageSize, imageSize, 3], 'channels'), teacher, 'aand');
  const steps = methods.aand.stages.map((stage) => {
    const tape = new Tape(set);
    const cached = stage.samples === 'good images';
    recordStep(tape, stage.record(tape, { teacher, size: imageSize, batch, cached }).loss, stage.group);
    return tape;
  });
  return [inference, ...steps];
}

export interface TuneOptions {
  readonly engine: Engine;
  readonly backbone: Teacher;
  readonly imageSize: number;
  readonly batch: number;
  /** What was tuned before, on this and other devices. */
  readonly known: readonly Tuning[];
  readonly signal?: AbortSignal | undefined;
  /** Called after every case with everything that is known, so that an interrupted tuning is not lost. */
  keep(tunings: readonly Tuning[]): Promise<void>;
  onEntry(key: string, entry: TunedEntry, done: number, total: number): void;
  onRejected?(key: string, configuration: MatrixKernel, reason: string): void;
}

/** Tunes until it is done or the signal is raised. */
export async function tuneModel(o: TuneOptions): Promise<void> {
  const cases = tuningCases(tapesOf(o.backbone, o.imageSize, o.batch));
  const fingerprint = tuningFingerprint(o.engine);
  const others = o.known.filter((tuning) => tuning.fingerprint !== fingerprint);
  const entries: Record<string, TunedEntry> = {};
  for (const tuning of o.known)
    if (tuning.fingerprint === fingerprint) Object.assign(entries, tuning.entries);
  let done = 0;
  for (const [key, tuningCase] of cases) {
    if (o.signal?.aborted) return;
    const entry = await tuneCase(o.engine, tuningCase, (configuration, reason) =>
      o.onRejected?.(key, configuration, reason),
    );
    entries[key] = entry;
    await o.keep([...others, { fingerprint, entries }]);
    o.onEntry(key, entry, ++done, cases.size);
  }
}
