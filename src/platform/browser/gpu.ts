/** WebGPU in browsers: `navigator.gpu`. */
import { NoAdapterError } from '../../base/errors.ts';
import type { Toggles } from '../toggles.ts';

/** The browser's GPU object. A page cannot choose its toggles. */
export async function openGpu(_toggles: Toggles): Promise<{ gpu: GPU }> {
  if (!navigator.gpu)
    throw new NoAdapterError(
      'This browser offers no WebGPU here: it needs a secure context (https or localhost) and WebGPU ' +
        'enabled.',
    );
  return { gpu: navigator.gpu };
}

/** Does nothing: browsers wait for the device without polling. */
export function restWhile(_waiting: () => boolean): void {}

/** Resolves at once: browsers compile in another process and need no turn of this event loop. */
export function nextTurn(): Promise<void> {
  return Promise.resolve();
}

export const adapterAdvice =
  'No WebGPU adapter was found: check that hardware acceleration is on, or start Chromium with ' +
  '--enable-unsafe-webgpu.';
