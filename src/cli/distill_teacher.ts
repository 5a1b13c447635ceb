/** `aand distill-teacher`: makes a small teacher from a big one, on any photographs. */
import type { Command } from 'commander';
import { decodeImage, readBytes, writeBytes } from '#platform';
import { backboneNamed } from '../model/backbone.ts';
import { distillTeacher } from '../train/distill_teacher.ts';
import { writeSafetensors } from '../weights/safetensors.ts';
import { checkpointFile, findImages, interruptSignal, positiveInteger, readWeights, withEngine } from './common.ts';
import { ProgressReporter } from './progress.ts';

interface Options {
  readonly from: string;
  readonly fromBackbone: string;
  readonly backbone: string;
  readonly images: string[];
  readonly out: string;
  readonly imageSize: string;
  readonly batch: string;
  readonly epochs: string;
  readonly learningRate: string;
  readonly seed: string;
  readonly resume?: boolean;
}

export function distillTeacherCommand(program: Command): void {
  program
    .command('distill-teacher')
    .description('make a small teacher from a big one by feature distillation')
    .requiredOption('--from <file>', 'weights of the big teacher (safetensors, torchvision names)')
    .requiredOption('--images <paths...>', 'folders or files with photographs to learn on')
    .requiredOption('--out <file>', 'where the new teacher goes (safetensors, f16); the checkpoint lies beside it')
    .option('--from-backbone <name>', 'backbone of the big teacher', 'resnet18')
    .option('--backbone <name>', 'backbone of the new teacher', 'resnet18')
    .option('--image-size <pixels>', 'side of the training views', '64')
    .option('--batch <count>', 'images per step', '16')
    .option('--epochs <count>', 'passes over the images', '60')
    .option('--learning-rate <rate>', 'peak learning rate', '0.002')
    .option('--seed <number>', 'random seed', '0')
    .option('--resume', 'continue from the checkpoint beside the output')
    .action(async (options: Options) => {
      const source = await readWeights(options.from);
      const paths = (await Promise.all(options.images.map(findImages))).flat();
      const images = await Promise.all(paths.map(async (path) => decodeImage(await readBytes(path), path)));
      const reporter = new ProgressReporter();
      await withEngine(async (engine) => {
        const { tensors, history } = await distillTeacher({
          engine,
          source,
          sourceName: options.from,
          sourceBackbone: backboneNamed(options.fromBackbone),
          backbone: backboneNamed(options.backbone),
          images,
          imageSize: positiveInteger(options.imageSize, '--image-size'),
          batch: positiveInteger(options.batch, '--batch'),
          epochs: positiveInteger(options.epochs, '--epochs'),
          learningRate: Number(options.learningRate),
          seed: Number(options.seed),
          checkpoint: checkpointFile(`${options.out}.checkpoint`),
          resume: options.resume ?? false,
          signal: interruptSignal(),
          onProgress: reporter.training,
        });
        reporter.stop();
        const metadata = {
          backbone: options.backbone,
          made_by: 'aand distill-teacher',
          images: String(images.length),
          image_size: options.imageSize,
          epochs: options.epochs,
          final_loss: String(history.at(-1)?.loss),
        };
        await writeBytes(options.out, writeSafetensors(tensors, metadata));
        console.log(`wrote ${options.out}: loss ${history.at(-1)?.loss?.toFixed(4)} after ${options.epochs} epochs`);
      });
    });
}
