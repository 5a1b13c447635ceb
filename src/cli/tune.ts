/** `aand tune`: finds the fastest kernel configurations of a model on this device and keeps them for later commands. */
import type { Command } from 'commander';
import { writeBytes } from '#platform';
import { Engine } from '../engine/device.ts';
import { Tape } from '../engine/tape.ts';
import { type TunedEntry, tuneCase, tuningCases, tuningFingerprint } from '../engine/tuner.ts';
import { type BackboneName, backboneNamed, backbones } from '../model/backbone.ts';
import { detect, detectorParameters, groups } from '../model/detector.ts';
import { recordAmplification } from '../train/amplify.ts';
import { recordDistillation } from '../train/distill.ts';
import { recordStep } from '../train/step_programs.ts';
import { interruptSignal, UsageError } from './common.ts';
import { ProgressReporter } from './progress.ts';
import { readTunings, tuningPath } from './tunings.ts';

/** The tapes of inference and of both training stages. */
function tapesOf(name: BackboneName, imageSize: number, batch: number): Tape[] {
  const backbone = backboneNamed(name);
  const set = detectorParameters(backbone, 'aand');
  const [inference, amplification, distillation] = [new Tape(set), new Tape(set), new Tape(set)];
  detect(inference, inference.input('images', [1, imageSize, imageSize, 3], 'channels'), backbone, 'aand');
  recordStep(amplification, recordAmplification(amplification, backbone, imageSize, batch).loss, groups.amplification);
  const settings = { backbone, mode: 'aand', size: imageSize, batch, cached: true } as const;
  recordStep(distillation, recordDistillation(distillation, settings).loss, groups.student);
  return [inference, amplification, distillation];
}

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
      const cases = tuningCases(tapesOf(options.backbone as BackboneName, imageSize, batch));
      const signal = interruptSignal();
      const engine = await Engine.open({ onNotice: (message) => console.error(`note: ${message}`) });
      try {
        const fingerprint = tuningFingerprint(engine);
        const others = (await readTunings()).filter((tuning) => tuning.fingerprint !== fingerprint);
        const entries: Record<string, TunedEntry> = {};
        const reporter = new ProgressReporter();
        const progress = reporter.counting('tuning');
        let done = 0;
        let [chosen, best] = [0, 0];
        for (const [key, tuningCase] of cases) {
          if (signal.aborted) break;
          const entry = await tuneCase(engine, tuningCase, (configuration, reason) =>
            console.error(`left out for ${key}: ${JSON.stringify(configuration)}: ${reason}`),
          );
          entries[key] = entry;
          chosen += entry.tableMilliseconds;
          best += entry.milliseconds;
          progress(++done, cases.size);
          const regret = entry.tableMilliseconds / entry.milliseconds;
          console.log(
            `${key.padEnd(28)} ${entry.milliseconds.toFixed(2).padStart(9)} ms  table ${entry.tableMilliseconds.toFixed(2).padStart(9)} ms  ` +
              `regret ${regret.toFixed(2)}  ${describe(entry)}`,
          );
          // Kept after every case, so that an interrupted tuning is not lost.
          await writeBytes(tuningPath(), `${JSON.stringify([...others, { fingerprint, entries }], null, 1)}\n`);
        }
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
