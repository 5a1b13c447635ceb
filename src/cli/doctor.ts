/** `aand doctor`: what this machine offers, what is missing, and how fast it is. */
import type { Command } from 'commander';
import { exists } from '#platform';
import { Engine } from '../engine/device.ts';
import { forecast } from '../engine/forecast.ts';
import { measurePeaks, type Peaks } from '../engine/peak.ts';
import { Tape } from '../engine/tape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { type BackboneName, backboneNamed, backbones } from '../model/backbone.ts';
import { detect, detectorParameters, groups } from '../model/detector.ts';
import { recordAmplification } from '../train/amplify.ts';
import { recordDistillation } from '../train/distill.ts';
import { recordStep } from '../train/step_programs.ts';
import { UsageError } from './common.ts';
import { packagedFile, packageVersion } from './package.ts';

const limits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
] as const;

const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;

/** Memory and time of inference and of both training stages, before anything runs. */
function printForecast(engine: Engine, peaks: Peaks, name: BackboneName, imageSize: number, batch: number): void {
  const backbone = backboneNamed(name);
  const set = detectorParameters(backbone, 'aand');
  const pages = (group: string) => set.pageSizes(group).reduce((sum, size) => sum + size, 0);
  const weights = Object.values(groups).reduce((sum, group) => sum + pages(group), 0);
  const print = (what: string, record: (tape: Tape) => readonly Tensor[], extra: number, images: number) => {
    const tape = new Tape(set);
    try {
      const outputs = record(tape);
      const { bytes, milliseconds, dispatches } = forecast(tape, outputs, engine.target, engine.device.limits, peaks);
      console.log(
        `forecast     ${what}: ${mebibytes(bytes + weights + extra)}, about ${milliseconds.toFixed(0)} ms ` +
          `(${((1000 * images) / milliseconds).toFixed(1)} images/s), ${dispatches} dispatches`,
      );
    } catch (error) {
      console.log(`forecast     ${what}: does not fit: ${(error as Error).message}`);
    }
  };
  console.log(`forecast     ${name}, ${imageSize} px; weights ${mebibytes(weights)}`);
  const infer = (count: number) => (tape: Tape) => {
    const images = tape.input('images', [count, imageSize, imageSize, 3], 'channels');
    const { map, score } = detect(tape, images, backbone, 'aand');
    return [map, score];
  };
  print('inference, 1 image', infer(1), 0, 1);
  print(`inference, ${batch} images`, infer(batch), 0, batch);
  // Gradients and Adam's two moments lie beside the weights that are trained.
  const stage1 = (tape: Tape) => {
    const { loss } = recordAmplification(tape, backbone, imageSize, batch);
    recordStep(tape, loss, groups.amplification);
    return [loss];
  };
  print(`training stage I, batch ${batch}`, stage1, 3 * pages(groups.amplification), batch);
  const stage2 = (tape: Tape) => {
    const settings = { backbone, mode: 'aand', size: imageSize, batch, cached: true } as const;
    const { loss } = recordDistillation(tape, settings);
    recordStep(tape, loss, groups.student);
    return [loss];
  };
  print(`training stage II, batch ${batch}`, stage2, 3 * pages(groups.student), batch);
}

export function doctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('print adapter, driver, features, limits and measured peaks, and what is missing')
    .option('--model <backbone>', `forecast memory and time of ${Object.keys(backbones).join(', ')}`)
    .option('--image-size <pixels>', 'side of the images of the forecast', '256')
    .option('--batch <n>', 'batch size of the forecast', '16')
    .action(async (options: { model?: string; imageSize: string; batch: string }) => {
      const { model } = options;
      const [imageSize, batch] = [Number(options.imageSize), Number(options.batch)];
      if (model !== undefined && !(model in backbones)) throw new UsageError(`unknown backbone '${model}'`);
      if (!Number.isInteger(imageSize) || imageSize < 32 || imageSize % 32)
        throw new UsageError(`--image-size ${options.imageSize} is not a multiple of 32`);
      if (!Number.isInteger(batch) || batch < 1) throw new UsageError(`--batch ${options.batch} is not a whole number`);
      console.log(
        `aand-webgpu  ${await packageVersion()}, Node ${process.version}, ${process.platform} ${process.arch}`,
      );
      const teacher = packagedFile('weights/teacher_resnet18.safetensors');
      console.log(
        `teacher      ${(await exists(teacher)) ? teacher : `missing: ${teacher}; pass --weights to aand train`}`,
      );
      const engine = await Engine.open();
      try {
        const { adapter, device, target } = engine;
        console.log(
          `adapter      ${adapter.vendor} ${adapter.architecture}${adapter.software ? ' (a software driver, not a GPU)' : ''}`,
        );
        console.log(`driver       ${adapter.description || 'not named'}`);
        console.log(
          `subgroups    ${target.subgroupSize ? `size ${target.subgroupSize}` : 'none: kernels without subgroups are used'}`,
        );
        console.log(`features     ${adapter.features.join(', ')}`);
        for (const name of limits) console.log(`limit        ${name} ${device.limits[name]}`);
        const peaks = await measurePeaks(engine);
        const { gflops, gbytesPerSecond } = peaks;
        console.log(`FMA peak     ${gflops.toFixed(0)} GFLOP/s (measured, float32)`);
        console.log(`copy peak    ${gbytesPerSecond.toFixed(1)} GB/s (measured, read + write)`);
        if (model) printForecast(engine, peaks, model as BackboneName, imageSize, batch);
        if (adapter.software)
          console.log(
            'advice       it works, but a GPU with its Vulkan driver is 10 to 100 times faster; see README.md, "Machines"',
          );
      } finally {
        await engine.close();
      }
    });
}
