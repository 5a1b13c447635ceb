/** `aand distill-teacher`: makes a small teacher from a big one, on any photographs. */
import type { Command } from 'commander';
import { exists } from '#platform';
import { rangeOf } from '../base/lists.ts';
import { ImageCache } from '../data/image_cache.ts';
import { withImage } from '../data/image_files.ts';
import { backboneNamed } from '../model/backbones.ts';
import { moveToBackup } from '../output/backup.ts';
import { OutputFile } from '../output/file.ts';
import { checkReadable } from '../session/training_checks.ts';
import { distillTeacher } from '../train/distill_teacher.ts';
import type { TeacherDistance } from '../train/distillation_measures.ts';
import { areAlike } from '../train/record_distillation.ts';
import { writeWithDigest } from '../weights/digest.ts';
import { checkpointFile, interruptSignal, readWeights, withEngine } from './common.ts';
import { findImages, strictOption, unreadableFiles } from './find_images.ts';
import {
  backboneOption,
  batchOption,
  epochsOption,
  imageSizesOption,
  learningRateOption,
  seedOption,
  shareOrAllOption,
} from './options.ts';
import { ProgressReporter } from './progress.ts';
import { next, note, quoted } from './style.ts';

// Photographs beyond this are decoded again in every epoch.
const memoryBytes = 2 ** 30;

// The epochs that are left bring the blocks together.
const usualBlockwise = 0.6;

interface Options {
  readonly from: string;
  readonly fromBackbone: string;
  readonly backbone: string;
  readonly images: string[];
  readonly out: string;
  readonly imageSize: number[];
  readonly mix: number;
  readonly blockwise?: number;
  readonly check?: string[];
  readonly batch: number;
  readonly epochs: number;
  readonly learningRate: number;
  readonly seed: number;
  readonly resume?: boolean;
  readonly force?: boolean;
  readonly strict?: boolean;
}

/** A checkpoint that is not continued makes room for the new one, where the user wants that. */
async function setAside(path: string, force: boolean): Promise<void> {
  if (!force)
    throw new Error(
      `${path} is of an unfinished training: --resume continues it, --force begins anew, or give ` +
        'another --out',
    );
  note(`${path} was there before; it is kept as ${await moveToBackup(path)}`);
}

/** The distances as metadata and output have them: layer1, layer2, layer3. */
function words({ cosine, error }: TeacherDistance): Record<string, string> {
  const list = (values: readonly number[]) => values.map((value) => value.toFixed(4)).join(', ');
  return { check_cosine_distance: list(cosine), check_normalised_error: list(error) };
}

export function distillTeacherCommand(program: Command): void {
  program
    .command('distill-teacher')
    .description('make a small teacher from a big one by feature distillation')
    .requiredOption('--from <file>', 'weights of the big teacher (safetensors, torchvision names)')
    .requiredOption('--images <paths...>', 'folders or files with photographs to learn on')
    .requiredOption(
      '--out <file>',
      'where the new teacher goes (safetensors, f16); the checkpoint lies beside it',
    )
    .option('--from-backbone <name>', 'backbone of the big teacher', backboneOption, 'resnet18')
    .option('--backbone <name>', 'backbone of the new teacher', backboneOption, 'resnet18')
    .option(
      '--check <paths...>',
      'photographs that are only looked at: how far the new teacher is from the big one on them',
    )
    .option(
      '--image-size <pixels>',
      'sides of the training views, with commas; each has an equal part of the epochs, in this order',
      imageSizesOption,
      [64, 128],
    )
    .option('--mix <share>', 'share of the views that blend two photographs', shareOrAllOption, 0)
    .option(
      '--blockwise <share>',
      'share of the epochs, the first ones, in which every block learns by itself; default: .6 where the ' +
        'new backbone has the blocks of the big one, at most as wide, else 0',
      shareOrAllOption,
    )
    .option('--batch <count>', 'images per step', batchOption, 16)
    .option('--epochs <count>', 'passes over the images', epochsOption, 60)
    .option('--learning-rate <rate>', 'peak learning rate', learningRateOption, 0.002)
    .option('--seed <number>', 'random seed', seedOption, 0)
    .option('--resume', 'continue from the checkpoint beside the output')
    .option('--force', 'begin anew where there is a teacher or a checkpoint; they are kept as backups')
    .addOption(strictOption())
    .action(async (options: Options) => {
      const { resume = false, force = false } = options;
      const backbone = backboneNamed(options.backbone);
      const sourceBackbone = backboneNamed(options.fromBackbone);
      const alike = areAlike({ backbone, sourceBackbone, imageSize: rangeOf(options.imageSize).max });
      const { blockwise = alike ? usualBlockwise : 0 } = options;
      const files = {
        command: 'aand distill-teacher',
        force,
        inputs: [options.from, ...options.images, ...(options.check ?? [])],
      };
      const checkpointPath = `${options.out}.checkpoint`;
      const unfinished = resume && (await exists(checkpointPath)) === 'file';
      await using output = await OutputFile.open(options.out, { ...files, force: force || unfinished });
      if (!unfinished && (await exists(checkpointPath))) await setAside(checkpointPath, force);
      const source = await readWeights(options.from);
      const unreadable = unreadableFiles({ strict: options.strict ?? false });
      const signal = interruptSignal();
      const reporter = new ProgressReporter();
      const photographs = async (given: readonly string[], label: string) => {
        const paths = await findImages(given, unreadable);
        const names = await checkReadable(paths, { unreadable, reporter, signal, label });
        if (!names.length)
          throw new Error(`none of the ${paths.length} photographs can be read: ${unreadable.summary}`);
        const load = (index: number) => withImage(names[index] as string, (image) => image);
        return { names, images: new ImageCache(names.length, load, memoryBytes) };
      };
      const { names: imageNames, images } = await photographs(options.images, 'reading photographs');
      const check = options.check && (await photographs(options.check, 'reading photographs to check with'));
      await withEngine(async (engine) => {
        const { tensors, history, distance } = await distillTeacher({
          engine,
          source,
          sourceName: options.from,
          sourceBackbone,
          backbone,
          images,
          imageNames,
          imageSizes: options.imageSize,
          mixed: options.mix,
          blockwise,
          check: check?.images,
          batch: options.batch,
          epochs: options.epochs,
          learningRate: options.learningRate,
          seed: options.seed,
          checkpoint: checkpointFile(checkpointPath),
          resume,
          signal,
          onProgress: reporter.training,
        });
        reporter.stop();
        const metadata = {
          backbone: options.backbone,
          made_by: 'aand distill-teacher',
          images: String(images.length),
          image_size: options.imageSize.join(','),
          mix: String(options.mix),
          blockwise: String(blockwise),
          batch: String(options.batch),
          learning_rate: String(options.learningRate),
          seed: String(options.seed),
          epochs: String(options.epochs),
          final_loss: String(history.at(-1)?.loss),
          ...(distance && { check_images: String(check?.images.length), ...words(distance) }),
        };
        await output.write(await writeWithDigest(tensors, metadata));
        console.log(
          `wrote ${options.out}: loss ${history.at(-1)?.loss?.toFixed(4)} after ${options.epochs} epochs`,
        );
        if (distance)
          for (const [name, values] of Object.entries(words(distance))) console.log(`${name}: ${values}`);
      });
      unreadable.finish();
      const teacher = `--backbone ${options.backbone} --weights ${quoted(options.out)}`;
      next(`aand train FOLDER ${teacher} --out results   learns with this teacher`);
    });
}
