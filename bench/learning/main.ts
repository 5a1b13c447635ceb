/**
 * What the method does where photographs are not as they should be: `npm run learning -- COMMAND`. The
 * trainings themselves are runs of `aand benchmark`; docs/results.md has the commands.
 */
import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { Command } from 'commander';
import { readWeights, withEngine } from '../../src/cli/common.ts';
import {
  backboneOption,
  countOption,
  imageSizesOption,
  listOf,
  oneOf,
  realNumber,
  seedOption,
  wholeNumber,
} from '../../src/cli/options.ts';
import { provenance } from '../../src/cli/provenance.ts';
import { teacherPathFor } from '../../src/cli/training_options.ts';
import { augmentations } from '../../src/data/augment.ts';
import { type Strength, strengths } from '../../src/data/corruptions.ts';
import { backboneNamed } from '../../src/model/backbones.ts';
import { suspectSize } from '../../src/train/suspects.ts';
import { storable, writeSafetensors } from '../../src/weights/safetensors.ts';
import { randomWeights } from '../support/random_weights.ts';
import { collectCommand, collectInto, parseGroup } from './collect.ts';
import {
  type CorruptionRow,
  corruptionSection,
  measureCorruptions,
  readResult,
  sizeOf,
} from './corruptions.ts';
import { curveSections } from './curves.ts';
import { makeDirtySets } from './dirty.ts';
import { dirtySection } from './dirty_table.ts';
import { driftSection, simulateDrift } from './drift.ts';
import { type FewOptions, fewRuns, fewSection, shellLine } from './few.ts';
import { writeKeepingWords } from './kept_table.ts';
import { measureSuspects, type SuspectsRow, suspectsSection } from './suspects.ts';

const called = `npm run learning -- ${process.argv.slice(2).join(' ')}`;

const program = new Command('learning')
  .description('measures what dirty photographs, few photographs and changing light cost')
  .exitOverride(({ exitCode }) => process.exit(exitCode ? 2 : 0));

program
  .command('drift')
  .description('simulated streams of scores: how soon a drift is noticed, how often there is none')
  .option('--json <file>', 'write the section of docs/results.md there')
  .action(({ json }: { json?: string }) => {
    const report = simulateDrift();
    for (const { good, shift, alarms, median, late } of report.rows)
      console.log(
        `${good} good images, shift ${shift}: alarm in ${(100 * alarms).toFixed(1)} % of the streams; ` +
          `half by part ${median ?? '-'}, nine of ten by part ${late ?? '-'}`,
      );
    if (json) {
      const section = driftSection(report, provenance(called, 'none: it needs no device'));
      writeFileSync(json, `${JSON.stringify(section, null, 2)}\n`);
    }
  });

program
  .command('corruptions')
  .description('a trained model on its test set under other light, blur, noise and moves')
  .argument('<model>', 'model.safetensors')
  .argument('<category>', 'a category with a test set, in any layout')
  .option(
    '--strengths <list>',
    'from 0 (none) to 4',
    listOf((text) => wholeNumber(0, 4)(text) as Strength),
    [...strengths],
  )
  .option('--limit <count>', 'test images, spread evenly over the sorted list', countOption)
  .option('--seed <number>', 'directions and noise', seedOption, 0)
  .option('--json <file>', 'keep the results there after each setting; a stopped run goes on from them')
  .action(
    async (
      model: string,
      category: string,
      options: { strengths: Strength[]; limit?: number; seed: number; json?: string },
    ): Promise<void> => {
      const percent = (value: number | null) => (value === null ? '-' : (100 * value).toFixed(1));
      const onRow = (row: CorruptionRow) =>
        console.log(
          `${sizeOf(row).padEnd(26)} image ${percent(row.image_AUROC)} pixel ${percent(row.pixel_AUROC)} ` +
            `false alarms ${percent(row.false_alarms)} missed ${percent(row.missed)}`,
        );
      await withEngine((engine) => {
        // Whose folders these are is nobody's business: the document has the names alone.
        const given = [basename(model), basename(category), '--strengths', options.strengths.join(',')];
        const command = `npm run learning -- corruptions ${given.join(' ')}`;
        const record = provenance(command, engine.adapter.description);
        return measureCorruptions(engine, model, category, { ...options, onRow }, record);
      });
    },
  );

