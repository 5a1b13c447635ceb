/** What can befall a device. The names survive the way from a worker to its page, where classes do not. */

/** The device is gone: driver reset, sleep, or the browser took it away. A new engine may be opened. */
export class DeviceLostError extends Error {
  override readonly name = 'DeviceLostError';
}

/** A buffer or texture did not fit. The engine's programs are incomplete: close it. */
export class OutOfMemoryError extends Error {
  override readonly name = 'OutOfMemoryError';
}
