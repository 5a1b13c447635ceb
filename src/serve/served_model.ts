/** A model that is open for requests: image files in, predictions out. */
import { decodeImage, decodeResized, imageSize } from '#platform';
import { errorCode, InvalidImageError, NotFiniteError } from '../base/errors.ts';
import { type DataType, Detector, type Prediction } from '../detector/detector.ts';
import { driftText, ScoreWatch } from '../detector/score_watch.ts';
import type { DetectorSettings } from '../detector/settings.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import type { MarkRule, Scale } from '../eval/marks.ts';
import { decodingBudget } from '../image/decoding_budget.ts';
import type { Image } from '../image/image.ts';
import { pixelLimit } from '../image/stored.ts';
import { Batcher } from './batcher.ts';

/** A prediction, and the size of the image that it is of. */
export interface SizedPrediction {
  readonly prediction: Prediction;
  readonly width: number;
  readonly height: number;
}

export interface ServedModelOptions {
  readonly dtype?: DataType;
  /** Which limit marks; the model's own by default. */
  readonly marks?: MarkRule | undefined;
  /** How long an image waits for others while the device is busy, in milliseconds. */
  readonly delay: number;
  readonly onBatch?: (size: number) => void;
}

// The detector has a program for this many images; two runs keep the device busy.
const batchSize = 8;
const batchesInFlight = 2;

/** A detector behind a name. */
export class ServedModel {
  readonly name: string;
  /** The file that it came from. */
  readonly path: string;
  readonly #detector: Detector;
  readonly #watch: ScoreWatch | undefined;
  readonly #batcher: Batcher<Image, Prediction>;

  private constructor(name: string, path: string, detector: Detector, options: ServedModelOptions) {
    this.name = name;
    this.path = path;
    this.#detector = detector;
    this.#watch = ScoreWatch.of(detector.settings);
    this.#batcher = new Batcher((images) => detector.predict(images), {
      size: batchSize,
      delay: options.delay,
      inFlight: batchesInFlight,
      ...(options.onBatch && { onBatch: options.onBatch }),
    });
  }

  /**
   * Opens a model and warms it up for single images and full batches, so that no request waits for the
   * kernels to be compiled.
   *
   * @throws Error as {@link Detector.open}
   */
  static async open(
    engine: Engine,
    bytes: Uint8Array,
    { name, path }: { readonly name: string; readonly path: string },
    options: ServedModelOptions,
  ): Promise<ServedModel> {
    const detector = await Detector.open(engine, bytes, path, {
      dtype: options.dtype ?? 'f32',
      marks: options.marks,
    });
    await detector.warmup();
    return new ServedModel(name, path, detector, options);
  }

  get settings(): DetectorSettings {
    return this.#detector.settings;
  }

  /** What scores and maps are shown by. */
  get scale(): Scale | null {
    return this.#detector.scale;
  }

  /** What to do where the scores have left those of the calibration; undefined while they have not. */
  get drift(): string | undefined {
    const alarm = this.#watch?.alarm;
    if (!alarm) return undefined;
    const text = driftText(alarm);
    return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
  }

  /** Watches the scores anew, after somebody has looked at the camera. */
  resetDrift(): void {
    this.#watch?.reset();
  }

  /**
   * Predicts the image in the bytes of a file.
   *
   * @param name names the image in errors
   * @throws InvalidImageError where they are no image that can be decoded; NotFiniteError; the signal's
   *   reason, as soon as it is raised: what has not begun then is not done
   */
  async predict(bytes: Uint8Array, name: string, signal: AbortSignal): Promise<SizedPrediction> {
    const { tiling, imageSize: side } = this.settings;
    signal.throwIfAborted();
    const { width, height } = await asImage(() => imageSize(bytes, name));
    if (width * height > pixelLimit)
      throw new InvalidImageError(`${name}: ${width}x${height} pixels are more than ${pixelLimit}`);
    let prediction: Prediction;
    if (tiling) {
      const decoded = asImage(() =>
        decodingBudget.run(3 * width * height, () => {
          signal.throwIfAborted();
          return decodeImage(bytes, name);
        }),
      );
      const image = await untilAborted(decoded, signal);
      const [predicted] = await untilAborted(this.#detector.predict([image]), signal);
      prediction = predicted as Prediction;
    } else {
      const decoded = asImage(() => decodeResized(bytes, name, side, signal));
      const { image } = await untilAborted(decoded, signal);
      prediction = await this.#batcher.add(image, signal);
    }
    if (!Number.isFinite(prediction.score))
      throw new NotFiniteError(`${name}: the score is ${prediction.score}; the model's weights are unusable`);
    this.#watch?.add(prediction.score);
    return { prediction, width, height };
  }

  /** Frees the memory on the device, after the images that are under way. */
  close(): Promise<void> {
    return this.#detector.close();
  }
}

/** What a promise gives, or the signal's reason as soon as it is raised. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = () => reject(signal.reason);
    if (signal.aborted) cancel();
    signal.addEventListener('abort', cancel, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', cancel));
  });
}

/** Whatever decoding throws is the fault of the image, but for a package that is missing. */
async function asImage<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = errorCode(error);
    if (code === 'missing-package' || code === 'invalid-image') throw error;
    throw new InvalidImageError((error as Error).message);
  }
}
