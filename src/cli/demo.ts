/**
 * `aand demo`: draws a small product data set, learns it with both stages, and shows the defects that it
 * finds.
 */
import type { Command } from 'commander';
import { encodePng } from '#platform';
import { mapConcurrently } from '../base/concurrently.ts';
import { openDataset } from '../data/open.ts';
import { OutputFolder } from '../output/folder.ts';
import { demoProducts, drawPart, type Product } from '../synthetic/demo_products.ts';
import { packagedBackbones } from '../weights/packaged.ts';
import { interruptSignal, withEngine } from './common.ts';
import { oneOf } from './options.ts';
import { duration, ProgressReporter } from './progress.ts';
import { percent } from './results.ts';
import { openRunFolder } from './run_folder.ts';
import { next } from './style.ts';
import { planOn, planTraining } from './training_options.ts';
import { trainAndTest } from './training_run.ts';

const trainCount = 40;
const testGood = 16;
const testPerDefect = 6;
const seed = 0;

/** Writes a product in MVTec AD's layout. */
async function writeProduct(
  output: OutputFolder,
  folder: string,
  product: Product,
  reporter: ProgressReporter,
): Promise<void> {
  const parts: { path: string; defect?: string; index: number }[] = [];
  const name = (i: number) => `${String(i).padStart(3, '0')}`;
  for (let i = 0; i < trainCount; i++) parts.push({ path: `train/good/${name(i)}`, index: i });
  for (let i = 0; i < testGood; i++) parts.push({ path: `test/good/${name(i)}`, index: trainCount + i });
  for (const defect of Object.keys(product.defects))
    for (let i = 0; i < testPerDefect; i++)
      parts.push({ path: `test/${defect}/${name(i)}`, defect, index: i });
  await mapConcurrently(
    parts,
    async ({ path, defect, index }) => {
      const { image, mask } = drawPart(product, defect, seed, index);
      await output.write(`${folder}/${path}.png`, await encodePng(image), { data: true });
      const maskName = `${folder}/${path.replace(/^test/, 'ground_truth')}_mask.png`;
      if (mask) await output.write(maskName, await encodePng(mask), { data: true });
    },
    reporter.counting(`drawing ${product.name}`),
  );
  reporter.stop();
}

interface DemoOptions {
  readonly out: string;
  readonly product?: string;
  readonly backbone: string;
  readonly force?: boolean;
}

export function demoCommand(program: Command): void {
  program
    .command('demo')
    .description(
      'make a small product data set, learn it, and show its defects; about two and a half minutes on ' +
        'two cores',
    )
    .option('--out <folder>', 'where the results go', 'demo-results')
    .option(
      '--product <name>',
      'washer or fabric; default: both',
      oneOf(demoProducts.map(({ name }) => name)),
    )
    .option(
      '--backbone <name>',
      'resnet18 or resnet18_half, whose teachers come with the package: the half takes half the time',
      oneOf(packagedBackbones),
      'resnet18',
    )
    .option('--force', 'replace what others wrote there; it is kept as backups')
    .action(async ({ out, product: wanted, backbone, force = false }: DemoOptions) => {
      const products = demoProducts.filter(({ name }) => !wanted || name === wanted);
      const started = performance.now();
      const signal = interruptSignal();
      const lines: string[] = [];
      await using output = await OutputFolder.open(out, { command: 'aand demo', force });
      await withEngine(async (engine) => {
        for (const product of products) {
          const folder = `data/${product.name}`;
          await writeProduct(output, folder, product, new ProgressReporter());
          const asked = await planTraining({
            out: `${out}/${product.name}`,
            backbone,
            imageSize: 96,
            batch: 8,
            epochs: [6, 14],
            mode: 'aand',
            seed,
          });
          const dataset = await openDataset(`${out}/${folder}`);
          const plan = planOn(asked, dataset);
          await using run = await openRunFolder({ ...plan, force, again: true, test: dataset.test });
          const { metrics } = await trainAndTest(engine, plan, dataset, run, signal);
          lines.push(
            `  ${product.name.padEnd(8)} image AUROC ${percent(metrics.image_AUROC)}  pixel AUROC ` +
              `${percent(metrics.pixel_AUROC)}  PRO ${percent(metrics.AUPRO)}`,
          );
        }
      });
      console.log(`\ndemo, ${duration((performance.now() - started) / 1000)}:`);
      for (const line of lines) console.log(line);
      for (const { name } of products)
        console.log(`look at ${out}/${name}/report.html and ${out}/${name}/images/`);
      next('aand data FOLDER   with 50 or more photographs of good parts of your own product');
    });
}