program
  .command('corruptions-table')
  .description('the section of docs/results.md from the results of a plain and of a robust model')
  .argument('<plain>', 'results of corruptions --json')
  .argument('<robust>', 'the same, of a model that was trained with --robust')
  .requiredOption('--out <file>', 'where the section goes')
  .action((plain: string, robust: string, { out }: { out: string }) => {
    const section = corruptionSection(readResult(plain), readResult(robust));
    writeFileSync(out, `${JSON.stringify(section, null, 2)}\n`);
  });

const inShares = <T extends { shares: readonly number[] }>(options: T) => ({
  ...options,
  shares: options.shares.map((percent) => percent / 100),
});

program
  .command('dirty')
  .description('data sets with some of the defects among the good training images, as links')
  .argument('<category>', 'a category with defects, in any layout')
  .requiredOption('--out <folder>', 'where the data sets go')
  .option(
    '--shares <list>',
    'percent of the training images that are defective',
    listOf(realNumber({ least: 0 }, { below: 100 })),
    [0, 2, 5, 10, 20],
  )
  .option('--limit <count>', 'good training images, spread evenly over the sorted list', countOption)
  .option('--seed <number>', 'which defects', seedOption, 0)
  .action(
    async (
      category: string,
      options: { out: string; shares: number[]; limit?: number; seed: number },
    ): Promise<void> => {
      for (const { folder, good, defective, tested } of await makeDirtySets(category, inShares(options)))
        console.log(`${folder}: ${good} good and ${defective} defective to learn from, ${tested} to test`);
    },
  );

program
  .command('few')
  .description('subsets of a category as links, and the trainings on them as lines for a shell')
  .argument('<category>', 'a category with a test set, in any layout')
  .argument(
    '[options...]',
    'after --: further options of every training, such as --backbone and --image-size',
  )
  .requiredOption('--out <folder>', 'where the subsets and the trainings go')
  .option('--counts <list>', 'good images', listOf(countOption), [1, 2, 4, 8, 16, 32])
  .option('--seeds <list>', 'which images, and the seed of the training', listOf(seedOption), [0])
  .option('--augment <list>', 'what may differ between good parts', listOf(oneOf(augmentations)), [])
  .option('--command <text>', 'what stands before the arguments', 'npx aand')
  .action(
    async (
      category: string,
      options: string[],
      { command, ...o }: Omit<FewOptions, 'options'> & { command: string },
    ) => {
      for (const run of await fewRuns(category, { ...o, options })) console.log(shellLine(run, command));
    },
  );

program
  .command('few-table')
  .description('the table of docs/results.md from the trainings of the command few')
  .argument('<folders...>', 'what it was given as --out')
  .option('--json <file>', 'the file of the section', 'bench/results/tables/few.json')
  .option('--commands <lines...>', 'commands that give the figures again', [])
  .action((folders: string[], { json, commands }: { json: string; commands: string[] }) => {
    const command = `npm run learning -- few-table ${folders.map((folder) => basename(folder)).join(' ')}`;
    const section = fewSection(folders, commands, (adapters) => provenance(command, adapters));
    writeKeepingWords(json, section);
    console.log(`${json}: ${section.rows.length} rows`);
  });

program
  .command('collect')
  .description('puts the figures of finished runs of aand benchmark into a table of docs/results.md')
  .argument('<table>', 'its file below bench/results/tables: title, text and heads are written by hand')
  .argument('<groups...>', 'LABEL=FOLDER for each group of runs; FIRST|SECOND=FOLDER for two labels')
  .option('--add', 'keep the rows of the table that the groups have no figures for')
  .action((table: string, given: string[], { add = false }: { add?: boolean }) => {
    const command = collectCommand(table, add);
    const rows = collectInto(table, given.map(parseGroup), { command, add });
    console.log(`${table}: ${rows} rows`);
  });

