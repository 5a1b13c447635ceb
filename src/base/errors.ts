/**
 * What can befall a device, and calls that come too late. The names survive the way from a worker to its
 * page, where classes do not.
 */

/** The device is gone: driver reset, sleep, or the browser took it away. A new engine may be opened. */
export class DeviceLostError extends Error {
  override readonly name = 'DeviceLostError';
}

/**
 * A buffer or texture did not fit. What the call had allocated is freed again; the engine and its other
 * programs go on.
 */
export class OutOfMemoryError extends Error {
  override readonly name = 'OutOfMemoryError';
}

/** What was called is closed: the engine, a detector, a program or a parameter store. */
export class ClosedError extends Error {
  override readonly name = 'ClosedError';
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
