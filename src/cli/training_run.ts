/**
 * One training with its test on the command line: the use case, and everything that it leaves in the run's
 * folder.
 */
import type { Dataset } from '../data/dataset.ts';
import { nameInList } from '../data/leave_out.ts';
import { regionNote } from '../data/region_words.ts';
import { scaleOf } from '../detector/scale.ts';
import { driftOfTested, driftText } from '../detector/score_watch.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import type { Metrics } from '../eval/evaluate.ts';
import { falseAlarmText } from '../eval/false_alarms.ts';
import { type Findings, findingsLines, findingsOf } from '../eval/findings.ts';
import { backboneNamed } from '../model/backbones.ts';
import type { OutputFolder } from '../output/folder.ts';
import { type CurvePoint, curveCsv, curveJson } from '../session/learning_curve.ts';
import { prepareTraining } from '../session/prepare_training.ts';
import { fileReader } from '../session/score_samples.ts';
import { type TrainingJob, type TrainingPorts, trainAndCalibrate } from '../session/train_and_calibrate.ts';
import { checkPlan } from '../session/training_checks.ts';
import { splitGood, variantOf } from '../session/training_plan.ts';
import { trainingRecord } from '../session/training_record.ts';
import type { Progress } from '../train/trainer.ts';
import { usage } from './common.ts';
import { leaveOutSuspects } from './left_out.ts';
import { packageVersion } from './package.ts';
import { ProgressReporter } from './progress.ts';
import { writeReport } from './report.ts';
import { counts, marksOfResults, metricsTable, pictureNames, scoresCsv, writePictures } from './results.ts';
import { checkpointsIn, type RunCheckpoints } from './run_folder.ts';
import { regionInput, requestNames, runRequest, testInputs } from './run_request.ts';
import { warn } from './style.ts';
import type { TrainPlan } from './training_options.ts';

export interface TrainingResult {
  /** What metrics.json holds. */
  readonly report: Record<string, unknown>;
  readonly metrics: Metrics;
}

/** What the plan wants measured while the training runs, and where the folder keeps it. */
function epochTestsOf(
  plan: TrainPlan,
  o: Pick<RunCheckpoints, 'best' | 'curve'> & {
    readonly dataset: Dataset;
    readonly output: OutputFolder;
    readonly photographs: readonly string[];
  },
): TrainingPorts['epochTests'] {
  const select = plan.select === 'test-oracle' ? { storage: o.best } : undefined;
  const curve = plan.curve !== undefined && {
    every: plan.curve,
    storage: o.curve,
    async onPoint(points: readonly CurvePoint[]) {
      await o.output.write('curve.csv', curveCsv(points));
      await o.output.write('curve.json', curveJson(points));
    },
  };
  if (!select && !curve) return undefined;
  return {
    select,
    ...(curve && { curve }),
    run: async (run) => ({
      settings: { ...run.settings, ...(plan.labels !== 'folder' && { labels: plan.labels }) },
      inputs: { ...run.inputs, ...(await testInputs(o.dataset.test)), ...(await regionInput(plan)) },
    }),
    names: { ...requestNames(plan, o.dataset), 'the photographs': o.photographs },
  };
}

/**
 * Trains, tests where there is a test set, and writes everything into the run's folder (see openRunFolder).
 */
