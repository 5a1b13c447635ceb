/** `aand train`: both stages on a category, then a test where there is a test set. */
import { join } from 'node:path';
import type { Command } from 'commander';
import { withoutListed } from '../data/leave_out.ts';
import { openDataset } from '../data/open.ts';
import { trainingDefaults } from '../session/training_defaults.ts';
import { interruptSignal, readText, withEngine } from './common.ts';
import { addDataOptions, type DataOptions, datasetOptions, regionOption } from './data_options.ts';
import { modeOption, seedOption } from './options.ts';
import { openRunFolder } from './run_folder.ts';
import { next, quoted } from './style.ts';
import { addTrainingOptions, planOn, planTraining, type TrainCommandOptions } from './training_options.ts';
import { trainAndTest } from './training_run.ts';
export function trainCommand(program: Command): void {
  const command = program
    .command('train')
    .description('learn a product from photos of good parts; test where there is a test set')
    .argument(
      '<category>',
      "a category in any layout, or a folder of good images; with --category the data set's folder",
    )
    .requiredOption('--out <folder>', 'where the results go')
    .option(
      '--mode <mode>',
      'aand; for comparison rd (the RD4AD baseline), raa, hkd (rd with one of its parts), patchcore',
      modeOption,
      trainingDefaults.mode,
    )
    .option('--seed <number>', 'random seed', seedOption, trainingDefaults.seed)
    .option('--resume', 'continue from the checkpoints in the output folder')
    .option(
      '--force',
      'train anew where there are results; a model, and files of others, are kept as backups',
    )
    .option(
      '--leave-out <file>',
      'a list of good images to leave out, one path per line, such as aand data --suspects writes',
    )
    .option(...regionOption);
  addTrainingOptions(command);
  addDataOptions(command).action(async (category: string, options: TrainCommandOptions & DataOptions) => {
    const asked = await planTraining(options);
    const listed = await openDataset(category, datasetOptions(options));
    const { leaveOut } = options;
    const dataset =
      leaveOut === undefined ? listed : await withoutListed(listed, await readText(leaveOut), leaveOut);
    if (dataset.leftOut) console.error(`${dataset.leftOut.length} images of ${leaveOut} are left out`);
    const plan = planOn(asked, dataset);
    const signal = interruptSignal();
    await using output = await openRunFolder({ ...plan, force: options.force ?? false, test: dataset.test });
    await withEngine((engine) => trainAndTest(engine, plan, dataset, output, signal));
    plan.unreadable.finish();
    const model = quoted(join(plan.out, 'model.safetensors'));
    next(
      `open ${quoted(join(plan.out, 'report.html'))}   what it found and missed`,
      `aand predict ${model} PHOTOS --out pictures   judges new photographs`,
      `aand serve ${model}   judges them on a line, over HTTP`,
    );
  });
}
