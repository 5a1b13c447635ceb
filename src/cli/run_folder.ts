/** The folder of one training: what may begin there, and what stands in the way. */
import { join } from 'node:path';
import { exists, readBytes } from '#platform';
import type { Sample } from '../data/dataset.ts';
import { OutputFolder } from '../output/folder.ts';
import type { CheckpointStorage } from '../train/checkpoint.ts';
import { pictureNames } from './results.ts';

const model = 'model.safetensors';
const checkpoints = [
  'stage1.checkpoint',
  'stage2.checkpoint',
  'best.checkpoint',
  'curve.checkpoint',
] as const;

/** Where a run's folder keeps the ranking of its suspects. */
export const suspectsFile = 'suspects.json';

/** What a curve over epochs leaves behind. */
export const curveFiles = ['curve.csv', 'curve.json'] as const;

export interface RunFolderOptions {
  readonly out: string;
  /** Continue from the checkpoints that are there. */
  readonly resume: boolean;
  /** Begin anew where there are results; files of others, and the model, are kept as backups. */
  readonly force?: boolean;
  /** Begin anew where there are results of this program, such as the demo's. */
  readonly again?: boolean;
  /** How long to wait for another process that works there, in milliseconds. Default 0. */
  readonly wait?: number;
  /** Images that get pictures. */
  readonly test: readonly Sample[];
}

/**
 * Locks the folder of a training.
 *
 * @throws Error where it is in use, holds a finished model or an unfinished run that nobody asked to replace
 *   or to continue, or where a file of others stands in the way
 */
export async function openRunFolder({
  out,
  resume,
  force = false,
  again = false,
  wait = 0,
  test,
}: RunFolderOptions) {
  const output = await OutputFolder.open(out, { command: 'aand train', force, wait });
  try {
    if (!resume && !force && !again) {
      if (await output.has(model))
        throw new Error(
          `${join(out, model)} is a finished model: give another --out, or --force, ` +
            'which trains anew and keeps the model as a backup',
        );
      for (const name of checkpoints)
        if (await output.has(name))
          throw new Error(
            `${join(out, name)} is of an unfinished training: --resume continues it, ` +
              '--force begins anew, or give another --out',
          );
    }
    const results = [
      'metrics.json',
      'scores.csv',
      'report.html',
      suspectsFile,
      ...curveFiles,
      ...pictureNames(test),
    ];
    await output.check([model, ...checkpoints, ...results]);
    return output;
  } catch (error) {
    await output.close();
    throw error;
  }
}

/** Where a run keeps its checkpoints. */
export interface RunCheckpoints {
  readonly stage1: CheckpointStorage;
  readonly stage2: CheckpointStorage;
  /** The epoch that is best on the test set. */
  readonly best: CheckpointStorage;
  /** The curve over epochs. */
  readonly curve: CheckpointStorage;
}

/** Where a run keeps its checkpoints. */
export function checkpointsIn(output: OutputFolder, resume: boolean): RunCheckpoints {
  let replaced = resume;
  const storage = (own: string): CheckpointStorage => {
    const path = join(output.path, own);
    return {
      name: path,
      advice: 'To begin anew, train with --force and without --resume',
      load: async () => ((await exists(path)) ? readBytes(path) : undefined),
      async save(data) {
        // The first checkpoint of a new run takes the place of all of an earlier one: a later --resume must
        // not find both.
        if (!replaced)
          for (const name of [...checkpoints, ...curveFiles]) if (name !== own) await output.remove(name);
        replaced = true;
        await output.write(own, data);
      },
    };
  };
  const [stage1, stage2, best, curve] = checkpoints;
  return {
    stage1: storage(stage1),
    stage2: storage(stage2),
    best: storage(best),
    curve: storage(curve),
  };
}
