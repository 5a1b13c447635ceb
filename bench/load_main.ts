/**
 * Load on `aand serve`: requests per second, how long answers take, memory, and whether anything is lost.
 * `npm run load -- [--model FILE] [--backbones LIST] [--image-size PIXELS] [--requests LIST]
 * [--concurrency LIST] [--json FILE]`
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Command } from 'commander';
import { backboneOption, countOption, imageSizeOption, listOf, wholeNumber } from '../src/cli/options.ts';
import { ProgressReporter } from '../src/cli/progress.ts';
import { provenance } from '../src/cli/provenance.ts';
import { writeDetector } from '../src/detector/file.ts';
import { newSettings } from '../src/detector/settings.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { initialize } from '../src/engine/runtime/initialize.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import { backboneNamed } from '../src/model/backbones.ts';
import { groups } from '../src/model/groups.ts';
import { detectorParameters } from '../src/model/methods.ts';
import { type LoadResult, measureLoad } from './load.ts';

interface Options {
  readonly model?: string;
  readonly backbones: readonly string[];
  readonly imageSize: number;
  readonly requests: readonly number[];
  readonly concurrency: readonly number[];
  readonly json?: string;
}

/** A detector with random weights: it takes as long as a trained one. */
async function randomDetector(engine: Engine, name: string, imageSize: number): Promise<Uint8Array> {
  const store = new ParameterStore(engine, detectorParameters(backboneNamed(name), 'aand'));
  try {
    initialize(store, Object.values(groups), 0);
    const calibration = { threshold: 1, min: 0, max: 2, rule: 'none: random weights' };
    const settings = newSettings({
      backbone: name,
      mode: 'aand',
      imageSize,
      image: calibration,
      pixel: calibration,
      calibrationScores: [],
      training: {},
      version: '0',
    });
    return await writeDetector(store, settings);
  } finally {
    store.destroy();
  }
}

const shown = (r: LoadResult) =>
  `${r.name}, ${r.concurrency} at once: ${r.requests_per_s.toFixed(1)} requests/s, ` +
  `p50 ${r.p50_ms.toFixed(1)} ms, p99 ${r.p99_ms.toFixed(1)} ms, slowest ${r.slowest_ms.toFixed(0)} ms; ` +
  `${r.failed} failed, ${r.missing} missing in the log, ${r.surplus} surplus; memory ${r.memory_mib[0]} to ` +
  `${r.memory_mib.at(-1)} MiB, growth ${r.memory_growth_mib.toFixed(1)} MiB`;

const command = new Command('load')
  .option('--model <file>', 'a model file; default: random weights of the backbones')
  .option('--backbones <list>', 'of random detectors', listOf(backboneOption), ['resnet18', 'resnet18_half'])
  .option('--image-size <pixels>', 'side of their images', imageSizeOption, 256)
  .option(
    '--requests <list>',
    'requests of each run: one for all, or one per model',
    listOf(countOption),
    [10_000],
  )
  .option('--concurrency <list>', 'senders of each run', listOf(wholeNumber(1, 256)), [1, 16])
  .option('--json <file>', 'write the results with machine, driver and load')
  .exitOverride(({ exitCode }) => process.exit(exitCode ? 2 : 0))
  .parse();
const options = command.opts<Options>();
const count = options.model ? 1 : options.backbones.length;
if (options.requests.length > 1 && options.requests.length !== count)
  command.error(`--requests has ${options.requests.length} numbers for ${count} models`, { exitCode: 2 });
const folder = mkdtempSync(join(tmpdir(), 'aand-load-'));
try {
  const engine = await Engine.open();
  const called = `npm run load -- ${process.argv.slice(2).join(' ')}`.trim();
  const record = provenance(called, engine.adapter.description || engine.target.name);
  const models: { readonly name: string; readonly path: string }[] = [];
  if (options.model) models.push({ name: basename(options.model), path: options.model });
  else
    for (const name of options.backbones) {
      const path = join(folder, `${name}.safetensors`);
      writeFileSync(path, await randomDetector(engine, name, options.imageSize));
      models.push({ name, path });
    }
  await engine.close();
  const results: LoadResult[] = [];
  for (const [i, { name, path }] of models.entries())
    for (const concurrency of options.concurrency) {
      const reporter = new ProgressReporter();
      const result = await measureLoad({
        model: path,
        name,
        requests: options.requests[i] ?? (options.requests[0] as number),
        concurrency,
        folder,
        onProgress: reporter.counting(`${name}, ${concurrency} at once`),
      });
      reporter.stop();
      console.log(shown(result));
      results.push(result);
    }
  if (options.json) {
    const text = JSON.stringify({ record, image_size: options.imageSize, results }, null, 2);
    writeFileSync(options.json, `${text}\n`);
  }
  const lost = results.some(({ failed, missing, surplus }) => failed || missing || surplus);
  if (lost) console.error('requests were lost');
  process.exitCode = lost ? 1 : 0;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
