/** `aand tune`: finds the fastest kernel configurations of a model on this device and keeps them for later commands. */
import type { Command } from 'commander';
import { writeBytes } from '#platform';
import { Engine } from '../engine/device.ts';
import type { TunedEntry } from '../engine/tuner.ts';
import { backboneNamed, backbones } from '../model/backbone.ts';
import { tuneModel } from '../train/tune_model.ts';
import { interruptSignal, UsageError } from './common.ts';
import { ProgressReporter } from './progress.ts';
import { readTunings, tuningPath } from './tunings.ts';

const describe = ({ configuration: c }: TunedEntry) =>
  c.shape === 'lane'
    ? `lane ${c.subgroup}x${c.subgroups} rows ${c.rows} columns ${c.columns}`
    : `tile rows ${c.rows} columns ${c.columns} depth ${c.depth}`;

export function tuneCommand(program: Command): void {
  program
    .command('tune')
    .description('find the fastest kernels of a model on this device, and keep them for later commands')
    .option('--backbone <name>', `one of ${Object.keys(backbones).join(', ')}`, 'resnet18')
    .option('--image-size <pixels>', 'side of the images', '256')
    .option('--batch <n>', 'batch size of training', '16')
    .action(async (options: { backbone: string; imageSize: string; batch: string }) => {
      const [imageSize, batch] = [Number(options.imageSize), Number(options.batch)];
      if (!(options.backbone in backbones)) throw new UsageError(`unknown backbone '${options.backbone}'`);
      if (!Number.isInteger(imageSize) || imageSize < 32 || imageSize % 32)
        throw new UsageError(`--image-size ${options.imageSize} is not a multiple of 32`);
      if (!Number.isInteger(batch) || batch < 1) throw new UsageError(`--batch ${options.batch} is not a whole number`);
      const signal = interruptSignal();
      const engine = await Engine.open({ onNotice: (message) => console.error(`note: ${message}`) });
      try {
        const reporter = new ProgressReporter();
        const progress = reporter.counting('tuning');
        let [chosen, best] = [0, 0];
        await tuneModel({
          engine,
          backbone: backboneNamed(options.backbone),
          imageSize,
          batch,
          known: await readTunings(),
          signal,
          keep: (tunings) => writeBytes(tuningPath(), `${JSON.stringify(tunings, null, 1)}\n`),
          onEntry: (key, entry, done, total) => {
            chosen += entry.tableMilliseconds;
            best += entry.milliseconds;
            progress(done, total);
            const regret = entry.tableMilliseconds / entry.milliseconds;
            console.log(
              `${key.padEnd(28)} ${entry.milliseconds.toFixed(2).padStart(9)} ms  table ${entry.tableMilliseconds.toFixed(2).padStart(9)} ms  ` +
                `regret ${regret.toFixed(2)}  ${describe(entry)}`,
            );
          },
          onRejected: (key, configuration, reason) =>
            console.error(`left out for ${key}: ${JSON.stringify(configuration)}: ${reason}`),
        });
        reporter.stop();
        console.log(
          `regret of the table over all cases: ${(chosen / best).toFixed(3)} (${chosen.toFixed(0)} ms against ${best.toFixed(0)} ms)`,
        );
        console.log(`kept in ${tuningPath()}`);
        signal.throwIfAborted();
      } finally {
        await engine.close();
      }
    });
}
