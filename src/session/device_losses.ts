/** Work that goes on where the device is lost: drivers are reset, laptops sleep, browsers take a GPU away. */

import { DeviceLostError } from '../base/errors.ts';
import { type Clock, systemClock } from './ports.ts';

// A driver that was reset needs a moment; one that is lost again and again will not come back.
const restMilliseconds = 1500;
const mostLosses = 3;

/**
 * Does work again where its device was lost, as long as it gets further from loss to loss.
 *
 * @param work does it from where it was left; calls `onward` whenever something is done for good
 * @throws what the work throws; the DeviceLostError of the third loss in a row without anything done
 */
export async function throughLosses<T>(
  work: (onward: () => void) => Promise<T>,
  o: {
    readonly signal?: AbortSignal | undefined;
    /** Told before the work is begun again. */
    readonly onLoss: () => void;
    readonly clock?: Clock | undefined;
  },
): Promise<T> {
  const { signal, onLoss, clock = systemClock } = o;
  let losses = 0;
  for (;;) {
    let further = false;
    try {
      return await work(() => {
        further = true;
      });
    } catch (error) {
      if (!(error instanceof DeviceLostError) || signal?.aborted) throw error;
      losses = further ? 1 : losses + 1;
      if (losses >= mostLosses) throw error;
      onLoss();
      await clock.rest(restMilliseconds);
    }
  }
}
