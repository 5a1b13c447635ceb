/** `--watch`, `--camera` and what belongs to them: where images come from besides requests. */
import type { Command } from 'commander';
import { UsageError } from './common.ts';
import { realNumber, textOption } from './options.ts';

export interface SourceCommandOptions {
  readonly watch?: readonly string[];
  readonly watchMove?: string;
  /** Seconds. */
  readonly watchSettle: number;
  /** Seconds; asked by the system where it is left out. */
  readonly watchPoll?: number;
  readonly camera?: readonly string[];
  /** Seconds. */
  readonly interval: number;
}

/** A source and the model that judges it. */
export interface NamedSource {
  /** Name of the model; the only one where it is left out. */
  readonly model: string | undefined;
  /** Folder, address or device. */
  readonly source: string;
}

/** How long a file's size must stay the same. */
export const settleOption = realNumber({ above: 0 }, { most: 3600 });

/** How often a folder is looked at. */
export const pollOption = realNumber({ above: 0 }, { most: 3600 });

/** Adds the options to a command. */
export function addSourceOptions(command: Command): Command {
  const several = textOption(true) as (text: string, before: unknown) => string[];
  return command
    .option(
      '--watch <folder>',
      'judge the image files of this folder, and what comes into it; NAME=FOLDER where there are ' +
        'several models; may be given again',
      several,
    )
    .option(
      '--watch-move <folder>',
      'move judged files there, below good, anomalous, judged (no threshold) or unreadable; without it ' +
        'they stay, and a hidden file beside them remembers which were judged',
    )
    .option('--watch-settle <seconds>', "how long a file's size must stay the same", settleOption, 0.5)
    .option('--watch-poll <seconds>', 'look so often, for folders of other machines', pollOption)
    .option(
      '--camera <source>',
      'judge pictures of a camera: its address (rtsp, http) or device (/dev/video0), by ffmpeg; ' +
        'NAME=SOURCE where there are several models; may be given again',
      several,
    )
    .option(
      '--interval <seconds>',
      'time between pictures of a camera',
      realNumber({ least: 0.02 }, { most: 86_400 }),
      1,
    );
}

/** A folder or camera as in NAME=SOURCE. The names of the models decide whether there is one. */
function namedSource(text: string, option: string, models: readonly string[]): NamedSource {
  const [, name, source] = /^([\w.-]+)=(.+)$/s.exec(text) ?? [];
  const model = name !== undefined && models.includes(name) ? name : undefined;
  if (model === undefined && models.length > 1)
    throw new UsageError(
      `${option} ${text} must say which model judges it: write NAME=${text}; there are ${models.join(', ')}`,
    );
  return { model, source: model === undefined ? text : (source as string) };
}

/**
 * The sources that the options name.
 *
 * @throws UsageError where a source does not say which of several models judges it, or looks like an option
 */
export function namedSources(
  { watch = [], camera = [], watchMove, watchPoll }: SourceCommandOptions,
  models: readonly string[],
): { readonly folders: readonly NamedSource[]; readonly cameras: readonly NamedSource[] } {
  if (!watch.length && (watchMove ?? watchPoll) !== undefined)
    throw new UsageError('--watch-move and --watch-poll belong to --watch');
  const folders = watch.map((text) => namedSource(text, '--watch', models));
  const cameras = camera.map((text) => namedSource(text, '--camera', models));
  for (const { source } of cameras)
    if (source.startsWith('-')) throw new UsageError(`--camera ${source}: this is no address or device`);
  return { folders, cameras };
}
