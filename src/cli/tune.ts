/**
 * `aand tune`: finds the fastest kernel configurations of a model on this device and keeps them for later
 * commands.
 */
import type { Command } from 'commander';
import { writeBytes } from '#platform';
import { describeKernel } from '../engine/device/families.ts';
import { describeEntry } from '../engine/device/tuning.ts';
import { Engine } from '../engine/runtime/engine.ts';
import { backboneNamed } from '../model/backbones.ts';
import { tuneModel } from '../train/tune_model.ts';
import { interruptSignal } from './common.ts';
import { backboneNames, backboneOption, batchOption, imageSizeOption } from './options.ts';
import { ProgressReporter } from './progress.ts';
import { next, note } from './style.ts';
import { readTunings, tuningPath } from './tunings.ts';

export function tuneCommand(program: Command): void {
  program
    .command('tune')
    .description('find the fastest kernels of a model on this device, and keep them for later commands')
    .option('--backbone <name>', `one of ${backboneNames.join(', ')}`, backboneOption, 'resnet18')
    .option('--image-size <pixels>', 'side of the images', imageSizeOption, 256)
    .option('--batch <n>', 'batch size of training', batchOption, 16)
    .action(
      async ({ backbone, imageSize, batch }: { backbone: string; imageSize: number; batch: number }) => {
        const signal = interruptSignal();
        const engine = await Engine.open({
          exactTimestamps: true,
          onNotice: note,
        });
        try {
          const reporter = new ProgressReporter();
          const progress = reporter.counting('tuning');
          let [chosen, best] = [0, 0];
          await tuneModel({
            engine,
            backbone: backboneNamed(backbone),
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
                `${key.padEnd(28)} ${entry.milliseconds.toFixed(2).padStart(9)} ms  table ` +
                  `${entry.tableMilliseconds.toFixed(2).padStart(9)} ms  regret ${regret.toFixed(2)}  ` +
                  `${describeEntry(entry)}`,
              );
            },
            onRejected: (key, configuration, reason) =>
              console.error(`left out for ${key}: ${describeKernel(configuration)}: ${reason}`),
          });
          reporter.stop();
          console.log(
            `regret of the table over all cases: ${(chosen / best).toFixed(3)} (${chosen.toFixed(0)} ms ` +
              `against ${best.toFixed(0)} ms)`,
          );
          console.log(`kept in ${tuningPath()}`);
          signal.throwIfAborted();
          next('every command on this machine uses it from now on');
        } finally {
          await engine.close();
        }
      },
    );
}
