/**
 * Ends a command well when nobody reads its output any more (`aand predict ... | head -1`): the work stops.
 */

let closed = false;
const listeners = new Set<() => void>();

/** Whether the reader of stdout or stderr has gone. */
export function outputClosed(): boolean {
  return closed;
}

/** Calls back once when the reader of stdout or stderr goes. */
export function onOutputClosed(listener: () => void): void {
  listeners.add(listener);
}

/**
 * Watches stdout and stderr; without it Node ends the process at once, and files and locks are left behind.
 */
export function watchOutput(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      if (closed) return;
      closed = true;
      for (const listener of listeners) listener();
    });
}
