/**
 * Checkpoints: the tensors that a stage trains, Adam's moments, and how far it came, in a safetensors file
 * with a digest of everything in it. A checkpoint belongs to one run; it is checked whole before anything of
 * it is used.
 */

import * as v from 'valibot';
import { CheckpointError } from '../base/errors.ts';
import { firstNonFinite } from '../engine/graph/tensor.ts';
import type { ParameterStore } from '../engine/runtime/store.ts';
import type { Losses } from '../model/method.ts';
import { verifyDigest, writeWithDigest } from '../weights/digest.ts';
import { readSafetensors, type SafetensorsFile, type TensorToStore } from '../weights/safetensors.ts';
import { asRun, differences, type Run } from './run.ts';

/** Where checkpoints are kept: a file in Node, the browser's storage in a page. */
export interface CheckpointStorage {
  /** What messages call it, such as its path. */
  readonly name: string;
  /** What the person can do where it cannot be used: a sentence. */
  readonly advice: string;
  /** What was saved last; undefined where nothing was. */
  load(): Promise<Uint8Array | undefined>;
  /** Keeps a checkpoint in place of the one before: whole or not at all. */
  save(data: Uint8Array): Promise<void>;
}

/** A place for checkpoints with the run that they belong to. */
export interface RunCheckpoint {
  readonly storage: CheckpointStorage;
  readonly run: Run;
  /** Names of the items of the run's lists, for messages. */
  readonly names?: Readonly<Record<string, readonly string[]>>;
}

/** How far a stage came. */
export interface State {
  /** Finished epochs. */
  readonly epoch: number;
  /** Steps of all finished epochs. */
  readonly step: number;
  /** Losses of every finished epoch. */
  readonly history: readonly Losses[];
}

/** What a checkpoint is compared with. */
export interface Stage {
  readonly stage: string;
  readonly store: ParameterStore;
  /** Parameter group that the stage trains. */
  readonly group: string;
  readonly epochs: number;
  readonly stepsPerEpoch: number;
}

const checkpointFormat = 'aand-webgpu-checkpoint/1';
const kinds = ['parameter', 'first_moment', 'second_moment'] as const;
const kindNames = {
  parameter: '',
  first_moment: " (Adam's first moment)",
  second_moment: " (Adam's second moment)",
};

/** All tensors of a stage, read from the device, as `KIND/NAME`. */
export async function readStage({
  store,
  group,
}: Pick<Stage, 'store' | 'group'>): Promise<Map<string, TensorToStore>> {
  const names = store.set.specs.filter((spec) => spec.group === group).map((spec) => spec.name);
  const tensors = new Map<string, TensorToStore>();
  for (const kind of kinds)
    for (const [name, values] of await store.read(names, kind))
      tensors.set(`${kind}/${name}`, { shape: store.set.spec(name).shape, values });
  return tensors;
}

/** The first tensor that holds a value that is not finite, in words; undefined where all are finite. */
export function nonFinite(tensors: ReadonlyMap<string, TensorToStore>): string | undefined {
  for (const [key, { shape, values }] of tensors) {
    const index = firstNonFinite(values);
    if (index < 0) continue;
    const [kind, ...name] = key.split('/') as [(typeof kinds)[number], ...string[]];
    return `tensor '${name.join('/')}'${kindNames[kind]} [${shape}] holds ${values[index]} at index ${index}`;
  }
  return undefined;
}

/** @param state as {@link openCheckpoint} gives it back, in the metadata */
export async function saveCheckpoint(
  { storage, run }: RunCheckpoint,
  stage: string,
  tensors: ReadonlyMap<string, TensorToStore>,
  state: unknown,
): Promise<void> {
  const metadata = {
    format: checkpointFormat,
    stage,
    run: JSON.stringify(run),
    state: JSON.stringify(state),
  };
  await storage.save(await writeWithDigest(tensors, metadata));
}

/**
 * Reads what {@link saveCheckpoint} wrote, whatever tensors are in it.
 *
 * @throws CheckpointError on a damaged one and on one of another run, stage or version
 */
