/** Options of every command that opens a data set. */
import { type Command, Option } from 'commander';
import { type Format, formats } from '../data/dataset.ts';
import { type ForegroundRule, foregroundHelp, parseForeground } from '../data/foreground.ts';
import type { FolderKeys } from '../data/layouts/folder.ts';
import type { DatasetOptions } from '../data/open.ts';
import { UsageError } from './common.ts';
import { checkedBy, extensionsOption, seedOption, shareOption } from './options.ts';

export interface DataOptions {
  readonly format?: Format | 'auto';
  readonly category?: string;
  readonly normalDir?: string;
  readonly abnormalDir?: string[];
  readonly normalTestDir?: string;
  readonly maskDir?: string;
  readonly extensions?: string[];
  readonly testSplitRatio?: number;
  readonly splitSeed?: number;
}

export function addDataOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--format <layout>', 'how the images lie on disk')
        .choices([...formats, 'auto'])
        .default('auto'),
    )
    .option('--category <name>', 'a category below the folder')
    .option('--normal-dir <folder>', 'good images, in the folder layout')
    .option('--abnormal-dir <folder...>', 'bad images, one folder per kind')
    .option('--normal-test-dir <folder>', 'good images for the test')
    .option('--mask-dir <folder>', 'masks of the bad images')
    .option('--extensions <list>', 'extensions that count as images, such as .png,.jpg', extensionsOption)
    .option(
      '--test-split-ratio <share>',
      'share of good images for the test without --normal-test-dir (default .2)',
      shareOption,
    )
    .option('--split-seed <number>', 'which images that share draws (default 0)', seedOption);
}

export function datasetOptions(o: DataOptions): DatasetOptions {
  const folder: FolderKeys = {
    ...(o.normalDir && { normalDir: o.normalDir }),
    ...(o.abnormalDir && { abnormalDirs: o.abnormalDir }),
    ...(o.normalTestDir && { normalTestDir: o.normalTestDir }),
    ...(o.maskDir && { maskDir: o.maskDir }),
    ...(o.extensions && { extensions: o.extensions }),
    ...(o.testSplitRatio !== undefined && { testSplit: o.testSplitRatio }),
    ...(o.splitSeed !== undefined && { seed: o.splitSeed }),
  };
  if (Object.keys(folder).length && o.format && !['auto', 'folder'].includes(o.format))
    throw new UsageError(`--normal-dir and its like belong to --format folder, not ${o.format}`);
  return {
    format: o.format ?? 'auto',
    ...(o.category && { category: o.category }),
    ...(Object.keys(folder).length > 0 && { folder }),
  };
}

export const regionOption = [
  '--region <file>',
  'the region of interest, which alone is inspected: an image (white = inspected) or polygons as JSON',
] as const;

export const foregroundOption = [
  '--foreground <rule>',
  `where the product is on good images: ${foregroundHelp}`,
  checkedBy(parseForeground),
] as const;

/** The rule that was asked for; undefined for 'auto'. */
export function foregroundFrom(text: string | undefined): ForegroundRule | undefined {
  try {
    return parseForeground(text ?? 'auto');
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