export async function trainAndTest(
  engine: Engine,
  plan: TrainPlan,
  all: Dataset,
  output: OutputFolder,
  signal: AbortSignal,
  onProgress?: (progress: Progress) => void,
): Promise<TrainingResult> {
  const started = performance.now();
  const reporter = new ProgressReporter();
  const { unreadable, tiling, resume } = plan;
  checkPlan(plan, all);
  const { dataset: listed, suspects } = await leaveOutSuspects(engine, plan, all, output, {
    reporter,
    signal,
  });
  const split = usage(() => splitGood(plan, listed));
  const prepared = await prepareTraining(plan, listed, split, { reporter, signal });
  const { dataset, heldOut, data, foreground, warnings } = prepared;
  for (const warning of warnings) warn(warning);
  const request = await runRequest(plan, all);
  const { stage1, stage2, best, curve } = checkpointsIn(output, resume);
  const testing = dataset.test.length > 0;
  const version = packageVersion();
  const trained = data.samples.length;
  const settings = (bestEpoch: number | undefined) => ({
    ...trainingRecord(plan, foreground, heldOut.length, bestEpoch),
    ...(plan.dropSuspects && { drop_suspects: plan.dropSuspects, suspects_left_out: suspects.length }),
    ...(all.leftOut?.length && { listed_left_out: all.leftOut.length }),
  });

  const job: TrainingJob = {
    backbone: backboneNamed(plan.backbone),
    mode: plan.mode,
    teacher: plan.teacher,
    teacherName: plan.teacherPath,
    images: data.images,
    imageNames: data.paths,
    foregrounds: data.foregrounds,
    robust: plan.robust,
    variant: variantOf(plan, heldOut.length, suspects.length),
    textures: plan.textures,
    imageSize: plan.imageSize,
    batch: plan.batch,
    epochs: plan.epochs,
    seed: plan.seed,
    coreset: plan.coreset,
    tiling,
    region: plan.region,
    samples: { train: data.samples, heldOut, test: dataset.test },
    folds: plan.folds,
    threshold: plan.threshold,
    labels: plan.labels,
  };
  const ports: TrainingPorts = {
    reader: fileReader,
    unreadable,
    signal,
    resume,
    checkpoint: { stage1, stage2 },
    reporter: {
      training(progress) {
        reporter.training(progress);
        onProgress?.(progress);
      },
      counting: (label) => reporter.counting(label),
      stop: () => reporter.stop(),
    },
    epochTests: epochTestsOf(plan, { dataset, output, best, curve, photographs: data.paths }),
    describe: ({ history, bestEpoch }) => ({
      training: { ...settings(bestEpoch), seed: plan.seed, category: dataset.name, history },
      version,
    }),
    saveModel: (model) => output.write('model.safetensors', model, { backup: true }),
  };

  return trainAndCalibrate(engine, job, ports, async (outcome) => {
    const { shown, evaluation, runner, bestEpoch } = outcome;
    const { image, pixel } = outcome.settings;
    const scale = scaleOf(outcome.settings);
    const report = {
      ...evaluation.metrics,
      category: dataset.name,
      format: dataset.format,
      counts: counts(dataset, trained),
      unreadable: unreadable.files,
      ...((suspects.length || all.leftOut?.length) && {
        left_out: { suspects, listed: (all.leftOut ?? []).map((sample) => nameInList(sample, all)) },
      }),
      relabelled_by_mask: plan.labels === 'mask' ? evaluation.relabelled : null,
      ...(plan.region && { defects_outside_region: evaluation.outside }),
      image_threshold: image,
      pixel_threshold: pixel,
      marks: { by: scale?.marks, ...(await marksOfResults(shown, scale)) },
      settings: settings(bestEpoch),
      seed: plan.seed,
      adapter: engine.adapter.description || engine.target.name,
      version,
      seconds: {
        train: (outcome.trainedAt - started) / 1000,
        total: (performance.now() - started) / 1000,
      },
      masks: dataset.masks ?? null,
      warnings,
      history: outcome.history,
      ...(outcome.curve && { curve: outcome.curve }),
      run: request,
    };
    await output.write(
      'scores.csv',
      await scoresCsv(shown, scale, testing ? { pictures: pictureNames(shown.images) } : { split: 'train' }),
    );
    // Tiles and copies are learned too: photographs are what a person counts.
    const findings = findingsOf({
      images: shown.images,
      calibration: image,
      learned: split.train.length,
      goodLearned: !testing && !heldOut.length,
    });
    if (testing) await writePictures(output, shown, scale, reporter, unreadable);
    await writeReport(output, {
      report,
      results: shown,
      evaluation,
      findings,
      scale,
      runner,
      tiling,
      unreadable,
    });
    // The last file: where it is, the run is whole.
    await output.write('metrics.json', `${JSON.stringify(report, null, 2)}\n`);
    const written = [
      'model.safetensors, metrics.json, scores.csv, report.html',
      ...(outcome.curve ? ['curve.csv, curve.json'] : []),
      ...(testing ? ['images/'] : []),
    ].join(', ');
    printSummary(plan, dataset, trained, testing, evaluation.metrics, bestEpoch, findings);
    if (plan.region) console.log(regionNote(plan.region, evaluation.outside));
    if (plan.robust) console.log(`threshold ${image.threshold.toPrecision(5)}: ${image.rule}`);
    if (image.evidence) console.log(falseAlarmText(image.evidence));
    const drift = driftOfTested(outcome.settings);
    if (drift) warn(`of the good test images ${driftText(drift)}`);
    console.log(`written to ${plan.out}: ${written}`);
    return { report, metrics: evaluation.metrics };
  });
}

function printSummary(
  plan: TrainPlan,
  dataset: Dataset,
  trained: number,
  testing: boolean,
  metrics: Metrics,
  bestEpoch: number | undefined,
  findings: Findings,
): void {
  for (const line of findingsLines(findings)) console.log(line);
  console.log('');
  console.log(
    `${dataset.name}: ${trained} good images, ${plan.mode}, ${plan.backbone}, ${plan.imageSize} pixels`,
  );
  if (bestEpoch !== undefined)
    console.log(
      `  epoch ${bestEpoch} chosen ON THE TEST SET (--select test-oracle): not a measure of new images`,
    );
  console.log(
    testing ? metricsTable(metrics) : '  no test set: no metrics; the threshold comes from good images',
  );
}
