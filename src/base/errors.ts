/**
 * The errors that the library throws on purpose. Each has a class, a name and a code that stay the same in
 * later versions; the message says what was wrong, where, and what to do. Names survive the way from a worker
 * to its page, where classes and codes do not: `errorCode` reads both.
 */

/** The code of each class of error, by the class's name. */
const codes = {
  CheckpointError: 'checkpoint',
  ClosedError: 'closed',
  DeviceLostError: 'device-lost',
  Interrupted: 'interrupted',
  InvalidArgumentError: 'invalid-argument',
  InvalidDatasetError: 'invalid-dataset',
  InvalidImageError: 'invalid-image',
  InvalidModelError: 'invalid-model',
  InvalidWeightsError: 'invalid-weights',
  KernelError: 'kernel',
  MissingPackageError: 'missing-package',
  NoAdapterError: 'no-adapter',
  NotFiniteError: 'not-finite',
  OutOfMemoryError: 'out-of-memory',
  UnreadableError: 'unreadable-file',
  UnsupportedError: 'unsupported',
} as const;

/**
 * What kind of error it is.
 *
 * | code | class | when |
 * |---|---|---|
 * | `checkpoint` | {@link CheckpointError} | a checkpoint is damaged, or of other settings or inputs |
 * | `closed` | {@link ClosedError} | the engine, detector, program or store was closed before the call |
 * | `device-lost` | {@link DeviceLostError} | the device is gone; open a new engine |
 * | `interrupted` | {@link Interrupted} | the caller's signal was raised; a checkpoint has the work |
 * | `invalid-argument` | {@link InvalidArgumentError} | an argument or option has a wrong type or value |
 * | `invalid-dataset` | {@link InvalidDatasetError} | images or lists are missing, or contradict others |
 * | `invalid-image` | {@link InvalidImageError} | pixels do not fit their size, or a file cannot be decoded |
 * | `invalid-model` | {@link InvalidModelError} | a detector's file is damaged or lacks something |
 * | `invalid-weights` | {@link InvalidWeightsError} | a weights file is damaged, or its tensors do not fit |
 * | `kernel` | {@link KernelError} | a GPU kernel does not compile, or is used wrongly |
 * | `missing-package` | {@link MissingPackageError} | Node needs an optional package that is not installed |
 * | `no-adapter` | {@link NoAdapterError} | there is no WebGPU, no adapter, or the adapter gives no device |
 * | `not-finite` | {@link NotFiniteError} | a loss, score or map is not finite |
 * | `out-of-memory` | {@link OutOfMemoryError} | a buffer or texture did not fit; other programs go on |
 * | `unreadable-file` | {@link UnreadableError} | a file could not be read or decoded |
 * | `unsupported` | {@link UnsupportedError} | this device, browser or format lacks what was asked for |
 */
export type ErrorCode = (typeof codes)[keyof typeof codes];

/** An error that the library throws on purpose. */
export abstract class AandError extends Error {
  /** What kind of error it is; the same in every version. */
  abstract readonly code: ErrorCode;
}

/**
 * The code of an error, also of one that came from a worker and has kept its name alone.
 *
 * @returns undefined where it is no error of this library
 */
export function errorCode(error: unknown): ErrorCode | undefined {
  if (error instanceof AandError) return error.code;
  const { name } = (error ?? {}) as { readonly name?: unknown };
  return typeof name === 'string' && Object.hasOwn(codes, name)
    ? codes[name as keyof typeof codes]
    : undefined;
}

/** A checkpoint cannot be used: it is damaged, or belongs to other settings or inputs. */
export class CheckpointError extends AandError {
  override readonly name = 'CheckpointError';
  readonly code = codes.CheckpointError;
}

/** What was called is closed: the engine, a detector, a program or a parameter store. */
export class ClosedError extends AandError {
  override readonly name = 'ClosedError';
  readonly code = codes.ClosedError;
}

