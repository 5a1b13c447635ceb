/** `aand data`: what was understood of a data set, before anything is trained on it. */
import { basename, dirname } from 'node:path';
import type { Command } from 'commander';
import { decodeImage, encodePng, readBytes } from '#platform';
import { mapConcurrently } from '../base/concurrently.ts';
import { spread } from '../base/lists.ts';
import type { Sample } from '../data/dataset.ts';
import { inspectDataset } from '../data/inspect.ts';
import { loadMask } from '../data/masks.ts';
import { openDataset } from '../data/open.ts';
import { regionPixels } from '../data/region.ts';
import { regionWords } from '../data/region_words.ts';
import { contactSheet } from '../eval/contact_sheet.ts';
import { OutputFolder } from '../output/folder.ts';
import { addDataOptions, type DataOptions, datasetOptions, regionOption } from './data_options.ts';
import { backboneOption, countOrShareOption } from './options.ts';
import { ProgressReporter } from './progress.ts';
import { next, quoted } from './style.ts';
import { printSuspects, showSuspects, suspectFiles, usualSuspects } from './suspects.ts';
import { regionFrom } from './training_options.ts';

const shownTraining = 16;
const shownPerDefect = 8;
const maskSide = 128;
/** Pixels that the region of interest is drawn with. */
const regionSide = 512;

/** Some good images, then some of every kind of test image with their masks. */
function shown(train: readonly Sample[], test: readonly Sample[]): Sample[] {
  const kinds = [...new Set(test.map(({ defect }) => defect))];
  return [
    ...spread(train, shownTraining),
    ...kinds.flatMap((kind) =>
      spread(
        test.filter(({ defect }) => defect === kind),
        shownPerDefect,
      ),
    ),
  ];
}

interface SheetOptions extends DataOptions {
  readonly out: string;
  readonly suspects?: number | true;
  readonly region?: string;
  readonly backbone: string;
  readonly weights?: string;
  readonly json?: boolean;
  readonly force?: boolean;
}

export function dataCommand(program: Command): void {
  const command = program
    .command('data')
    .description('show what is understood of a data set: counts, sizes, what is wrong, a contact sheet')
    .argument('<category>', "a category in any layout, or a folder; with --category the data set's folder")
    .option('--out <file>', 'where the contact sheet goes', 'contact-sheet.png')
    .option('--force', 'replace a file of others there; it is kept as a backup')
    .option(
      '--suspects [count]',
      'rank the training images by how little they look like the others; show so many of the first, or ' +
        `this share (default ${usualSuspects}), in ${suspectFiles.sheet} and ${suspectFiles.list}`,
      countOrShareOption,
    )
    .option('--backbone <name>', `of the teacher that --suspects compares with`, backboneOption, 'resnet18')
    .option('--weights <file>', 'its weights; default: the packaged teacher')
    .option(...regionOption)
    .option('--json', 'print the facts as JSON');
  addDataOptions(command).action(async (category: string, options: SheetOptions) => {
    const sheet = basename(options.out);
    const { force = false } = options;
    await using output = await OutputFolder.open(dirname(options.out), { command: 'aand data', force });
    await output.check([sheet, ...(options.suspects ? Object.values(suspectFiles) : [])]);
    const region = await regionFrom(options.region, undefined);
    const inspected = region && { values: regionPixels(region, regionSide, regionSide), side: regionSide };
    const listed = await openDataset(category, datasetOptions(options));
    const reporter = new ProgressReporter();
    const facts = await inspectDataset(listed, reporter.counting('reading'));
    reporter.stop();
    const { dataset } = facts;
    const samples = shown(dataset.train, dataset.test).filter(({ path }) => facts.readable.has(path));
    const cells = await mapConcurrently(samples, async (sample) => ({
      image: await decodeImage(await readBytes(sample.path), sample.path),
      label: `${sample.defect}/${sample.stem}`,
      inspected,
      ...(sample.maskPath && {
        mask: {
          values: await loadMask(sample, maskSide).catch(() => new Uint8Array(maskSide ** 2)),
          side: maskSide,
        },
      }),
    }));
    const title =
      `${dataset.name} (${dataset.format}): ${dataset.train.length} to learn from, ${dataset.test.length} ` +
      'to test';
    await output.write(sheet, await encodePng(contactSheet(cells, { title })));
    const ranking =
      options.suspects &&
      (await showSuspects(
        category,
        dataset,
        { ...options, region, suspects: options.suspects === true ? usualSuspects : options.suspects },
        output,
        reporter,
      ));
    if (options.json) {
      const { counts, kinds, masks, ignored, warnings } = facts;
      const { name, format } = dataset;
      const all = { name, format, counts, kinds, masks, ignored, warnings, ...ranking };
      console.log(JSON.stringify(all, null, 2));
      return;
    }
    console.log(`${dataset.name}: layout ${dataset.format}`);
    for (const [name, count] of Object.entries(facts.counts)) console.log(`  ${name.padEnd(28)} ${count}`);
    for (const { kind, count } of facts.kinds) console.log(`  ${kind.padEnd(28)} ${count}`);
    if (region) console.log(`  region of interest: ${regionWords(region)}`);
    if (facts.masks) console.log(`  masks: ${facts.masks.encoding}`);
    if (facts.ignored.length)
      console.log(`  hidden, left out: ${facts.ignored.length}, such as ${facts.ignored[0]}`);
    if (facts.warnings.length) console.log(`${facts.warnings.length} found wanting:`);
    for (const warning of facts.warnings) console.log(`  ${warning}`);
    console.log(`contact sheet: ${options.out}`);
    if (ranking) printSuspects(ranking, dirname(options.out));
    next(
      `aand preview ${quoted(category)}   synthetic anomalies, as a training will make them`,
      `aand train ${quoted(category)} --out results   learns it`,
    );
  });
}
