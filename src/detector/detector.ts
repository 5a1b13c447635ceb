/** A trained detector on a device: images in, anomaly maps and scores out. */
import { type Image, normalize, stack } from '../data/image.ts';
import { resizeBicubic } from '../data/resize.ts';
import type { Engine } from '../engine/device.ts';
import { ParameterStore } from '../engine/parameters.ts';
import { Program } from '../engine/program.ts';
import { Tape } from '../engine/tape.ts';
import { isAnomalous, normalizeScore } from '../eval/thresholds.ts';
import { type Backbone, backboneNamed } from '../model/backbone.ts';
import { detect, detectorParameters, groups, type Mode } from '../model/detector.ts';
import { loadParameters } from '../model/initialize.ts';
import { readSafetensors } from '../weights/safetensors.ts';
import { type DetectorSettings, readSettings } from './file.ts';

/** Scores without a threshold: what {@link MapRunner} computes. */
export interface RawPrediction {
  /** Largest value of the map. */
  readonly score: number;
  /** Raw anomaly map [imageSize, imageSize]. */
  readonly map: Float32Array;
}

/** The inference programs of a detector's parameters, by batch size. */
export class MapRunner {
  readonly imageSize: number;
  readonly #engine: Engine;
  readonly #store: ParameterStore;
  readonly #backbone: Backbone;
  readonly #mode: Mode;
  readonly #programs = new Map<number, Promise<Program>>();

  constructor(engine: Engine, store: ParameterStore, backbone: Backbone, mode: Mode, imageSize: number) {
    this.#engine = engine;
    this.#store = store;
    this.#backbone = backbone;
    this.#mode = mode;
    this.imageSize = imageSize;
  }

  program(batch: number): Promise<Program> {
    let program = this.#programs.get(batch);
    if (!program) {
      const tape = new Tape(this.#store.set);
      const images = tape.input('images', [batch, this.imageSize, this.imageSize, 3], 'channels');
      const { map, score } = detect(tape, images, this.#backbone, this.#mode);
      program = Program.compile(this.#engine, tape, { outputs: { map, score }, store: this.#store });
      this.#programs.set(batch, program);
    }
    return program;
  }

  /** @param images resized to imageSize x imageSize */
  async run(images: readonly Image[]): Promise<RawPrediction[]> {
    const program = await this.program(images.length);
    const { map, score } = (await program.run({ images: stack(images.map(normalize)) })) as {
      map: Float32Array;
      score: Float32Array;
    };
    const area = this.imageSize ** 2;
    return images.map((_, i) => ({ score: score[i] as number, map: map.slice(i * area, (i + 1) * area) }));
  }

  async destroy(): Promise<void> {
    for (const program of this.#programs.values()) (await program.catch(() => undefined))?.destroy();
    this.#programs.clear();
  }
}

export interface Prediction extends RawPrediction {
  /** Normalised to 0..1, 0.5 = at the threshold. */
  readonly normalizedScore: number;
  readonly anomalous: boolean;
  /** Pixels at or above the pixel threshold, 0/1 [imageSize, imageSize]. */
  readonly mask: Uint8Array;
}

/**
 * A detector file, opened.
 *
 * ```ts
 * const engine = await Engine.open();
 * const detector = await Detector.open(engine, bytes);
 * const [prediction] = await detector.predict([image]);
 * ```
 */
export class Detector implements AsyncDisposable {
  readonly settings: DetectorSettings;
  readonly #store: ParameterStore;
  readonly #runner: MapRunner;

  private constructor(settings: DetectorSettings, store: ParameterStore, runner: MapRunner) {
    this.settings = settings;
    this.#store = store;
    this.#runner = runner;
  }

  /**
   * @param bytes a `model.safetensors` of `aand train`
   * @param what its name, for error messages
   * @throws Error on a truncated file, missing tensors, or one that holds no detector
   */
  static async open(engine: Engine, bytes: Uint8Array, what = 'model'): Promise<Detector> {
    const file = readSafetensors(bytes, what);
    const settings = readSettings(file, what);
    const backbone = backboneNamed(settings.backbone);
    const store = new ParameterStore(engine, detectorParameters(backbone, settings.mode));
    loadParameters(store, [groups.teacher, groups.amplification, groups.student], file, what);
    return new Detector(settings, store, new MapRunner(engine, store, backbone, settings.mode, settings.imageSize));
  }

  /** Dispatches of one inference at batch 1, for reports. */
  async dispatchCount(): Promise<number> {
    return (await this.#runner.program(1)).dispatchCount;
  }

  /** Predicts images of any size; they are resized as in training. */
  async predict(images: readonly Image[]): Promise<Prediction[]> {
    const { imageSize, image, pixel } = this.settings;
    const resized = images.map((picture) => resizeBicubic(picture, imageSize, imageSize));
    return (await this.#runner.run(resized)).map((raw) => ({
      ...raw,
      normalizedScore: normalizeScore(raw.score, image),
      anomalous: isAnomalous(raw.score, image),
      mask: Uint8Array.from(raw.map, (value) => (isAnomalous(value, pixel) ? 1 : 0)),
    }));
  }

  /** Frees the GPU memory; the engine stays open. */
  async close(): Promise<void> {
    await this.#runner.destroy();
    this.#store.destroy();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
