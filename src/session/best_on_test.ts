/**
 * `--select test-oracle`: keeps the student of the epoch that is best on the test set, as the authors' code
 * does.
 */
import * as v from 'valibot';
import type { ParameterStore } from '../engine/runtime/store.ts';
import { groups } from '../model/groups.ts';
import { openCheckpoint, parse, type RunCheckpoint, refusing, saveCheckpoint } from '../train/checkpoint.ts';
import { loadParameters, storeParameters } from '../weights/parameters.ts';
import type { SafetensorsFile } from '../weights/safetensors.ts';

// As the authors: every fifth epoch of stage II, and here the last one too.
const every = 5;

/** Whether something that is done every so many epochs is done after this one; it is after the last one. */
export function isDue(epoch: number, every: number, epochs: number): boolean {
  return epoch % every === 0 || epoch === epochs;
}

const stage = 'the best epoch on the test set';

const bestSchema = v.strictObject({
  epoch: v.pipe(v.number(), v.integer(), v.minValue(1)),
  score: v.pipe(v.number(), v.finite()),
});
type Best = v.InferOutput<typeof bestSchema>;

export class BestOnTest {
  readonly #checkpoint: RunCheckpoint;
  readonly #epochs: number;
  #best: Best | undefined;

  private constructor(checkpoint: RunCheckpoint, epochs: number, best: Best | undefined) {
    this.#checkpoint = checkpoint;
    this.#epochs = epochs;
    this.#best = best;
  }

  /**
   * @param checkpoint where the best student is kept, so that a resumed run knows it; its run has the test
   *   set's digests too
   * @param epochs of stage II
   * @throws CheckpointError on a kept one that is damaged or of another run
   */
  static async open(checkpoint: RunCheckpoint, resume: boolean, epochs: number): Promise<BestOnTest> {
    const kept = resume ? await readBest(checkpoint, epochs) : undefined;
    return new BestOnTest(checkpoint, epochs, kept?.best);
  }

  /** @param measure larger is better */
  async after(epoch: number, store: ParameterStore, measure: () => Promise<number>): Promise<void> {
    if (!isDue(epoch, every, this.#epochs)) return;
    const score = await measure();
    if (this.#best && this.#best.score >= score) return;
    this.#best = { epoch, score };
    await saveCheckpoint(this.#checkpoint, stage, await storeParameters(store, [groups.student]), this.#best);
  }

  /** Puts the best student into the store; resolves with its epoch. */
  async restore(store: ParameterStore): Promise<number | undefined> {
    if (!this.#best) return undefined;
    const kept = await readBest(this.#checkpoint, this.#epochs);
    if (!kept) throw new Error(`${this.#checkpoint.storage.name} is gone`);
    await refusing(this.#checkpoint.storage, () =>
      loadParameters(store, [groups.student], kept.file, 'the checkpoint'),
    );
    return kept.best.epoch;
  }
}

async function readBest(
  checkpoint: RunCheckpoint,
  epochs: number,
): Promise<{ file: SafetensorsFile; best: Best } | undefined> {
  const data = await checkpoint.storage.load();
  if (!data) return undefined;
  const file = await openCheckpoint(checkpoint, data, stage);
  const best = await refusing(checkpoint.storage, () => v.parse(bestSchema, parse(file.metadata.state)));
  if (best.epoch > epochs)
    await refusing(checkpoint.storage, () =>
      Promise.reject(new Error(`it is of epoch ${best.epoch} of ${epochs}`)),
    );
  return { file, best };
}
