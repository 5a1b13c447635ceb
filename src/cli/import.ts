/** `aand import`: weights of the PyTorch world as this program's files. */
import type { Command } from 'commander';
import { writeDetectorTensors } from '../detector/file.ts';
import { newSettings } from '../detector/settings.ts';
import { backboneNamed } from '../model/backbones.ts';
import { OutputFile } from '../output/file.ts';
import { writeWithDigest } from '../weights/digest.ts';
import { type ImportReport, importStateDicts } from '../weights/import.ts';
import { storable } from '../weights/safetensors.ts';
import { readWeights } from './common.ts';
import { backboneNames, backboneOption, imageSizeOption } from './options.ts';
import { packageVersion } from './package.ts';

interface ImportOptions {
  readonly backbone?: string;
  readonly out: string;
  readonly force?: boolean;
  readonly imageSize: number;
}

/** Groups names by what they begin with and why they were left out. */
function summary(ignored: ImportReport['ignored']): string[] {
  const groups = new Map<string, string[]>();
  for (const { name, reason, path } of ignored) {
    const key = `${path}: ${reason}`;
    groups.set(key, [...(groups.get(key) ?? []), name]);
  }
  return [...groups].map(
    ([reason, names]) =>
      `  ignored ${String(names.length).padStart(4)}  ${reason} ` +
      `(${names.slice(0, 3).join(', ')}${names.length > 3 ? ', ...' : ''})`,
  );
}

export function importCommand(program: Command): void {
  program
    .command('import')
    .description(
      "PyTorch files as a teacher (torchvision's) or a whole detector (stage I and II; RD4AD's with " +
        "torchvision's)",
    )
    .argument('<files...>', '.pth or .safetensors')
    .option(
      '--backbone <name>',
      `one of ${backboneNames.join(', ')}; default: found by the shapes`,
      backboneOption,
    )
    .option(
      '--image-size <pixels>',
      'side of the network input that the detector was trained at',
      imageSizeOption,
      256,
    )
    .requiredOption('--out <file>', 'the .safetensors file to write')
    .option('--force', 'replace an existing file; it is kept as a backup')
    .action(async (paths: string[], options: ImportOptions) => {
      const { imageSize } = options;
      const backbone = options.backbone === undefined ? undefined : backboneNamed(options.backbone);
      const { force = false } = options;
      await using output = await OutputFile.open(options.out, {
        command: 'aand import',
        force,
        inputs: paths,
      });
      const files = [];
      for (const path of paths) files.push({ path, tensors: (await readWeights(path)).tensors });
      const result = importStateDicts(files, backbone);
      console.log(
        `${result.kind}, ${result.backbone.name}${result.kind === 'detector' ? `, mode ${result.mode}` : ''}`,
      );
      console.log(`  matched ${String(result.tensors.size).padStart(4)}  none is missing, every shape fits`);
      for (const line of summary(result.ignored)) console.log(line);
      const version = packageVersion();
      if (result.kind === 'teacher') {
        const bare = new Map(
          [...storable(result.tensors)].map(([name, tensor]) => [name.slice('teacher.'.length), tensor]),
        );
        await output.write(
          await writeWithDigest(bare, { backbone: result.backbone.name, source: paths.join(', ') }),
        );
        console.log(`written to ${options.out}: for aand train --weights`);
        return;
      }
      const settings = newSettings({
        backbone: result.backbone.name,
        mode: result.mode,
        imageSize,
        image: null,
        pixel: null,
        calibrationScores: [],
        training: {
          imported_from: paths,
          mode: result.mode,
          backbone: result.backbone.name,
          image_size: imageSize,
        },
        version,
      });
      await output.write(await writeDetectorTensors(storable(result.tensors), settings));
      console.log(
        `written to ${options.out}: it has no threshold yet; aand calibrate ${options.out} ` +
          'GOOD_IMAGES... draws one',
      );
    });
}