/** The device is gone: driver reset, sleep, or the browser took it away. A new engine may be opened. */
export class DeviceLostError extends AandError {
  override readonly name = 'DeviceLostError';
  readonly code = codes.DeviceLostError;
}

/** Thrown when the caller's signal was raised, after the checkpoint is saved. */
export class Interrupted extends AandError {
  override readonly name = 'Interrupted';
  readonly code = codes.Interrupted;

  /**
   * The error of a call that its signal has ended.
   *
   * @param message what was interrupted, and what is kept
   * @param options `cause`: the signal's reason
   */
  constructor(message = 'interrupted; the last checkpoint holds the work so far', options?: ErrorOptions) {
    super(message, options);
  }
}

/** An argument or option is not of the kind, shape or range that is expected. */
export class InvalidArgumentError extends AandError {
  override readonly name = 'InvalidArgumentError';
  readonly code = codes.InvalidArgumentError;
}

/** A data set cannot be used: a folder, list or mask is missing, empty, or contradicts the others. */
export class InvalidDatasetError extends AandError {
  override readonly name = 'InvalidDatasetError';
  readonly code = codes.InvalidDatasetError;
}

/** Pixels do not fit their size and channels, or a file is no image that can be decoded. */
export class InvalidImageError extends AandError {
  override readonly name = 'InvalidImageError';
  readonly code = codes.InvalidImageError;
}

/** A detector's file is damaged, or its settings or tensors are not complete. */
export class InvalidModelError extends AandError {
  override readonly name = 'InvalidModelError';
  readonly code = codes.InvalidModelError;
}

/** A weights file (safetensors, PyTorch) is damaged, or its tensors are not those that are needed. */
export class InvalidWeightsError extends AandError {
  override readonly name = 'InvalidWeightsError';
  readonly code = codes.InvalidWeightsError;
}

/** A kernel does not compile, or is given other bindings, uniforms or conditions than it declares. */
export class KernelError extends AandError {
  override readonly name = 'KernelError';
  readonly code = codes.KernelError;
}

/** Node needs an optional package that is not installed, or that cannot be loaded. */
export class MissingPackageError extends AandError {
  override readonly name = 'MissingPackageError';
  readonly code = codes.MissingPackageError;
}

/** There is no WebGPU, no adapter, or the adapter gives no device. */
export class NoAdapterError extends AandError {
  override readonly name = 'NoAdapterError';
  readonly code = codes.NoAdapterError;
}

/** A loss, score or map is not a finite number: the learning rate is too high, or weights are unusable. */
export class NotFiniteError extends AandError {
  override readonly name = 'NotFiniteError';
  readonly code = codes.NotFiniteError;
}

/**
 * A buffer or texture did not fit. What the call had allocated is freed again; the engine and its other
 * programs go on.
 */
export class OutOfMemoryError extends AandError {
  override readonly name = 'OutOfMemoryError';
  readonly code = codes.OutOfMemoryError;
}

/** A file could not be read or decoded; the message names it, `cause` is what happened. */
export class UnreadableError extends AandError {
  override readonly name = 'UnreadableError';
  readonly code = codes.UnreadableError;
  readonly path: string;

  /**
   * The error of a file.
   *
   * @param path the file; `cause` is what reading it threw
   */
  constructor(path: string, cause: unknown) {
    super((cause as Error).message, { cause });
    this.path = path;
  }
}

/** This device, browser or file format lacks what was asked for. */
export class UnsupportedError extends AandError {
  override readonly name = 'UnsupportedError';
  readonly code = codes.UnsupportedError;
}

/**
 * An Error with a message, whatever was thrown: browsers and drivers also reject with DOMExceptions without a
 * text, and others with strings or nothing.
 *
 * @param what begins the message where the reason has none of its own, for instance `reading a buffer failed`
 */
export function describedError(reason: unknown, what: string): Error {
  if (reason instanceof Error && reason.message) return reason;
  const text = reason instanceof Error ? reason.name : typeof reason === 'string' ? reason : '';
  return new Error(text ? `${what}: ${text}` : `${what}, and no reason was given`, { cause: reason });
}