export async function openCheckpoint(
  { storage, run, names }: RunCheckpoint,
  data: Uint8Array,
  stage: string,
): Promise<SafetensorsFile> {
  return refusing(storage, async () => {
    const file = readSafetensors(data, 'the checkpoint');
    const whole = await verifyDigest(data, file.metadata, 'the checkpoint').catch(() => false);
    const { format, stage: found } = file.metadata;
    if (format !== checkpointFormat)
      throw new Error(
        `it is damaged or of another version (format '${format ?? 'none'}', needed is '${checkpointFormat}')`,
      );
    if (!whole) throw new Error('it is damaged: its content does not fit its SHA-256 digest');
    if (found !== stage) throw new Error(`it is a checkpoint of ${found ?? 'nothing'}, not of ${stage}`);
    const other = differences(asRun(parse(file.metadata.run)), run, 'the checkpoint', names);
    if (other.length)
      throw new Error(
        `the checkpoint was made with other settings or inputs: ${other.join('; ')}. ` +
          'Give what it was made with',
      );
    return file;
  });
}

/** A metadata entry as a value. */
export function parse(text: string | undefined): unknown {
  return JSON.parse(text ?? 'null');
}

/** Names the checkpoint and what to do in every error. */
export async function refusing<T>(
  { name, advice }: CheckpointStorage,
  work: () => T | Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new CheckpointError(`${name} cannot be continued: ${(error as Error).message}. ${advice}`);
  }
}

function stateOf(text: string | undefined, { epochs, stepsPerEpoch }: Stage): State {
  const losses = v.record(v.string(), v.pipe(v.number(), v.finite()));
  const schema = v.pipe(
    v.strictObject({
      epoch: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(epochs)),
      step: v.pipe(v.number(), v.integer()),
      history: v.array(losses),
    }),
    v.check(
      ({ epoch, step }) => step === epoch * stepsPerEpoch,
      'the number of steps is not that of its epochs',
    ),
    v.check(({ epoch, history }) => history.length === epoch, 'the losses are not those of its epochs'),
  );
  const result = v.safeParse(schema, parse(text));
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new Error(
    `its state is not valid: ${[v.getDotPath(issue), issue.message].filter(Boolean).join(': ')}`,
  );
}

/** Every tensor of the stage must be there once, in its shape, and finite. */
function checkTensors({ tensors }: SafetensorsFile, { store, group }: Stage): void {
  const specs = store.set.specs.filter((spec) => spec.group === group);
  const wanted = new Map<string, readonly number[]>(
    kinds.flatMap((kind) => specs.map(({ name, shape }) => [`${kind}/${name}`, shape])),
  );
  const missing = [...wanted.keys()].filter((name) => !tensors.has(name));
  if (missing.length) throw new Error(`${missing.length} tensors are missing, the first is '${missing[0]}'`);
  const surplus = [...tensors.keys()].filter((name) => !wanted.has(name));
  if (surplus.length)
    throw new Error(`${surplus.length} tensors do not belong there, the first is '${surplus[0]}'`);
  for (const [name, { shape, type }] of tensors) {
    const needed = wanted.get(name);
    if (`${shape}` !== `${needed}` || type !== 'F32')
      throw new Error(`tensor '${name}' is ${type} [${shape}], needed is F32 [${needed}]`);
  }
  const bad = nonFinite(tensors as ReadonlyMap<string, TensorToStore>);
  if (bad) throw new Error(bad);
}

/**
 * Puts a checkpoint into the store and tells how far it came; undefined where there is none.
 *
 * @throws CheckpointError on a damaged one and on one of another run, stage or version, before the store is
 *   changed
 */
export async function restoreCheckpoint(checkpoint: RunCheckpoint, stage: Stage): Promise<State | undefined> {
  const data = await checkpoint.storage.load();
  if (!data) return undefined;
  const file = await openCheckpoint(checkpoint, data, stage.stage);
  const state = await refusing(checkpoint.storage, () => {
    checkTensors(file, stage);
    return stateOf(file.metadata.state, stage);
  });
  for (const [key, { values }] of file.tensors) {
    const [kind, ...name] = key.split('/') as [(typeof kinds)[number], ...string[]];
    stage.store.write(name.join('/'), values, kind);
  }
  return state;
}
