/**
 * Dynamic batching: images of several requests go to the device together. A full batch starts at once, and
 * so does an image when the device is idle. While it is busy, images wait for others at most a little while;
 * then they go one by one, for a detector has programs for a full batch and for one image alone.
 */

/** Predicts some images at once, in their order. */
export type PredictBatch<I, O> = (images: readonly I[]) => Promise<readonly O[]>;

export interface BatcherOptions {
  /** Images of a full batch. */
  readonly size: number;
  /** How long an image waits for others while the device is busy, in milliseconds. */
  readonly delay: number;
  /** Batches that are with the device at once: one is prepared while another one runs. */
  readonly inFlight: number;
  /** Told the size of each batch when it starts. */
  readonly onBatch?: (size: number) => void;
}

interface Waiting<I, O> {
  readonly image: I;
  /** When it came, in milliseconds. */
  readonly since: number;
  readonly resolve: (output: O) => void;
  readonly reject: (error: unknown) => void;
}

/** Collects images and hands them to the device in batches, the oldest first. */
export class Batcher<I, O> {
  readonly #predict: PredictBatch<I, O>;
  readonly #options: BatcherOptions;
  readonly #waiting: Waiting<I, O>[] = [];
  #running = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(predict: PredictBatch<I, O>, options: BatcherOptions) {
    this.#predict = predict;
    this.#options = options;
  }

  /** Images that wait for a batch. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * The prediction of one image.
   *
   * @param signal takes the image out of the queue; one that is with the device already is finished, and its
   *   result is dropped
   * @throws what the batch throws; the signal's reason
   */
  add(image: I, signal: AbortSignal): Promise<O> {
    return new Promise<O>((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const cancel = () => {
        const place = this.#waiting.indexOf(entry);
        if (place >= 0) this.#waiting.splice(place, 1);
        reject(signal.reason);
      };
      const settling =
        <T>(settle: (value: T) => void) =>
        (value: T) => {
          signal.removeEventListener('abort', cancel);
          settle(value);
        };
      const entry: Waiting<I, O> = {
        image,
        since: performance.now(),
        resolve: settling(resolve),
        reject: settling(reject),
      };
      signal.addEventListener('abort', cancel, { once: true });
      this.#waiting.push(entry);
      this.#start();
    });
  }

  /** Starts what may start, and sets the clock for what waits for others. */
  #start(): void {
    const { size, delay, inFlight } = this.#options;
    clearTimeout(this.#timer);
    while (this.#running < inFlight && this.#waiting.length) {
      const oldest = this.#waiting[0] as Waiting<I, O>;
      const left = oldest.since + delay - performance.now();
      if (this.#running && this.#waiting.length < size && left > 0) {
        this.#timer = setTimeout(() => this.#start(), Math.ceil(left));
        return;
      }
      void this.#run(this.#waiting.splice(0, this.#waiting.length < size ? 1 : size));
    }
  }

  async #run(batch: readonly Waiting<I, O>[]): Promise<void> {
    this.#running++;
    this.#options.onBatch?.(batch.length);
    try {
      const outputs = await this.#predict(batch.map(({ image }) => image));
      for (const [i, { resolve }] of batch.entries()) resolve(outputs[i] as O);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    } finally {
      this.#running--;
      this.#start();
    }
  }
}
