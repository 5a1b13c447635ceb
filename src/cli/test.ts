/** `aand test`: a trained detector on the test set of a category folder. */
import type { Command } from 'commander';
import { readBytes, writeBytes } from '#platform';
import { openDataset } from '../data/dataset.ts';
import { MapRunner } from '../detector/detector.ts';
import { readSettings } from '../detector/file.ts';
import { ParameterStore } from '../engine/parameters.ts';
import { evaluate } from '../eval/evaluate.ts';
import { backboneNamed } from '../model/backbone.ts';
import { detectorParameters, groups } from '../model/detector.ts';
import { loadParameters } from '../model/initialize.ts';
import { readSafetensors } from '../weights/safetensors.ts';
import { interruptSignal, withEngine } from './common.ts';
import { packageVersion } from './package.ts';
import { ProgressReporter } from './progress.ts';
import { counts, metricsTable, runSamples, scoresCsv, writePictures } from './results.ts';

export function testCommand(program: Command): void {
  program
    .command('test')
    .description('test a trained detector on a category folder')
    .argument('<model>', 'model.safetensors of aand train')
    .argument('<category>', "folder in MVTec AD's layout")
    .requiredOption('--out <folder>', 'where the results go')
    .action(async (model: string, category: string, { out }: { out: string }) => {
      const file = readSafetensors(await readBytes(model), model);
      const settings = readSettings(file, model);
      const dataset = await openDataset(category);
      if (!dataset.test.length) throw new Error(`${category}/test holds no images: there is nothing to test`);
      for (const warning of dataset.warnings) console.error(`warning: ${warning}`);
      const signal = interruptSignal();
      await withEngine(async (engine) => {
        const started = performance.now();
        const backbone = backboneNamed(settings.backbone);
        const store = new ParameterStore(engine, detectorParameters(backbone, settings.mode));
        loadParameters(store, Object.values(groups), file, model);
        const runner = new MapRunner(engine, store, backbone, settings.mode, settings.imageSize);
        const reporter = new ProgressReporter();
        const results = await runSamples(runner, dataset.test, reporter, signal, 'testing');
        const { metrics } = evaluate(results, settings.imageSize);
        // Verdicts and pictures use the model's own thresholds, not ones fitted to this test set.
        const report = {
          ...metrics,
          category: dataset.name,
          counts: counts(dataset, 0),
          image_threshold: settings.image,
          pixel_threshold: settings.pixel,
          settings: settings.training,
          seed: settings.training.seed ?? null,
          adapter: engine.adapter.description || engine.target.name,
          version: await packageVersion(),
          seconds: { total: (performance.now() - started) / 1000 },
        };
        await writeBytes(`${out}/metrics.json`, `${JSON.stringify(report, null, 2)}\n`);
        await writeBytes(`${out}/scores.csv`, scoresCsv(results, settings));
        await writePictures(out, results, settings.imageSize, settings, reporter);
        console.log(`${dataset.name}: ${results.length} test images`);
        console.log(metricsTable(metrics));
        console.log(`written to ${out}: metrics.json, scores.csv, images/`);
        await runner.destroy();
        store.destroy();
      });
    });
}
