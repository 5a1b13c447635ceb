/** One training with its test: loads, trains, evaluates, and writes everything into the output folder. */
import type { Dataset, Sample } from '../data/dataset.ts';
import { describeForeground } from '../data/foreground.ts';
import { prepareMasks } from '../data/masks.ts';
import { splitByName } from '../data/split.ts';
import { loadTrainingImages } from '../data/training_images.ts';
import { trainingSetWarnings } from '../data/training_warnings.ts';
import { writeDetector } from '../detector/file.ts';
import { MapRunner } from '../detector/map_runner.ts';
import { type CalibrationScore, newSettings } from '../detector/settings.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import type { ParameterStore } from '../engine/runtime/store.ts';
import type { Metrics, TestSet } from '../eval/evaluate.ts';
import { calibrate, type ThresholdRule } from '../eval/thresholds.ts';
import { backboneNamed } from '../model/backbones.ts';
import type { OutputFolder } from '../output/folder.ts';
import { BestOnTest } from '../session/best_on_test.ts';
import { runSamples } from '../session/score_samples.ts';
import { checkPlan, checkReadable } from '../session/training_checks.ts';
import { describeRun } from '../train/describe_run.ts';
import { trainDetector } from '../train/train_detector.ts';
import type { Progress } from '../train/trainer.ts';
import { UsageError } from './common.ts';
import { packageVersion } from './package.ts';
import { ProgressReporter } from './progress.ts';
import { writeReport } from './report.ts';
import { counts, metricsTable, pictureNames, scoresCsv, writePictures } from './results.ts';
import { checkpointsIn } from './run_folder.ts';
import { chosenGood, foregroundOf, requestNames, runRequest, testInputs } from './run_request.ts';
import type { TrainPlan } from './train.ts';

const holdOutShare = 0.1;
// Fewer images than this are all needed for training.
const holdOutLeast = 10;

/** Good images for training and, apart from them, for the threshold. */
function splitGood(plan: TrainPlan, dataset: Dataset): { train: Sample[]; heldOut: Sample[] } {
  const chosen = chosenGood(plan, dataset);
  const automatic = !dataset.test.length && chosen.length >= holdOutLeast ? holdOutShare : 0;
  const share = plan.holdOut ?? automatic;
  if (!share) return { train: chosen, heldOut: [] };
  if (chosen.length < 2)
    throw new UsageError('--hold-out needs two good images: it keeps one and leaves one for training');
  const { drawn, rest } = splitByName(chosen, share, plan.seed, 'hold-out');
  return { train: rest, heldOut: drawn };
}

function calibrationScores(results: TestSet, source: string): CalibrationScore[] {
  return results.images.map(({ score, anomalous, path }) => ({ score, anomalous, path, source }));
}

export interface TrainingResult {
  /** What metrics.json holds. */
  readonly report: Record<string, unknown>;
  readonly metrics: Metrics;
}

/**
 * Trains, tests where there is a test set, and writes everything into the run's folder (see openRunFolder).
 */
