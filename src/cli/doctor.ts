/** `aand doctor`: what this machine offers, what is missing, and how fast it is. */
import type { Command } from 'commander';
import { exists } from '#platform';
import { describeCapabilities } from '../engine/device/capabilities.ts';
import type { ParameterSet } from '../engine/graph/parameter_set.ts';
import { Tape } from '../engine/graph/tape.ts';
import type { Peaks } from '../engine/plan/forecast.ts';
import { type Forecast, forecast } from '../engine/plan/forecast.ts';
import { Engine } from '../engine/runtime/engine.ts';
import { measurePeaks } from '../engine/runtime/peak.ts';
import { backboneNamed } from '../model/backbones.ts';
import { groups } from '../model/groups.ts';
import { stageName } from '../model/method.ts';
import { detect, detectorParameters, methods } from '../model/methods.ts';
import { forecastStep } from '../train/forecast_training.ts';
import { packagedBackbones, packagedTeacherFile } from '../weights/packaged.ts';
import { backboneNames, backboneOption, batchOption, imageSizeOption } from './options.ts';
import { packagedFile, packageVersion } from './package.ts';
import { next } from './style.ts';

const limits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
] as const;

const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;

/** Memory and time of inference and of both training stages, before anything runs. */
function printForecast(engine: Engine, peaks: Peaks, name: string, imageSize: number, batch: number): void {
  const backbone = backboneNamed(name);
  const weightBytes = (set: ParameterSet) =>
    Object.values(groups)
      .flatMap((group) => set.pageSizes(group))
      .reduce((sum, size) => sum + size, 0);
  const printLine = (what: string, images: number, make: () => Forecast) => {
    try {
      const { bytes, milliseconds, dispatches } = make();
      console.log(
        `forecast     ${what}: ${mebibytes(bytes)}, about ${milliseconds.toFixed(0)} ms ` +
          `(${((1000 * images) / milliseconds).toFixed(1)} images/s), ${dispatches} dispatches`,
      );
    } catch (error) {
      console.log(`forecast     ${what}: does not fit: ${(error as Error).message}`);
    }
  };
  console.log(
    `forecast     ${name}, ${imageSize} px; weights ` +
      `${mebibytes(weightBytes(detectorParameters(backbone, 'aand')))}`,
  );
  const halves = engine.device.features.has('shader-f16') ? [false, true] : [false];
  for (const [half, count] of halves.flatMap((half) => [1, batch].map((count) => [half, count] as const)))
    printLine(`inference${half ? ' --dtype f16' : ''}, ${count} image${count > 1 ? 's' : ''}`, count, () => {
      const set = detectorParameters(backbone, 'aand', { half });
      const tape = new Tape(set);
      const images = tape.input('images', [count, imageSize, imageSize, 3], 'channels');
      const { map, score } = detect(tape, images, backbone, 'aand');
      const result = forecast(tape, [map, score], engine.lowering, engine.device.limits, peaks);
      return { ...result, bytes: result.bytes + weightBytes(set) };
    });
  for (const stage of methods.aand.stages)
    printLine(`training ${stageName(stage)}, batch ${batch}`, batch, () =>
      forecastStep(engine, peaks, backbone, { mode: 'aand', imageSize, batch }, stage),
    );
}

export function doctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('print adapter, driver, features, limits and measured peaks, and what is missing')
    .option('--model <backbone>', `forecast memory and time of ${backboneNames.join(', ')}`, backboneOption)
    .option('--image-size <pixels>', 'side of the images of the forecast', imageSizeOption, 256)
    .option('--batch <n>', 'batch size of the forecast', batchOption, 16)
    .action(async (options: { model?: string; imageSize: number; batch: number }) => {
      const { model, imageSize, batch } = options;
      console.log(
        `aand-webgpu  ${packageVersion()}, Node ${process.version}, ${process.platform} ` + `${process.arch}`,
      );
      for (const backbone of packagedBackbones) {
        const teacher = packagedFile(`weights/${packagedTeacherFile(backbone)}`);
        console.log(
          'teacher      ' +
            `${(await exists(teacher)) ? teacher : `missing: ${teacher}; pass --weights to aand train`}`,
        );
      }
      // As the commands with --dtype f16 open it.
      const engine = await Engine.open({ subgroupMatrices: 'if offered' });
      try {
        const { adapter, device, profile } = engine;
        console.log(
          `adapter      ${adapter.vendor} ` +
            `${adapter.architecture}${engine.isSoftware ? ' (a software driver, not a GPU)' : ''}`,
        );
        console.log(`profile      ${profile.name} (${profile.title})`);
        console.log(`driver       ${adapter.description || 'not named'}`);
        for (const [name, text] of describeCapabilities(engine)) console.log(`${name.padEnd(12)} ${text}`);
        console.log(`features     ${adapter.features.join(', ')}`);
        for (const name of limits) console.log(`limit        ${name} ${device.limits[name]}`);
        const peaks = await measurePeaks(engine);
        const { gflops, gbytesPerSecond } = peaks;
        console.log(`FMA peak     ${gflops.toFixed(0)} GFLOP/s (measured, float32)`);
        console.log(`copy peak    ${gbytesPerSecond.toFixed(1)} GB/s (measured, read + write)`);
        if (model) printForecast(engine, peaks, model, imageSize, batch);
        if (engine.isSoftware)
          console.log(
            'advice       it works, but a GPU with its Vulkan driver is 10 to 100 times faster; see ' +
              'docs/platforms.md',
          );
      } finally {
        await engine.close();
      }
      next('aand data FOLDER   what is understood of your photographs');
    });
}
