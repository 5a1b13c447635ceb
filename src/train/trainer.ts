/**
 * The loop that every training shares: epochs over shuffled batches, checkpoints, interruption, progress.
 * What a batch is and which program runs it is the caller's.
 */

import { Interrupted, InvalidArgumentError, NotFiniteError } from '../base/errors.ts';
import { RandomStream } from '../base/random.ts';
import type { ParameterStore } from '../engine/runtime/store.ts';
import type { Losses } from '../model/method.ts';
import {
  nonFinite,
  type RunCheckpoint,
  readStage,
  restoreCheckpoint,
  type State,
  saveCheckpoint,
} from './checkpoint.ts';
import { CheckpointPace } from './checkpoint_pace.ts';

/** How far a training is. */
export interface Progress {
  readonly stage: string;
  readonly epoch: number;
  readonly epochs: number;
  /** Images of this epoch so far, and in all. */
  readonly images: number;
  /** What `images`, `total` and `imagesPerSecond` count, where these are no images. */
  readonly unit?: 'images' | 'patches';
  readonly total: number;
  /** Means over the epoch so far. */
  readonly losses: Losses;
  readonly imagesPerSecond: number;
  /** Seconds that this stage still needs. */
  readonly remaining: number;
}

/** A step whose work the device has been given: what is submitted later runs later. */
export interface SubmittedStep {
  /** The batch's losses. */
  readonly losses: Promise<Losses>;
}

export interface StageOptions {
  readonly stage: string;
  readonly store: ParameterStore;
  /** Parameter group that this stage trains. */
  readonly group: string;
  readonly items: number;
  readonly batch: number;
  readonly epochs: number;
  readonly seed: number;
  /**
   * Where finished epochs are kept, and whose it is: a checkpoint of another run is refused. The first and
   * the last epoch always are, those between as often as takes a tenth of the time.
   */
  readonly checkpoint?: RunCheckpoint | undefined;
  readonly resume?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Milliseconds of the clock that says how often a checkpoint is written. */
  readonly now?: () => number;
  /** Work of an image in this epoch, in any unit, to forecast the time; the same in all by default. */
  readonly cost?: ((epoch: number) => number) | undefined;
  /** With `resume`: told the losses of the epochs that the checkpoint has finished. */
  readonly onResume?: ((stage: string, history: readonly Losses[]) => void) | undefined;
  /**
   * Called after each epoch, and its checkpoint where there is one, counted from 1; with `resume` again for
   * the last one of the checkpoint and those after it, for nobody knows how far the run before came.
   */
  readonly afterEpoch?: ((epoch: number, losses: Losses) => Promise<void>) | undefined;
  /**
   * Begins one step over these items; `step` counts from 1 over the whole stage. Resolves when it is
   * submitted.
   */
  step(items: Uint32Array, epoch: number, step: number): Promise<SubmittedStep>;
}

function checkOptions(o: StageOptions): void {
  const least = { items: 1, batch: 1, epochs: 0, seed: Number.MIN_SAFE_INTEGER } as const;
  for (const name of ['items', 'batch', 'epochs', 'seed'] as const)
    if (!Number.isSafeInteger(o[name]) || o[name] < least[name])
      throw new InvalidArgumentError(
        `${o.stage}: ${name} is ${o[name]}, expected a whole number of at least ${least[name]}`,
      );
}

/** @throws Error on a learning rate that cannot train anything */
export function checkLearningRate(rate: number): void {
  if (!(rate > 0 && rate <= 1))
    throw new InvalidArgumentError(`the learning rate is ${rate}, expected a number above 0 and at most 1`);
}

/** What a person can look at where numbers ran away. */
const causes =
  'the training ran away. Likely causes: a learning rate that is too high, a teacher with damaged or ' +
  'extreme weights, or images that hold nothing to learn';

/**
 * Trains and returns the losses of each epoch. With `resume` it continues after the last finished epoch of
 * the checkpoint, bit for bit as if it had never stopped.
 *
 * @throws Error where a loss, a parameter, a running statistic or a moment of Adam's is not finite: before
 *   every checkpoint, and at the end
 * @throws CheckpointError on a checkpoint that cannot be continued
 * @throws Interrupted when the signal is raised
 */