program
  .command('curves')
  .description('sections of docs/results.md from finished runs of aand train --curve, modes side by side')
  .argument('<runs...>', 'what aand train --out was given')
  .requiredOption('--out <path>', "beginning of the sections' files: PATH-detector.json, PATH-gates.json")
  .option('--commands <lines...>', 'commands that give the figures again', [])
  .action((runs: string[], { out, commands }: { out: string; commands: string[] }) => {
    // Whose folders these are is nobody's business: the document has the names alone.
    const names = runs.map((run) => basename(run)).join(' ');
    const command = `npm run learning -- curves ${names} --out ${basename(out)}`;
    const sections = curveSections(runs, commands, (adapters) => provenance(command, adapters));
    for (const [name, section] of Object.entries(sections)) {
      writeFileSync(`${out}-${name}.json`, `${JSON.stringify(section, null, 2)}\n`);
      console.log(`${out}-${name}.json: ${section.rows.length} epochs`);
    }
  });

program
  .command('random-teacher')
  .description('writes a teacher that has learned nothing: the lower end of the table of teachers')
  .argument('<file>', 'where it goes, as .safetensors')
  .option('--backbone <name>', 'of the teacher', backboneOption, 'resnet18')
  .option('--seed <number>', 'of the weights', seedOption, 0)
  .action(async (file: string, { backbone, seed }: { backbone: string; seed: number }) => {
    await withEngine(async (engine) => {
      const { tensors } = await randomWeights(engine, backboneNamed(backbone), seed);
      writeFileSync(file, writeSafetensors(storable(tensors)));
      console.log(`${file}: random weights of ${backbone}`);
    });
  });

program
  .command('dirty-table')
  .description('the section of docs/results.md from benchmarks of the sets of `dirty`')
  .argument(
    '<folders...>',
    'benchmarks in folders CATEGORY-SHARE and CATEGORY-SHARE-drop-PERCENT; seeds of one set may lie apart',
  )
  .option('--json <file>', 'write the section there; the words of a section that is there stay')
  .action((folders: string[], { json }: { json?: string }) => {
    const command = `npm run learning -- dirty-table ${folders.map((folder) => basename(folder)).join(' ')}`;
    const section = dirtySection(folders, provenance(command, 'that of the benchmarks'));
    for (const row of section.rows)
      console.log(
        row
          .map((cell) => (typeof cell === 'object' && cell ? cell.mean.toFixed(section.digits) : cell))
          .join('  '),
      );
    if (json) writeKeepingWords(json, section);
  });

program
  .command('suspects')
  .description('how well defects among the good images are found: forms of the ranking on sets of `dirty`')
  .argument('<sets...>', 'folders that `dirty` made')
  .option('--backbone <list>', 'of the teacher; the first is that of the program', listOf(backboneOption), [
    'resnet18',
  ])
  .option('--weights <file>', 'the teacher; default: the packaged one')
  .option('--image-size <list>', 'sides of the images; the first is that of the program', imageSizesOption, [
    suspectSize,
  ])
  .option('--json <file>', 'write the section of docs/results.md there')
  .action(
    async (
      sets: string[],
      {
        weights,
        json,
        ...options
      }: { backbone: string[]; weights?: string; imageSize: number[]; json?: string },
    ) => {
      await withEngine(async (engine) => {
        const record = provenance(called, engine.adapter.description);
        const rows: SuspectsRow[] = [];
        for (const backbone of options.backbone)
          for (const imageSize of options.imageSize) {
            const teacherName = teacherPathFor({ backbone, ...(weights && { weights }) });
            const teacher = await readWeights(teacherName);
            const o = { backbone: backboneNamed(backbone), teacher, teacherName, imageSize };
            for (const row of await measureSuspects(engine, sets, o)) {
              const [auroc, found, twice] = [row.auroc, row.found, row.foundInTwice].map((value) =>
                (100 * value).toFixed(1),
              );
              console.log(
                `${row.set}, ${row.features}, ${row.form}: AUROC ${auroc}, found ${found} %, in twice as ` +
                  `many ${twice} %`,
              );
              rows.push(row);
            }
          }
        const teacher = weights ? 'that of the command' : 'the packaged one';
        if (json) writeFileSync(json, `${JSON.stringify(suspectsSection(rows, teacher, record), null, 2)}\n`);
      });
    },
  );

try {
  await program.parseAsync();
} catch (error) {
  console.error(`learning: ${(error as Error).message}`);
  process.exitCode = 1;
}
