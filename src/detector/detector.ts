/** A trained detector on a device: images in, anomaly maps and scores out. */
import type { Image } from '../data/image.ts';
import { imageInput, pixelWords } from '../data/image_input.ts';
import { resizeBicubic } from '../data/resize.ts';
import { blendTiles, crop, type Tiling, tileGrid } from '../data/tiles.ts';
import type { Engine } from '../engine/device.ts';
import type { ParameterStore } from '../engine/parameters.ts';
import { Program } from '../engine/program.ts';
import { Tape } from '../engine/tape.ts';
import { isAnomalous, maskOf, normalizeScore } from '../eval/thresholds.ts';
import { type Backbone, backboneNamed } from '../model/backbone.ts';
import { detect, type Mode } from '../model/detector.ts';
import { Explainer, type LevelExplanation } from './explain.ts';
import { detectorStore, readDetector } from './file.ts';
import type { DetectorSettings } from './settings.ts';

/** Scores without a threshold. */
export interface RawPrediction {
  /** Largest value of the map. */
  readonly score: number;
  /** Raw anomaly map [height, width]. */
  readonly map: Float32Array;
  /** Size of the map: the model's image size, or that of the blended tiles. */
  readonly width: number;
  readonly height: number;
}

/** Floats in memory: of 32 bits, or of 16 where the device has them (shader-f16). */
export type DataType = 'f32' | 'f16';

const tilesPerRun = 8;

/** The inference programs of a detector's parameters, by batch size. */
export class MapRunner {
  readonly imageSize: number;
  readonly #engine: Engine;
  readonly #store: ParameterStore;
  readonly #backbone: Backbone;
  readonly #mode: Mode;
  readonly #programs = new Map<number, Promise<Program>>();
  #explainer: Explainer | undefined;

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
      const images = imageInput(tape, batch, this.imageSize);
      const { map, score } = detect(tape, images, this.#backbone, this.#mode);
      program = Program.compile(this.#engine, tape, { outputs: { map, score }, store: this.#store });
      this.#programs.set(batch, program);
    }
    return program;
  }

  /** @param images resized to imageSize x imageSize */
  async run(images: readonly Image[]): Promise<RawPrediction[]> {
    const program = await this.program(images.length);
    const { map, score } = (await program.run({ pixels: pixelWords(images) })) as {
      map: Float32Array;
      score: Float32Array;
    };
    const area = this.imageSize ** 2;
    return images.map((_, i) => ({
      score: score[i] as number,
      map: map.slice(i * area, (i + 1) * area),
      width: this.imageSize,
      height: this.imageSize,
    }));
  }

  /**
   * Images of any size: resized as in training, or cut into tiles whose maps are blended (the score is then the largest
   * value of the blended map).
   */
  async predict(images: readonly Image[], tiling?: Tiling): Promise<RawPrediction[]> {
    const side = this.imageSize;
    if (!tiling) return this.run(images.map((image) => resizeBicubic(image, side, side)));
    const results: RawPrediction[] = [];
    for (const image of images) {
      const tiles = tileGrid(image.width, image.height, tiling);
      const maps: Float32Array[] = [];
      for (let start = 0; start < tiles.length; start += tilesPerRun) {
        const parts = tiles.slice(start, start + tilesPerRun).map((tile) => crop(image, tile));
        maps.push(...(await this.run(parts.map((part) => resizeBicubic(part, side, side)))).map(({ map }) => map));
      }
      const { width, height, values } = blendTiles(image, tiling, maps, side, side / tiling.size);
      results.push({ score: values.reduce((a, b) => Math.max(a, b)), map: values, width, height });
    }
    return results;
  }

  /** The levels behind an image's map; the image resized to imageSize x imageSize. */
  explain(image: Image): Promise<LevelExplanation[]> {
    this.#explainer ??= new Explainer(this.#engine, this.#store, this.#backbone, this.#mode, this.imageSize);
    return this.#explainer.explain(image);
  }

  /** After the parameters were written. */
  async refresh(): Promise<void> {
    for (const program of this.#programs.values()) await (await program).refresh();
  }

  /** Frees the programs, after the runs that are under way. */
  async destroy(): Promise<void> {
    for (const compiled of this.#programs.values()) {
      const program = await compiled.catch(() => undefined);
      await program?.idle();
      program?.destroy();
    }
    this.#programs.clear();
    await this.#explainer?.destroy();
  }
}

export interface Prediction extends RawPrediction {
  /** Normalised to 0..1, 0.5 = at the threshold; null for a detector without a threshold, as the two below. */
  readonly normalizedScore: number | null;
  readonly anomalous: boolean | null;
  /** Pixels at or above the pixel threshold, 0/1 [height, width]. */
  readonly mask: Uint8Array | null;
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
   * @param options dtype f16 halves the memory of weights and activations; arithmetic stays in 32 bits
   * @throws Error on a damaged file, missing tensors, settings that are not valid, or f16 where the device has none
   */
  static async open(
    engine: Engine,
    bytes: Uint8Array,
    what = 'model',
    options: { readonly dtype?: DataType } = {},
  ): Promise<Detector> {
    const file = await readDetector(bytes, what);
    const { settings } = file;
    const backbone = backboneNamed(settings.backbone);
    const store = detectorStore(engine, file, what, { half: options.dtype === 'f16' });
    return new Detector(settings, store, new MapRunner(engine, store, backbone, settings.mode, settings.imageSize));
  }

  /** Dispatches of one inference at batch 1, for reports. */
  async dispatchCount(): Promise<number> {
    return (await this.#runner.program(1)).dispatchCount;
  }

  /** Predicts images of any size; they are resized, or cut into tiles, as in training. */
  async predict(images: readonly Image[]): Promise<Prediction[]> {
    const { image, pixel, tiling } = this.settings;
    return (await this.#runner.predict(images, tiling)).map((raw) => ({
      ...raw,
      normalizedScore: normalizeScore(raw.score, image),
      anomalous: isAnomalous(raw.score, image),
      mask: maskOf(raw.map, pixel),
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
