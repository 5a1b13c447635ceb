/** A trained detector on a device: images in, anomaly maps and scores out. */

import { InvalidArgumentError } from '../base/errors.ts';
import { type FileSource, fileBytes, type ImageSource, nameOfSource, takeImages } from '../data/sources.ts';
import { Engine } from '../engine/runtime/engine.ts';
import type { ParameterStore } from '../engine/runtime/store.ts';
import { type MarkRule, markedPixels, type Scale } from '../eval/marks.ts';
import { isAnomalous, normalizeScore } from '../eval/thresholds.ts';
import type { ImageBands } from '../image/bands.ts';
import { backboneNamed } from '../model/backbones.ts';
import type { TrainedModel } from '../session/train_from_sources.ts';
import type { TrainOptions } from '../session/train_options.ts';
import { type DetectorFile, detectorStore, readDetector } from './file.ts';
import {
  type DetectorMemory,
  MapRunner,
  type RawPrediction,
  type RunSize,
  type WarmupProgress,
} from './map_runner.ts';
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
  /** The engine, where nobody else closes it. */
  #ownEngine: Engine | undefined;

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
   * @param model a `model.safetensors` of `aand train`: its bytes, a Blob, its path (Node) or its URL
   * @param what its name, for error messages
   * @param options dtype f16 halves the memory of weights and activations; arithmetic stays in 32 bits.
   *   marks: the limit that masks are drawn by, instead of the model's own
   * @throws Error on a damaged file, missing tensors, settings that are not valid, or f16 where the device
   *   has none; OutOfMemoryError; DeviceLostError or ClosedError where the engine has ended
   */
  static async open(
    engine: Engine,
    model: FileSource,
    what = nameOfSource(model) ?? 'model',
    options: DetectorOptions = {},
  ): Promise<Detector> {
    checkEngine(engine);
    const bytes = await fileBytes(model, what);
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

  /**
   * Learns a product from photographs of good parts, and draws the limit. It is the training of `aand train`,
   * with its defaults; images are what {@link Detector.predict} takes.
   *
   * ```ts
   * const { detector, bytes } = await Detector.train({ good: files, onProgress: ({ fraction }) => ... });
   * const [prediction] = await detector.predict([photograph]);
   * ```
   *
   * @param options the photographs, and what differs from the defaults. `engine`: where to compute; without
   *   it one is opened, and closed with the detector
   * @returns the detector, ready to predict, the model file, and what is known of how well it tells
   * @throws InvalidArgumentError on options, InvalidImageError and UnreadableError on images, by their
   *   number; Interrupted where the signal is raised; NoAdapterError; OutOfMemoryError; DeviceLostError or
   *   ClosedError
   */
  static async train(
    options: TrainOptions & DetectorOptions & { readonly engine?: Engine | undefined },
  ): Promise<TrainedModel & { readonly detector: Detector }> {
    const { engine: given, dtype, marks } = options;
    if (given !== undefined) checkEngine(given);
    const photographs = {
      good: takeImages(options.good, 'good image'),
      bad: takeImages(options.bad ?? [], 'bad image'),
    };
    // Programs that only inspect do not load what trains.
    const { trainFromSources } = await import('../session/train_from_sources.ts');
    const engine = given ?? (await Engine.open());
    try {
      const trained = await trainFromSources(engine, photographs, options);
      const detector = await Detector.open(engine, trained.bytes, 'the trained model', {
        ...(dtype && { dtype }),
        marks,
      });
      if (!given) detector.#ownEngine = engine;
      return { ...trained, detector };
    } catch (error) {
      if (!given) await engine.close();
      throw error;
    }
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
   * Predicts images of any size, one or a list; they are resized, or cut into tiles, as in training. Any
   * number of calls may be under way at once. What a page draws (canvas, video, bitmap) is taken when the
   * call is made; pixels in arrays may not change before the promise settles. Files are decoded as they are
   * stored: EXIF rotation is applied, profiles and alpha are not.
   *
   * @param image 8-bit RGB, opaque RGBA, a Blob or File, the bytes of an image file, a path (Node) or URL,
   *   and in browsers a canvas, bitmap, image, video or video frame
   * @returns the prediction of the one image, or one per image of the list, in their order
   * @throws InvalidImageError and UnreadableError that name the image by its number, and what is wrong with
   *   its kind, size or file; no image of a list is predicted then (of a model with tiles those before it).
   *   OutOfMemoryError; DeviceLostError, or ClosedError where detector or engine are closed
   */
  predict(image: ImageSource): Promise<Prediction>;
  /** As of one image, of a list: one prediction per image, in their order. */
  predict(images: readonly ImageSource[]): Promise<Prediction[]>;
  async predict(images: ImageSource | readonly ImageSource[]): Promise<Prediction | Prediction[]> {
    const list: readonly ImageSource[] = Array.isArray(images) ? images : [images as ImageSource];
    const raw = await this.#runner.predict(list, this.settings.tiling);
    const predictions = raw.map((one) => this.#judge(one));
    return Array.isArray(images) ? predictions : (predictions[0] as Prediction);
  }

  /**
   * Compiles what the first images would wait for, and runs it once.
   *
   * @param onProgress told what is done, and how much of all of it
   * @param sizes what will come: 1 for single images, 8 for lists of eight and more; by default both
   */
  warmup(onProgress?: (progress: WarmupProgress) => void, sizes?: readonly RunSize[]): Promise<void> {
    return this.#runner.warmup(onProgress, sizes);
  }

  /** What the detector keeps on the device, in bytes. */
  get memory(): DetectorMemory {
    return this.#runner.memory;
  }

  /**
   * Frees what is compiled, after the calls that are under way, and keeps the weights: for a detector among
   * many that is not asked at the moment. The next image compiles again, from what the driver has kept.
   */
  release(): Promise<void> {
    return this.#runner.release();
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
   * engine stays open, but one that {@link Detector.train} opened by itself.
   */
  async close(): Promise<void> {
    await this.#runner.destroy();
    this.#store.destroy();
    await this.#ownEngine?.close();
  }

  /** Closes the detector: `await using` does it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
