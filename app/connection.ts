/** The page's side of the worker. */
import * as Comlink from 'comlink';
import type { Machine } from './machine.ts';

const worker = new Worker('machine.js', { type: 'module' });
export const machine = Comlink.wrap<Machine>(worker);
/**
 * Its training. There is one proxy, and it is kept: a proxy that is collected closes its channel, and an
 * answer under way never arrives.
 */
export const training = machine.trainer();

/** What went wrong, in words that say what to do. */
export function advice(error: unknown): string {
  const { name, message } = error instanceof Error ? error : { name: '', message: String(error) };
  const text = message || name || 'Something failed without saying what.';
  if (/offers no WebGPU|No WebGPU adapter/.test(text))
    return (
      'This browser gives the page no WebGPU. Use a current Chrome, Edge, Firefox or Safari over https or ' +
      'on localhost; ' +
      'in Linux Chrome, chrome://flags/#enable-unsafe-webgpu turns it on.'
    );
  if (name === 'DeviceLostError')
    return (
      'The GPU was taken away (driver reset, sleep, or too much work). The page opens it again at the next ' +
      'action. A training goes on from its last checkpoint.'
    );
  if (name === 'OutOfMemoryError' || /allocation failed|more than the \d+ that this device binds/i.test(text))
    return (
      'The memory is not enough: choose a smaller batch, image size or backbone, or close other tabs. ' +
      `(${text})`
    );
  if (name === 'QuotaExceededError' || /quota/i.test(text))
    return (
      "The browser's storage is full: free some space on this device, or discard what is kept here. " +
      `What was kept before is unchanged. (${text})`
    );
  if (name === 'NotReadableError')
    return (
      'A file cannot be read any more: it was changed, moved or deleted after it was chosen. ' +
      'Choose it again.'
    );
  return text;
}

const box = () => document.getElementById('problem') as HTMLParagraphElement;

export function showProblem(error: unknown): void {
  box().textContent = advice(error);
  box().hidden = false;
}

export function clearProblem(): void {
  box().hidden = true;
}

/** Runs work of the user's, and shows what goes wrong in it. */
export async function attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    clearProblem();
    return await work();
  } catch (error) {
    showProblem(error);
    return undefined;
  }
}
