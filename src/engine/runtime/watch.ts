/**
 * What goes wrong on a device, told to the call that it belongs to. Errors of WebGPU belong to the call that
 * made or submitted something (error scopes); a device that is lost or closed ends every call that waits, and
 * all later ones.
 */
import { ClosedError, DeviceLostError, describedError, OutOfMemoryError } from '../../base/errors.ts';

const filters = ['validation', 'out-of-memory', 'internal'] as const;
// Browsers reject pending work before they tell of a lost device.
const patienceMilliseconds = 500;

/** What work made, and whether WebGPU took it. */
export interface Attempt<T> {
  readonly result: T;
  /** Rejects with an OutOfMemoryError, or an Error with WebGPU's message; needs no handler. */
  readonly verdict: Promise<void>;
}

/** Whether an error may be the echo of a lost device. */
function isFromWebGpu(error: unknown): boolean {
  return error instanceof DOMException || (error instanceof Error && error.cause instanceof DOMException);
}

export class DeviceWatch {
  /** Resolves when the device is lost or closed, with what calls are rejected with from then on. */
  readonly ended: Promise<Error>;
  readonly #device: GPUDevice;
  readonly #waiting = new Set<(end: Error) => void>();
  readonly #stopListening: () => void;
  #end: Error | undefined;
  #tellEnd: (end: Error) => void = () => {};

  /** @param onStray told of errors that belong to no call */
  constructor(device: GPUDevice, onStray: ((message: string) => void) | undefined) {
    this.#device = device;
    this.ended = new Promise((resolve) => {
      this.#tellEnd = resolve;
    });
    const listener = (event: Event) => {
      const { error } = event as GPUUncapturedErrorEvent;
      // An exception of the user's function is not one of the device.
      if (onStray)
        queueMicrotask(() => onStray(`WebGPU reported an error that belongs to no call: ${error.message}`));
    };
    device.addEventListener('uncapturederror', listener);
    this.#stopListening = () => device.removeEventListener('uncapturederror', listener);
    device.lost.then(({ reason, message }) =>
      this.#finish(
        new DeviceLostError(`the GPU device was lost (${reason || 'unknown'}): ${message || 'no message'}`),
      ),
    );
  }

  /** Ends all that waits and all later calls: the engine is closed. */
  close(): void {
    this.#finish(new ClosedError('the engine is closed'));
  }

  #finish(end: Error): void {
    if (this.#end) return;
    this.#end = end;
    this.#stopListening();
    this.#tellEnd(end);
    for (const tell of this.#waiting) tell(end);
    this.#waiting.clear();
  }

  /** @throws DeviceLostError or ClosedError, where the device has ended */
  check(): void {
    if (this.#end) throw this.#end;
  }

  get isEnded(): boolean {
    return this.#end !== undefined;
  }

  /** Whether anything waits for the device. */
  get isBusy(): boolean {
    return this.#waiting.size > 0;
  }

  /**
   * Does work that creates or submits and does not wait. Scopes lie around it, so that its errors are no
   * other call's.
   *
   * @param what begins the messages of its errors
   */
  attempt<T>(what: string, work: () => T): Attempt<T> {
    this.check();
    for (const filter of filters) this.#device.pushErrorScope(filter);
    const close = () => {
      const verdict = Promise.all(filters.map(() => this.#device.popErrorScope())).then((errors) =>
        judge(what, errors),
      );
      verdict.catch(() => {});
      return verdict;
    };
    let result: T;
    try {
      result = work();
    } catch (error) {
      close();
      throw error;
    }
    return { result, verdict: close() };
  }

  /** Waits for the device; rejects when it ends instead of waiting for ever. */
  async wait<T>(what: string, work: Promise<T>): Promise<T> {
    let tell: (end: Error) => void = () => {};
    // Made anew for each call: what is raced against a promise that stays keeps its result as long.
    const ended = new Promise<never>((_, reject) => {
      tell = reject;
    });
    if (this.#end) tell(this.#end);
    else this.#waiting.add(tell);
    try {
      return await Promise.race([ended, work]);
    } catch (error) {
      throw await this.#cause(error, what);
    } finally {
      this.#waiting.delete(tell);
    }
  }

  /** The device's end, if it comes soon after another error. */
  #cause(error: unknown, what: string): Error | Promise<Error> {
    if (this.#end) return this.#end;
    const described = describedError(error, what);
    if (!isFromWebGpu(error)) return described;
    return new Promise((resolve) => {
      const tell = (end: Error) => {
        clearTimeout(timer);
        resolve(end);
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(tell);
        resolve(described);
      }, patienceMilliseconds);
      this.#waiting.add(tell);
    });
  }
}

/**
 * Waits until all have settled, and then throws the first of the list that failed: nothing of them goes on
 * behind the caller's back.
 */
export async function allDone<const T extends readonly unknown[]>(
  work: T,
): Promise<{ -readonly [I in keyof T]: Awaited<T[I]> }> {
  await Promise.allSettled(work);
  return Promise.all(work);
}

function judge(what: string, errors: readonly (GPUError | null)[]): void {
  const error =
    errors.find((found) => found instanceof GPUOutOfMemoryError) ?? errors.find((found) => found !== null);
  if (!error) return;
  if (error instanceof GPUOutOfMemoryError)
    throw new OutOfMemoryError(`${what}: the GPU's memory is not enough (${error.message || 'no message'})`);
  throw new Error(`${what}: WebGPU reported an error: ${error.message || error.constructor.name}`);
}
