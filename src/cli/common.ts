/** What the commands share: errors with exit codes, the engine, files. */
import { Option } from 'commander';
import { exists, readBytes, writeBytes } from '#platform';
import { Engine, type EngineOptions } from '../engine/runtime/engine.ts';
import { markRules } from '../eval/marks.ts';
import type { CheckpointStorage } from '../train/checkpoint.ts';
import { readWeightsFile } from '../weights/read_weights.ts';
import type { SafetensorsFile } from '../weights/safetensors.ts';
import { note } from './style.ts';
import { readTunings } from './tunings.ts';

export { interruptSignal } from './interrupt.ts';

/** `--dtype` of the commands that only infer. */
export const dtypeOption = () =>
  new Option(
    '--dtype <type>',
    'floats in memory: f16 halves it where the device has them; sums are in f32, but for ' +
      'short runs in f16 on some GPUs (aand doctor says)',
  )
    .choices(['f32', 'f16'])
    .default('f32');

/** `--marks`: the limit that pictures and boxes are drawn by. */
export const marksOption = () =>
  new Option(
    '--marks <by>',
    'mark by the limit of the verdict (score: every anomalous image has its peak marked, no good one has a ' +
      "mark) or by the limit of pixels, which is drawn apart (pixels); default: the model's own, else score",
  ).choices(markRules);

/** Whether the commands that only infer use matrix units: `--subgroup-matrices` and its opposite. */
export const subgroupMatricesOptions = (): readonly [yes: Option, no: Option] => [
  new Option(
    '--subgroup-matrices',
    "use the GPU's matrix units with --dtype f32 too where they take 32-bit floats; f16 does it by itself, " +
      'where a first product is right: an unfinished WebGPU extension, not run on real ones yet',
  ),
  new Option('--no-subgroup-matrices', "do without the GPU's matrix units"),
];

/** How an engine is opened for `--dtype` and these two. */
export function matrixUnitUse(options: {
  readonly dtype: string;
  readonly subgroupMatrices?: boolean;
}): Pick<EngineOptions, 'subgroupMatrices'> {
  const byDefault = options.dtype === 'f16' ? 'if offered' : false;
  return { subgroupMatrices: options.subgroupMatrices ?? byDefault };
}

/** The end of a command with an exit code of its own. */
export class EndWithCode extends Error {
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Wrong use of a command. */
export class UsageError extends EndWithCode {
  constructor(message: string) {
    super(2, message);
  }
}

/** Opens the engine, runs, closes it. Notices (a software driver, no matrix units) go to stderr. */
export async function withEngine<T>(
  work: (engine: Engine) => Promise<T>,
  options: EngineOptions = {},
): Promise<T> {
  const engine = await Engine.open({
    ...options,
    tunings: await readTunings(),
    onNotice: note,
  });
  try {
    return await work(engine);
  } finally {
    await engine.close();
  }
}

/** Weights in safetensors or PyTorch's own format. */
export async function readWeights(path: string): Promise<SafetensorsFile> {
  return readWeightsFile(await readBytes(path), path);
}

/** A text file that the user names. */
export async function readText(path: string): Promise<string> {
  return new TextDecoder().decode(await readBytes(path));
}

/** A checkpoint file. */
export function checkpointFile(path: string): CheckpointStorage {
  return {
    name: path,
    advice: 'To begin anew, train without --resume or delete the file',
    load: async () => ((await exists(path)) ? readBytes(path) : undefined),
    save: (data) => writeBytes(path, data),
  };
}

/** Turns errors about options into usage errors. */
export function usage<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
