/**
 * Interruption of a command: a signal asks to stop after the step under way, a second one or too long a wait
 * ends the process.
 */

import { onOutputClosed } from './closed_output.ts';

/** Exit code of an interrupted command. */
const interrupted = 130;

/**
 * How long the step under way may take after a signal, in milliseconds. Whoever sends SIGTERM (a service
 * manager, a container) kills soon after it; someone at a keyboard can press Ctrl-C again.
 */
const grace = { SIGTERM: 5_000, SIGINT: 30_000 } as const;

/**
 * A signal that SIGINT (Ctrl-C) and SIGTERM raise, and a reader of the output that goes. The process ends at
 * once at the second of them, and by itself where the step does not end in time, whatever it waits for. Locks
 * are given back on the way out; whole files are written or none.
 */
export function interruptSignal(
  milliseconds: Readonly<Record<keyof typeof grace, number>> = grace,
): AbortSignal {
  const controller = new AbortController();
  const stop = (name: keyof typeof grace) => {
    if (controller.signal.aborted) process.exit(interrupted);
    console.error('\nstopping after this step; press Ctrl-C again to stop at once');
    controller.abort();
    setTimeout(() => {
      console.error('aand: the step took too long and was not waited for');
      process.exit(interrupted);
    }, milliseconds[name]).unref();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  onOutputClosed(() => controller.abort());
  return controller.signal;
}
