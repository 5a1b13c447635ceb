/** `--select test-oracle`: keeps the student of the epoch that is best on the test set, as the authors' code does. */
import { exists, readBytes, writeBytes } from '#platform';
import type { ParameterStore } from '../engine/parameters.ts';
import { groups } from '../model/detector.ts';
import { loadParameters, storeParameters } from '../model/initialize.ts';
import { readSafetensors, writeSafetensors } from '../weights/safetensors.ts';

// As the authors: every fifth epoch of stage II, and here the last one too.
const every = 5;

export class BestOnTest {
  readonly #path: string;
  readonly #measure: (store: ParameterStore) => Promise<number>;
  #best: Promise<{ epoch: number; score: number } | undefined>;

  /**
   * @param path where the best student is kept, so that a resumed run knows it
   * @param measure larger is better
   */
  constructor(path: string, resume: boolean, measure: (store: ParameterStore) => Promise<number>) {
    this.#path = path;
    this.#measure = measure;
    this.#best = resume ? this.#read() : Promise.resolve(undefined);
  }

  async #read() {
    if (!(await exists(this.#path))) return undefined;
    const { metadata } = readSafetensors(await readBytes(this.#path), this.#path);
    return { epoch: Number(metadata.epoch), score: Number(metadata.score) };
  }

  async after(epoch: number, epochs: number, store: ParameterStore): Promise<void> {
    if (epoch % every && epoch !== epochs) return;
    const score = await this.#measure(store);
    const best = await this.#best;
    if (best && best.score >= score) return;
    this.#best = Promise.resolve({ epoch, score });
    const student = await storeParameters(store, [groups.student]);
    await writeBytes(this.#path, writeSafetensors(student, { epoch: String(epoch), score: String(score) }));
  }

  /** Puts the best student into the store; resolves with its epoch. */
  async restore(store: ParameterStore): Promise<number | undefined> {
    const best = await this.#best;
    if (!best) return undefined;
    loadParameters(store, [groups.student], readSafetensors(await readBytes(this.#path), this.#path), this.#path);
    return best.epoch;
  }
}
