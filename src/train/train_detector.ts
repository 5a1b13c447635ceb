/** All stages of a method, one after the other: from good images to a detector's parameters. */

import { initialize } from '../engine/runtime/initialize.ts';
import { ParameterStore } from '../engine/runtime/store.ts';
import { groups } from '../model/groups.ts';
import { type Losses, needStudent, type Stage, type StudentMethod, stageName } from '../model/method.ts';
import { detectorParameters, methodNamed } from '../model/methods.ts';
import { teacherFile } from '../weights/import.ts';
import { loadParameters } from '../weights/parameters.ts';
import { batchesOf } from './batches.ts';
import { type CheckedOptions, checkOptions, type TrainDetectorOptions } from './check_options.ts';
import type { RunCheckpoint } from './checkpoint.ts';
import { afterStage, describeRun } from './describe_run.ts';
import { learnBank } from './memory_bank.ts';
import type { Run } from './run.ts';
import { defaultRate, learningRate } from './schedule.ts';
import { stageShape } from './stage_images.ts';
import { StepPrograms } from './step_programs.ts';
import { trainStage } from './trainer.ts';

/** A trained detector's parameters, and the losses of each epoch of both stages. */
export interface TrainedDetector {
  readonly store: ParameterStore;
  /** Losses of each stage's epochs; empty for a stage that the method does not have. */
  readonly history: { readonly stage1: Losses[]; readonly stage2: Losses[] };
}

/**
 * Trains a detector. The caller owns the returned store.
 *
 * @throws Error on an unusable teacher file, and on options that do not fit, with what was expected;
 *   Interrupted when the signal is raised; OutOfMemoryError; DeviceLostError or ClosedError where the engine
 *   has ended
 */
export async function trainDetector(options: TrainDetectorOptions): Promise<TrainedDetector> {
  const o = checkOptions(options);
  const method = methodNamed(o.mode);
  if (method.learns === 'memory') {
    if (o.start) needStudent(method, 'a trained detector cannot go on learning');
    return { store: await learnBank(o, method), history: { stage1: [], stage2: [] } };
  }
  const store = new ParameterStore(o.engine, detectorParameters(o.backbone, o.mode));
  try {
    if (o.start) loadParameters(store, Object.values(groups), o.start, 'the detector to go on from');
    else {
      const teacher = teacherFile(o.teacher, o.teacherName);
      loadParameters(store, [groups.teacher], teacher, o.teacherName, 'teacher.');
      initialize(store, [groups.amplification, groups.student], o.seed);
    }
    const { stages } = method;
    // A trained detector keeps its amplification.
    const wanted = o.start ? stages.slice(-1) : stages;
    const history: { stage1: Losses[]; stage2: Losses[] } = { stage1: [], stage2: [] };
    let run = o.checkpoint && (o.run ?? (await describeRun(o)));
    for (const [i, stage] of wanted.entries()) {
      history[`stage${stage.number}`] = await runStage(o, method, stage, store, run);
      if (run && i + 1 < wanted.length) run = await afterStage(run, stage, store);
    }
    return { store, history };
  } catch (error) {
    store.destroy();
    throw error;
  }
}

async function runStage(
  o: CheckedOptions,
  method: StudentMethod,
  stage: Stage,
  store: ParameterStore,
  run: Run | undefined,
): Promise<Losses[]> {
  const batches = batchesOf(stage, method, o, store);
  const programs = new StepPrograms(o.engine, store, stage.group, (tape, batch) =>
    stage.record(tape, stageShape(o, stage, batch, batches.cached)),
  );
  const storage = o.checkpoint?.[`stage${stage.number}`];
  const checkpoint: RunCheckpoint | undefined = storage &&
    run && { storage, run, names: { 'the photographs': o.imageNames ?? [] } };
  const epochs = o.epochs[stage.number - 1] as number;
  const base = o.baseRate ?? defaultRate;
  const { afterEpoch } = o;
  try {
    return await trainStage({
      stage: stageName(stage),
      store,
      group: stage.group,
      items: o.images.length,
      batch: o.batch,
      epochs,
      seed: o.seed,
      checkpoint,
      resume: o.resume ?? false,
      signal: o.signal,
      onProgress: o.onProgress,
      onResume: o.onResume,
      afterEpoch:
        afterEpoch && ((epoch, losses) => afterEpoch({ stage: stage.number, epoch, losses }, store)),
      step: async (items, epoch, step) => {
        const rate = stage.schedule === 'constant' ? base : learningRate(base, epoch, epochs);
        const inputs = await batches.inputs(items, epoch, step, rate);
        const { outputs } = await programs.submit(items.length, inputs);
        return { losses: outputs.then(stage.report) };
      },
    });
  } finally {
    await batches.destroy();
    await programs.destroy();
  }
}
