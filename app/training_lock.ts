/** One tab at a time writes what is kept of trainings: a lock of the browser, which ends with its tab. */
import { copyPath } from './storage.ts';

const name = `aand training ${copyPath}`;
// Tells the other tabs, and the page of this worker, that the lock was taken or given back.
const channel = new BroadcastChannel(name);
let own = false;

/** Whether another tab of this copy of the page holds the lock. */
export async function isHeldElsewhere(): Promise<boolean> {
  if (own) return false;
  const { held } = await navigator.locks.query();
  return held?.some((lock) => lock.name === name) ?? false;
}

// Moving or deleting what earlier versions kept holds the lock for moments only. Another tab waits that long.
const patience = 2000;

/**
 * Runs work that writes what is kept.
 *
 * @throws Error where another tab is at it and stays so
 */
export async function withTrainingLock<T>(work: () => Promise<T>): Promise<T> {
  let granted = false;
  try {
    return await navigator.locks.request(name, { signal: AbortSignal.timeout(patience) }, async () => {
      granted = own = true;
      channel.postMessage('taken');
      try {
        return await work();
      } finally {
        own = false;
      }
    });
  } catch (error) {
    if (granted) throw error;
    throw new Error(
      'another tab of this page is training: what is kept on this device belongs to that tab until then',
    );
  } finally {
    channel.postMessage('free');
  }
}
