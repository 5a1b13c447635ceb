/** `aand export`: the detector for other runtimes. */
import type { Command } from 'commander';
import { readBytes, writeBytes } from '#platform';
import { exportDetector } from '../export/detector.ts';
import { UsageError, withEngine } from './common.ts';
import { packageVersion } from './package.ts';

export function exportCommand(program: Command): void {
  program
    .command('export')
    .description('write a detector as ONNX: input `images` [N,3,S,S], normalised; outputs `map` and `score`')
    .argument('<model>', 'model.safetensors of aand train')
    .requiredOption('--to <format>', 'onnx')
    .requiredOption('--out <file>', 'the file to write')
    .option('--batch <n>', 'images per run', '1')
    .action(async (model: string, options: { to: string; out: string; batch: string }) => {
      if (options.to !== 'onnx') throw new UsageError(`--to ${options.to}: only onnx can be written`);
      const batch = Number(options.batch);
      if (!Number.isInteger(batch) || batch < 1) throw new UsageError(`--batch ${options.batch} is not a whole number`);
      const bytes = await readBytes(model);
      const version = await packageVersion();
      const onnx = await withEngine((engine) => exportDetector(engine, bytes, model, { batch, version }));
      await writeBytes(options.out, onnx);
      console.log(`${options.out}: ${(onnx.length / 2 ** 20).toFixed(1)} MiB`);
    });
}
