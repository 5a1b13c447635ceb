/** A trained detector on a device: images in, anomaly maps and scores out. */

import { InvalidArgumentError } from '../base/errors.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import type { ParameterStore } from '../engine/runtime/store.ts';
import { type MarkRule, markedPixels, type Scale } from '../eval/marks.ts';
import { isAnomalous, normalizeScore } from '../eval/thresholds.ts';
import type { ImageBands } from '../image/bands.ts';
import type { ImageInput } from '../image/image.ts';
import { kindOf } from '../image/image.ts';
import { backboneNamed } from '../model/backbones.ts';
import { type DetectorFile, detectorStore, readDetector } from './file.ts';
import { MapRunner, type RawPrediction } from './map_runner.ts';
import { scaleOf } from './scale.ts';
import type { DetectorSettings } from './settings.ts';

/** Floats in memory: of 32 bits, or of 16 where the device has them (shader-f16). */
export type DataType = 'f32' | 'f16';

/** How a detector is opened. */
export interface DetectorOptions {
  readonly dtype?: DataType;
  readonly marks?: MarkRule | undefined;
}

export interface Prediction extends RawPrediction {
  /**
   * Normalised to 0..1, 0.5 = at the threshold; null for a detector without a threshold, as the two below.
   */
  readonly normalizedScore: number | null;
  readonly anomalous: boolean | null;
  /**
   * What is marked, 0/1 [height, width]: in an anomalous image the pixels at or above the limit, its peak
   * among them; nothing in a good one. `marks: 'pixels'` draws it by the limit of pixels instead.
   * Nothing is marked where the image is not inspected.
   */
  readonly mask: Uint8Array | null;
}

function checkEngine(engine: unknown): asserts engine is Engine {
  if (typeof engine !== 'object' || engine === null || !('check' in engine))
    throw new InvalidArgumentError(
      'the first argument is no engine: give what `await Engine.open()` returns',
    );
  (engine as Engine).check();
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
  /** What scores and maps are shown by; null for a detector without a threshold. */
  readonly scale: Scale | null;
  readonly #store: ParameterStore;
  readonly #runner: MapRunner;

  private constructor(
    settings: DetectorSettings,
    store: ParameterStore,
    runner: MapRunner,
    marks: MarkRule | undefined,
  ) {
    this.settings = settings;
    this.scale = scaleOf(settings, marks);
    this.#store = store;
    this.#runner = runner;
  }

  /**
   * @param bytes a `model.safetensors` of `aand train`
   * @param what its name, for error messages
   * @param options dtype f16 halves the memory of weights and activations; arithmetic stays in 32 bits.
   *   marks: the limit that masks are drawn by, instead of the model's own
   * @throws Error on a damaged file, missing tensors, settings that are not valid, or f16 where the device
   *   has none; OutOfMemoryError; DeviceLostError or ClosedError where the engine has ended
   */
  static async open(
    engine: Engine,
    bytes: Uint8Array,
    what = 'model',
    options: DetectorOptions = {},
  ): Promise<Detector> {
    checkEngine(engine);
    if (!(bytes instanceof Uint8Array))
      throw new InvalidArgumentError(
        `${what}: expected the bytes of a model file as Uint8Array (a Buffer is one), not ${kindOf(bytes)}`,
      );
    return Detector.fromFile(engine, await readDetector(bytes, what), what, options);
  }

  /**
   * Opens a model file that was read already.
   *
   * @param what its name, for error messages
   * @throws Error naming tensors that do not fit; else as {@link open}
   */
  static async fromFile(
    engine: Engine,
    file: DetectorFile,
    what = 'model',
    options: DetectorOptions = {},
  ): Promise<Detector> {
    const { settings } = file;
    const backbone = backboneNamed(settings.backbone);
    const store = detectorStore(engine, file, what, { half: options.dtype === 'f16' });
    try {
      await store.ready();
    } catch (error) {
      store.destroy();
      throw error;
    }
    return new Detector(
      settings,
      store,
      new MapRunner(engine, store, backbone, settings.mode, settings.imageSize, settings.region),
      options.marks,
    );
  }

  /** Raw maps and scores, and explanations of them; it is closed with the detector. */
  get runner(): MapRunner {
    return this.#runner;
  }

  /** Dispatches of one inference at batch 1, for reports. */
  async dispatchCount(): Promise<number> {
    return (await this.#runner.program(1)).dispatchCount;
  }

  /**
   * Predicts images of any size; they are resized, or cut into tiles, as in training. Any number of calls may
   * be under way at once. The pixels may not change before the promise settles.
   *
   * @param images 8-bit RGB, or pixels of a canvas that are all opaque
   * @returns one prediction per image, in their order; none for an empty list
   * @throws Error that names the first image whose values, size and channels do not fit together; no image is
   *   predicted then. OutOfMemoryError; DeviceLostError, or ClosedError where detector or engine are closed
   */
  async predict(images: readonly ImageInput[]): Promise<Prediction[]> {
    return (await this.#runner.predict(images, this.settings.tiling)).map((raw) => this.#judge(raw));
  }

  /**
   * Predicts one image that is read band by band, so that it need not fit into memory.
   *
   * @param onTiles told after each run of tiles; what it throws ends the prediction
   * @throws Error where the model has no tiles
   */
  async predictTiles(
    image: ImageBands,
    onTiles?: (done: number, total: number) => void,
  ): Promise<Prediction> {
    const { tiling } = this.settings;
    if (!tiling)
      throw new InvalidArgumentError(
        'the model sees whole images: only one with tiles (aand train --tile) reads them in bands',
      );
    return this.#judge(await this.#runner.predictTiles(image, tiling, onTiles));
  }

  #judge(raw: RawPrediction): Prediction {
    const { scale } = this;
    const limit = scale?.score ?? null;
    return {
      ...raw,
      normalizedScore: normalizeScore(raw.score, limit),
      anomalous: isAnomalous(raw.score, limit),
      mask: markedPixels(raw, scale),
    };
  }

  /**
   * Frees the GPU memory, after the calls that are under way; later ones reject with a ClosedError. The
   * engine stays open.
   */
  async close(): Promise<void> {
    await this.#runner.destroy();
    this.#store.destroy();
  }

  /** Closes the detector: `await using` does it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
