/**
 * The loop that every training shares: epochs over shuffled batches, checkpoints, interruption, progress. What a batch is and
 * which program runs it is the caller's.
 */
import type { ParameterStore } from '../engine/parameters.ts';
import { RandomStream } from '../engine/random.ts';
import { readSafetensors, type TensorToStore, writeSafetensors } from '../weights/safetensors.ts';

/** Where checkpoints are kept: a file in Node, the browser's storage in a page. */
export interface CheckpointStorage {
  load(): Promise<Uint8Array | undefined>;
  save(data: Uint8Array): Promise<void>;
}

/** Means of the losses over an epoch, by name. */
export type Losses = Readonly<Record<string, number>>;

export interface Progress {
  readonly stage: string;
  readonly epoch: number;
  readonly epochs: number;
  /** Images of this epoch so far, and in all. */
  readonly images: number;
  readonly total: number;
  /** Means over the epoch so far. */
  readonly losses: Losses;
  readonly imagesPerSecond: number;
  /** Seconds that this stage still needs. */
  readonly remaining: number;
}

/** Thrown after the checkpoint is saved, when the signal was raised. */
export class Interrupted extends Error {
  constructor() {
    super('interrupted; the last checkpoint holds the work so far');
    this.name = 'Interrupted';
  }
}

/** A step whose work the device has been given: what is submitted later runs later. */
export interface SubmittedStep {
  /** The batch's losses. */
  readonly losses: Promise<Losses>;
}

export interface TrainOptions {
  readonly stage: string;
  readonly store: ParameterStore;
  /** Parameter group that this stage trains. */
  readonly group: string;
  readonly items: number;
  readonly batch: number;
  readonly epochs: number;
  readonly seed: number;
  /** Identifies the run: a checkpoint with other settings is refused. */
  readonly settings: string;
  readonly checkpoint?: CheckpointStorage | undefined;
  readonly resume?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** With `resume`: told the losses of the epochs that the checkpoint has finished. */
  readonly onResume?: ((stage: string, history: readonly Losses[]) => void) | undefined;
  /** Called after each epoch's checkpoint, counted from 1. */
  readonly afterEpoch?: ((epoch: number) => Promise<void>) | undefined;
  /** Begins one step over these items; `step` counts from 1 over the whole stage. Resolves when it is submitted. */
  step(items: Uint32Array, epoch: number, step: number): Promise<SubmittedStep>;
}

interface State {
  epoch: number;
  step: number;
  history: Losses[];
}

/**
 * Trains and returns the losses of each epoch. With `resume` it continues after the last finished epoch of the checkpoint,
 * bit for bit as if it had never stopped.
 */
export async function train(options: TrainOptions): Promise<Losses[]> {
  const state: State = { epoch: 0, step: 0, history: [] };
  if (options.resume) {
    await restore(options, state);
    options.onResume?.(options.stage, state.history);
  }
  const stepsPerEpoch = Math.ceil(options.items / options.batch);
  const started = performance.now();
  let done = 0;
  for (; state.epoch < options.epochs; state.epoch++) {
    const order = new RandomStream(options.seed, options.stage, 'order', state.epoch).sample(
      options.items,
      options.items,
    );
    const sums = new Map<string, number>();
    let images = 0;
    // One step is prepared and submitted while the one before it runs; none begins before that one is submitted, however long
    // its program takes to compile, for the order of the steps decides what is learned.
    let pending: Promise<void> = Promise.resolve();
    for (let index = 0; index < stepsPerEpoch; index++) {
      if (options.signal?.aborted) {
        await pending;
        throw new Interrupted();
      }
      const items = order.subarray(index * options.batch, (index + 1) * options.batch);
      const { losses } = await options.step(items, state.epoch, ++state.step);
      losses.catch(() => {});
      await pending;
      pending = losses.then((values) => {
        for (const [name, value] of Object.entries(values)) {
          if (!Number.isFinite(value))
            throw new Error(
              `${options.stage}: loss '${name}' is ${value} in epoch ${state.epoch + 1}, step ${index + 1}`,
            );
          sums.set(name, (sums.get(name) ?? 0) + value * items.length);
        }
        images += items.length;
        done += items.length;
        report(options, state.epoch, images, sums, done, started);
      });
      // Where the next step fails before it is submitted, nobody waits for this one.
      pending.catch(() => {});
    }
    await pending;
    state.history.push(Object.fromEntries([...sums].map(([name, sum]) => [name, sum / options.items])));
    await save(options, { ...state, epoch: state.epoch + 1 });
    await options.afterEpoch?.(state.epoch + 1);
  }
  return state.history;
}

function report(
  o: TrainOptions,
  epoch: number,
  images: number,
  sums: Map<string, number>,
  done: number,
  started: number,
) {
  const imagesPerSecond = done / ((performance.now() - started) / 1000);
  const left = (o.epochs - epoch) * o.items - images;
  o.onProgress?.({
    stage: o.stage,
    epoch,
    epochs: o.epochs,
    images,
    total: o.items,
    losses: Object.fromEntries([...sums].map(([name, sum]) => [name, sum / images])),
    imagesPerSecond,
    remaining: left / imagesPerSecond,
  });
}

const moments = ['first_moment', 'second_moment'] as const;

async function save(options: TrainOptions, state: State): Promise<void> {
  if (!options.checkpoint) return;
  const { store, group } = options;
  const specs = store.set.specs.filter((spec) => spec.group === group);
  const tensors = new Map<string, TensorToStore>();
  for (const kind of ['parameter', ...moments] as const)
    for (const [name, values] of await store.read(
      specs.map((spec) => spec.name),
      kind,
    ))
      tensors.set(`${kind}/${name}`, { shape: store.set.spec(name).shape, values });
  await options.checkpoint.save(
    writeSafetensors(tensors, {
      stage: options.stage,
      settings: options.settings,
      state: JSON.stringify(state),
    }),
  );
}

async function restore(options: TrainOptions, state: State): Promise<void> {
  const data = await options.checkpoint?.load();
  if (!data) return;
  const file = readSafetensors(data, 'checkpoint');
  if (file.metadata.stage !== options.stage) return;
  if (file.metadata.settings !== options.settings)
    throw new Error(
      `the checkpoint was made with other settings (${file.metadata.settings}) than these (${options.settings}); ` +
        'give the same ones, or train without --resume',
    );
  for (const [key, { values }] of file.tensors) {
    const [kind, ...name] = key.split('/') as ['parameter' | (typeof moments)[number], ...string[]];
    options.store.write(name.join('/'), values, kind);
  }
  Object.assign(state, JSON.parse(file.metadata.state ?? '{}'));
}
