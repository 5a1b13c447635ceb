/**
 * What is measured on the test set while a training runs: for its curve (`--curve`), and for the choice of
 * the best epoch (`--select test-oracle`). Both take the same measurement where both want one.
 */

import type { ParameterStore } from '../engine/runtime/store.ts';
import type { Metrics } from '../eval/evaluate.ts';
import type { FinishedEpoch } from '../train/check_options.ts';
import type { CheckpointStorage, RunCheckpoint } from '../train/checkpoint.ts';
import type { Run } from '../train/run.ts';
import { BestOnTest, isDue } from './best_on_test.ts';
import { type CurvePoint, curveFigures, LearningCurve } from './learning_curve.ts';

/** What a caller wants measured after epochs, and where it is kept. */
export interface EpochTestPorts {
  /** Choose the epoch that is best on the test set, as the authors do, instead of the last one. */
  readonly select?: { readonly storage: CheckpointStorage } | undefined;
  /** Measure every so many epochs of each stage, and after its last one; this chooses nothing. */
  readonly curve?:
    | {
        readonly every: number;
        readonly storage: CheckpointStorage;
        /** Told all points after each new one. */
        onPoint?(points: readonly CurvePoint[]): Promise<void>;
      }
    | undefined;
  /** The run with the digests of the test set. */
  run(described: Run): Promise<Run>;
  /** Names of the items of the run's lists, for messages. */
  readonly names?: Readonly<Record<string, readonly string[]>>;
}

/** How the parameters of a training are measured. */
export interface EpochMeasures {
  /** The detector on the test set. */
  detector(store: ParameterStore): Promise<Metrics>;
  /** The gates on synthetic anomalies and on the test set. */
  gates(store: ParameterStore): Promise<NonNullable<CurvePoint['gates']>>;
}

/** The sum of both areas under the curve: what the authors choose the epoch by. */
function areas({ image_AUROC, pixel_AUROC }: Metrics): number {
  return (image_AUROC ?? 0) + (pixel_AUROC ?? 0);
}

/** Tests a training after its epochs, and knows what came of it. */
export class EpochTests {
  readonly #epochs: readonly [number, number];
  readonly #measures: EpochMeasures;
  readonly #ports: EpochTestPorts;
  readonly #best: BestOnTest | undefined;
  readonly #curve: LearningCurve | undefined;
  #last: { readonly epoch: number; readonly metrics: Metrics } | undefined;

  private constructor(
    epochs: readonly [number, number],
    measures: EpochMeasures,
    ports: EpochTestPorts,
    kept: { readonly best: BestOnTest | undefined; readonly curve: LearningCurve | undefined },
  ) {
    this.#epochs = epochs;
    this.#measures = measures;
    this.#ports = ports;
    this.#best = kept.best;
    this.#curve = kept.curve;
  }

  /**
   * @param described the training's run
   * @param resume go on from what is kept
   * @throws CheckpointError on what is kept of another run, or damaged
   */
  static async open(
    epochs: readonly [number, number],
    measures: EpochMeasures,
    ports: EpochTestPorts,
    described: Run,
    resume: boolean,
  ): Promise<EpochTests> {
    const { select, curve, names = {} } = ports;
    const run = await ports.run(described);
    const at = (storage: CheckpointStorage): RunCheckpoint => ({ storage, run, names });
    return new EpochTests(epochs, measures, ports, {
      best: select && (await BestOnTest.open(at(select.storage), resume, epochs[1])),
      curve: curve && (await LearningCurve.open(at(curve.storage), resume)),
    });
  }

  /** The points of the curve; undefined where none is wanted. */
  get points(): readonly CurvePoint[] | undefined {
    return this.#curve?.points;
  }

  async after({ stage, epoch, losses }: FinishedEpoch, store: ParameterStore): Promise<void> {
    if (stage === 2) {
      const score = async () => areas(await this.#detector(epoch, store));
      await this.#best?.after(epoch, store, score);
    }
    const { curve } = this.#ports;
    if (!curve || !this.#curve || this.#curve.has({ stage, epoch })) return;
    if (!isDue(epoch, curve.every, this.#epochs[stage - 1] as number)) return;
    await this.#curve.add({
      stage,
      epoch,
      losses,
      ...(stage === 2
        ? { detector: curveFigures(await this.#detector(epoch, store)) }
        : { gates: await this.#measures.gates(store) }),
    });
    await curve.onPoint?.(this.#curve.points);
  }

  /** Puts the best student into the store where one is chosen; resolves with its epoch. */
  async restore(store: ParameterStore): Promise<number | undefined> {
    return this.#best?.restore(store);
  }

  async #detector(epoch: number, store: ParameterStore): Promise<Metrics> {
    if (this.#last?.epoch !== epoch) this.#last = { epoch, metrics: await this.#measures.detector(store) };
    return this.#last.metrics;
  }
}