export async function trainStage(options: StageOptions): Promise<Losses[]> {
  checkOptions(options);
  const stepsPerEpoch = Math.ceil(options.items / options.batch);
  const state: Running = { epoch: 0, step: 0, history: [], kept: 0 };
  const pace = new CheckpointPace(options.now);
  if (options.resume) {
    const kept =
      options.checkpoint && (await restoreCheckpoint(options.checkpoint, { ...options, stepsPerEpoch }));
    if (kept) Object.assign(state, { ...kept, history: [...kept.history], kept: kept.epoch });
    options.onResume?.(options.stage, state.history);
    if (kept) await options.afterEpoch?.(state.epoch, state.history.at(-1) as Losses);
  }
  const clock = { started: performance.now(), images: 0, work: 0 };
  for (; state.epoch < options.epochs; state.epoch++) {
    const order = new RandomStream(options.seed, options.stage, 'order', state.epoch).sample(
      options.items,
      options.items,
    );
    const sums = new Map<string, number>();
    let images = 0;
    // One step is prepared and submitted while the one before it runs; none begins before that one is
    // submitted, however long its program takes to compile, for the order of the steps decides what is
    // learned.
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
            throw new NotFiniteError(
              `${options.stage}: loss '${name}' is ${value} in epoch ${state.epoch + 1}, ` +
                `step ${index + 1}: ${causes}${stillValid(options, state)}`,
            );
          sums.set(name, (sums.get(name) ?? 0) + value * items.length);
        }
        images += items.length;
        clock.images += items.length;
        clock.work += items.length * (options.cost?.(state.epoch) ?? 1);
        report(options, state.epoch, images, sums, clock);
      });
      // Where the next step fails before it is submitted, nobody waits for this one.
      pending.catch(() => {});
    }
    await pending;
    const losses = Object.fromEntries([...sums].map(([name, sum]) => [name, sum / options.items]));
    state.history.push(losses);
    if (state.epoch + 1 === options.epochs || (options.checkpoint && pace.due)) {
      await pace.write(() => keep(options, state));
      state.kept = state.epoch + 1;
    }
    await options.afterEpoch?.(state.epoch + 1, losses);
  }
  return state.history;
}

interface Running {
  epoch: number;
  step: number;
  history: Losses[];
  /** Epochs that the checkpoint holds. */
  kept: number;
}

/** When the work of this process began, and what was done since. */
interface Clock {
  readonly started: number;
  readonly images: number;
  readonly work: number;
}

function report(o: StageOptions, epoch: number, images: number, sums: Map<string, number>, clock: Clock) {
  const seconds = (performance.now() - clock.started) / 1000;
  const cost = o.cost ?? (() => 1);
  let left = (o.items - images) * cost(epoch);
  for (let later = epoch + 1; later < o.epochs; later++) left += o.items * cost(later);
  o.onProgress?.({
    stage: o.stage,
    epoch,
    epochs: o.epochs,
    images,
    total: o.items,
    losses: Object.fromEntries([...sums].map(([name, sum]) => [name, sum / images])),
    imagesPerSecond: clock.images / seconds,
    remaining: (left * seconds) / clock.work,
  });
}

/** Tests every tensor of the stage, and writes the checkpoint where there is one. */
async function keep(options: StageOptions, state: Running): Promise<void> {
  const tensors = await readStage(options);
  const bad = nonFinite(tensors);
  if (bad)
    throw new NotFiniteError(
      `${options.stage}: ${bad} after epoch ${state.epoch + 1}: ${causes}${stillValid(options, state)}`,
    );
  const { epoch, step, history } = state;
  const finished: State = { epoch: epoch + 1, step, history };
  if (options.checkpoint) await saveCheckpoint(options.checkpoint, options.stage, tensors, finished);
}

function stillValid({ checkpoint }: StageOptions, { kept }: Running): string {
  return checkpoint && kept > 0 ? `. ${checkpoint.storage.name} still holds epoch ${kept}` : '';
}
