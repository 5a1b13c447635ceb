/** `aand test`: a trained detector on the test set of a category. */
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { readBytes } from '#platform';
import { prepareMasks } from '../data/masks.ts';
import { openDataset } from '../data/open.ts';
import { regionNote, regionWords } from '../data/region_words.ts';
import type { DataType } from '../detector/detector.ts';
import { readDetector } from '../detector/file.ts';
import type { Labels } from '../eval/evaluate.ts';
import { countFalseAlarms, falseAlarmInterval, falseAlarmText } from '../eval/false_alarms.ts';
import { findingsLines, findingsOf } from '../eval/findings.ts';
import type { MarkRule } from '../eval/marks.ts';
import { OutputFolder } from '../output/folder.ts';
import { fileReader } from '../session/score_samples.ts';
import { testDetector } from '../session/test_detector.ts';
import { checkReadable } from '../session/training_checks.ts';
import {
  dtypeOption,
  interruptSignal,
  marksOption,
  matrixUnitUse,
  subgroupMatricesOptions,
  withEngine,
} from './common.ts';
import { addDataOptions, type DataOptions, datasetOptions } from './data_options.ts';
import { strictOption, unreadableFiles } from './find_images.ts';
import { packageVersion } from './package.ts';
import { ProgressReporter } from './progress.ts';
import { writeReport } from './report.ts';
import {
  counts,
  marksOfResults,
  marksText,
  metricsTable,
  pictureNames,
  scoresCsv,
  writePictures,
} from './results.ts';
import { next, quoted, warn } from './style.ts';
import { noteUncalibrated } from './uncalibrated.ts';

interface TestOptions extends DataOptions {
  readonly out: string;
  readonly labels: Labels;
  readonly dtype: DataType;
  readonly marks?: MarkRule;
  readonly subgroupMatrices?: boolean;
  readonly strict?: boolean;
  readonly force?: boolean;
}

export function testCommand(program: Command): void {
  const [useMatrices, withoutMatrices] = subgroupMatricesOptions();
  const command = program
    .command('test')
    .description('test a trained detector on a category')
    .argument('<model>', 'model.safetensors of aand train')
    .argument('<category>', "a category in any layout; with --category the data set's folder")
    .requiredOption('--out <folder>', 'where the results go')
    .addOption(
      new Option('--labels <by>', "an image is defective by its folder's name, or by its mask")
        .choices(['folder', 'mask'])
        .default('folder'),
    )
    .option('--force', 'replace what others wrote there; it is kept as backups')
    .addOption(dtypeOption())
    .addOption(marksOption())
    .addOption(useMatrices)
    .addOption(withoutMatrices)
    .addOption(strictOption());
  addDataOptions(command).action(async (model: string, category: string, options: TestOptions) => {
    const { out, labels, dtype, strict = false, force = false } = options;
    const signal = interruptSignal();
    const file = await readDetector(await readBytes(model), model);
    const { settings } = file;
    noteUncalibrated(settings, model);
    const listed = await openDataset(category, datasetOptions(options));
    if (!listed.test.length) throw new Error(`${category} holds no test images: there is nothing to test`);
    const unreadable = unreadableFiles({ strict });
    const reporter = new ProgressReporter();
    const { tiling } = settings;
    unreadable.expect(listed.test.filter(({ maskPath }) => maskPath).length);
    const dataset = await prepareMasks(listed, reporter.counting('reading masks'), unreadable);
    if (strict)
      await checkReadable(dataset.test, {
        unreadable,
        reporter,
        signal,
        tiling,
        label: 'reading test images',
      });
    else unreadable.expect(dataset.test.length);
    for (const warning of dataset.warnings) warn(warning);
    await using output = await OutputFolder.open(out, { command: 'aand test', force });
    await output.check(['metrics.json', 'scores.csv', 'report.html', ...pictureNames(listed.test)]);
    await withEngine(async (engine) => {
      const started = performance.now();
      const scoring = {
        reader: fileReader,
        reporter,
        signal,
        label: 'testing',
        labels,
        unreadable,
        dtype,
        marks: options.marks,
      };
      await testDetector(engine, file, model, dataset.test, scoring, async (outcome) => {
        const { results, evaluation, detector } = outcome;
        // Verdicts and pictures use the model's own limit, not one fitted to this test set.
        const { scale } = detector;
        const marks = await marksOfResults(results, scale);
        const falseAlarms = countFalseAlarms(results.images, settings.image);
        // A calibration may have changed the region.
        const { history, region: _, ...trained } = settings.training;
        const report = {
          ...evaluation.metrics,
          category: dataset.name,
          format: dataset.format,
          counts: counts({ ...dataset, test: dataset.test.filter(({ path }) => !unreadable.has(path)) }),
          unreadable: unreadable.files,
          relabelled_by_mask: labels === 'mask' ? evaluation.relabelled : null,
          ...(settings.region && { defects_outside_region: evaluation.outside }),
          image_threshold: settings.image,
          pixel_threshold: settings.pixel,
          marks: marks && { by: scale?.marks, ...marks },
          false_alarms: falseAlarms && { ...falseAlarms, interval: falseAlarmInterval(falseAlarms) },
          settings: {
            ...trained,
            ...(settings.region && { region: regionWords(settings.region) }),
            labels,
            dtype,
          },
          seed: settings.training.seed ?? null,
          adapter: engine.adapter.description || engine.target.name,
          version: packageVersion(),
          seconds: { total: (performance.now() - started) / 1000 },
          masks: dataset.masks ?? null,
          warnings: dataset.warnings,
          history,
        };
        await output.write('metrics.json', `${JSON.stringify(report, null, 2)}\n`);
        await output.write(
          'scores.csv',
          await scoresCsv(results, scale, { pictures: pictureNames(results.images) }),
        );
        const findings = findingsOf({ images: results.images, calibration: settings.image });
        await writePictures(output, results, scale, reporter, unreadable);
        await writeReport(output, {
          report,
          results,
          evaluation,
          findings,
          scale,
          runner: detector.runner,
          tiling,
          unreadable,
        });
        for (const line of findingsLines(findings)) console.log(line);
        console.log(`\n${dataset.name}: ${results.images.length} test images`);
        console.log(metricsTable(evaluation.metrics));
        if (settings.region) console.log(regionNote(settings.region, evaluation.outside));
        if (falseAlarms) console.log(falseAlarmText(falseAlarms));
        if (marks) console.log(marksText(marks));
        console.log(`written to ${out}: metrics.json, scores.csv, report.html, images/`);
      });
    }, matrixUnitUse(options));
    unreadable.finish();
    next(`open ${quoted(join(out, 'report.html'))}   what it found and missed`);
  });
}