export async function trainAndTest(
  engine: Engine,
  plan: TrainPlan,
  listed: Dataset,
  output: OutputFolder,
  signal: AbortSignal,
  onProgress?: (progress: Progress) => void,
): Promise<TrainingResult> {
  const started = performance.now();
  const reporter = new ProgressReporter();
  const { unreadable, tiling } = plan;
  checkPlan(plan, listed);
  // Good images are split before unreadable ones are known: mending a file moves no other one.
  const split = splitGood(plan, listed);
  unreadable.expect(listed.test.filter(({ maskPath }) => maskPath).length);
  const surveyed = await prepareMasks(listed, reporter.counting('reading masks'), unreadable);
  const readable = (samples: readonly Sample[], label: string) =>
    checkReadable(samples, { unreadable, reporter, signal, tiling, label });
  const dataset = { ...surveyed, test: await readable(surveyed.test, 'reading test images') };
  if (listed.test.length && !dataset.test.length)
    throw new Error(`none of the ${listed.test.length} test images can be read: ${unreadable.summary}`);
  const heldOut = await readable(split.heldOut, 'reading held-out images');
  if (split.heldOut.length && !heldOut.length)
    throw new Error(`none of the ${split.heldOut.length} held-out images can be read: ${unreadable.summary}`);
  checkPlan(plan, dataset);
  const foreground = foregroundOf(plan, dataset);
  const request = await runRequest(plan, listed);
  const loading = reporter.counting('loading');
  const data = await loadTrainingImages(split.train, plan.imageSize, {
    foreground,
    tiling,
    onProgress: (done, total) => {
      signal.throwIfAborted();
      loading(done, total);
    },
    unreadable,
  });
  const train = data.samples;
  const warnings = [...dataset.warnings, ...data.warnings, ...trainingSetWarnings(data.images, data.paths)];
  for (const warning of warnings) console.error(`warning: ${warning}`);
  const [stage1, stage2, best] = checkpointsIn(output, plan.resume);
  const backbone = backboneNamed(plan.backbone);
  const testing = dataset.test.length > 0;
  const runnerFor = (store: ParameterStore) =>
    new MapRunner(engine, store, backbone, plan.mode, plan.imageSize);
  const measure = async (store: ParameterStore) => {
    const runner = runnerFor(store);
    const label = 'testing this epoch';
    const results = await runSamples(runner, dataset.test, { reporter, signal, label, tiling, unreadable });
    const { metrics } = await results.evaluate();
    await results.close();
    await runner.destroy();
    return (metrics.image_AUROC ?? 0) + (metrics.pixel_AUROC ?? 0);
  };
  const variant = [
    plan.tiling ? `tiles ${plan.tiling.size}/${plan.tiling.overlap}` : '',
    heldOut.length ? `${heldOut.length} held out` : '',
  ]
    .filter(Boolean)
    .join(', ');
  const options = {
    backbone,
    mode: plan.mode,
    teacher: plan.teacher,
    teacherName: plan.teacherPath,
    images: data.images,
    imageNames: data.paths,
    foregrounds: data.foregrounds,
    variant,
    textures: plan.textures,
    imageSize: plan.imageSize,
    batch: plan.batch,
    epochs: plan.epochs,
    seed: plan.seed,
  };
  const described = await describeRun(options);
  const tests = { ...described, inputs: { ...described.inputs, ...(await testInputs(dataset.test)) } };
  const oracle =
    plan.select === 'test-oracle' && testing
      ? await BestOnTest.open(
          {
            storage: best,
            run: tests,
            names: { ...requestNames(plan, dataset), 'the photographs': data.paths },
          },
          plan.resume,
          plan.epochs[1],
          measure,
        )
      : undefined;
  const { store, history } = await trainDetector({
    ...options,
    engine,
    run: described,
    checkpoint: { stage1, stage2 },
    resume: plan.resume,
    signal,
    onProgress: (progress) => {
      reporter.training(progress);
      onProgress?.(progress);
    },
    afterEpoch: oracle && ((epoch, store) => oracle.after(epoch, store)),
  });
  reporter.stop();
  const bestEpoch = await oracle?.restore(store);
  const trainSeconds = (performance.now() - started) / 1000;

  const runner = runnerFor(store);
  const opened: TestSet[] = [];
  const run = async (samples: readonly Sample[], label: string) => {
    const results = await runSamples(runner, samples, {
      reporter,
      signal,
      label,
      tiling,
      labels: plan.labels,
      unreadable,
    });
    opened.push(results);
    return results;
  };
  try {
    const tested = testing ? await run(dataset.test, 'testing') : undefined;
    const evaluation = await tested?.evaluate();
    const rule: ThresholdRule = plan.threshold ?? (evaluation?.image ? { kind: 'f1' } : { kind: 'max' });
    const needsGood = heldOut.length > 0 || !evaluation || !['f1', 'value'].includes(rule.kind);
    const calibrating = needsGood ? await run(heldOut.length ? heldOut : train, 'calibrating') : undefined;
    const good = await calibrating?.evaluate();
    const shown = tested ?? (calibrating as TestSet);
    const result = evaluation ?? (good as NonNullable<typeof good>);
    const { image, pixel } = calibrate({
      rule,
      image: result.image,
      pixel: result.pixel,
      good: calibrating?.images.map(({ score }) => score) ?? [],
      goodSource: heldOut.length ? 'held-out good images' : 'good training images',
      imageRange: result.imageRange,
      pixelRange: result.pixelRange,
    });
    const settings = {
      backbone: plan.backbone,
      mode: plan.mode,
      weights: plan.teacherPath,
      textures: plan.textures.name,
      foreground: describeForeground(foreground),
      tiling: plan.tiling ?? null,
      image_size: plan.imageSize,
      batch: plan.batch,
      epochs: plan.epochs,
      limit: plan.limit ?? null,
      held_out: heldOut.length,
      labels: plan.labels,
      checkpoint:
        bestEpoch === undefined
          ? 'last epoch'
          : `epoch ${bestEpoch} of stage II, the best on the test set (test-oracle)`,
    };
    const version = await packageVersion();
    const model = await writeDetector(
      store,
      newSettings({
        backbone: plan.backbone,
        mode: plan.mode,
        imageSize: plan.imageSize,
        ...(plan.tiling && { tiling: plan.tiling }),
        image,
        pixel,
        calibrationScores: [
          ...(tested ? calibrationScores(tested, 'test') : []),
          ...(calibrating ? calibrationScores(calibrating, heldOut.length ? 'held-out' : 'train') : []),
        ],
        training: { ...settings, seed: plan.seed, category: dataset.name, history },
        version,
      }),
    );
    await output.write('model.safetensors', model, { backup: true });
    const report = {
      ...result.metrics,
      category: dataset.name,
      format: dataset.format,
      counts: counts(dataset, train.length),
      unreadable: unreadable.files,
      relabelled_by_mask: plan.labels === 'mask' ? result.relabelled : null,
      image_threshold: image,
      pixel_threshold: pixel,
      settings,
      seed: plan.seed,
      adapter: engine.adapter.description || engine.target.name,
      version,
      seconds: { train: trainSeconds, total: (performance.now() - started) / 1000 },
      masks: dataset.masks ?? null,
      warnings,
      history,
      run: request,
    };
    await output.write(
      'scores.csv',
      await scoresCsv(
        shown,
        { image, pixel },
        testing ? { pictures: pictureNames(shown.images) } : { split: 'train' },
      ),
    );
    if (testing) await writePictures(output, shown, { image, pixel }, reporter, unreadable);
    await writeReport(output, {
      report,
      results: shown,
      evaluation: result,
      calibrations: { image, pixel },
      runner,
      tiling,
      unreadable,
    });
    // The last file: where it is, the run is whole.
    await output.write('metrics.json', `${JSON.stringify(report, null, 2)}\n`);
    printSummary(plan, dataset, train.length, testing, result.metrics, bestEpoch);
    return { report, metrics: result.metrics };
  } finally {
    for (const results of opened) await results.close();
    await runner.destroy();
    store.destroy();
  }
}

function printSummary(
  plan: TrainPlan,
  dataset: Dataset,
  trained: number,
  testing: boolean,
  metrics: Metrics,
  bestEpoch: number | undefined,
): void {
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
  console.log(
    `written to ${plan.out}: model.safetensors, metrics.json, scores.csv, report.html${testing ? ', images/' : ''}`,
  );
}
