/** WebGPU in Node: Dawn, from the package `webgpu`. */
import { isMainThread } from 'node:worker_threads';
import type { Toggles } from '../toggles.ts';
import { widenMesaVectors } from './mesa.ts';
import { withoutChatter } from './native_messages.ts';
import { missingPackage } from './optional_package.ts';

const instances = new Map<string, GPU>();

let hidden = false;

/**
 * Hides Dawn's warnings that mean nothing, from now on: for programs whose standard error is for people, and
 * that do nothing else while an engine opens. Libraries leave the standard error of their process alone.
 */
export function hideChatter(): void {
  hidden = true;
}

/** Dawn looks for adapters within the call, and warns there. */
function quiet(gpu: GPU): GPU {
  const request = gpu.requestAdapter.bind(gpu);
  gpu.requestAdapter = (options) => withoutChatter(() => request(options));
  return gpu;
}

async function loadDawn(): Promise<typeof import('webgpu')> {
  try {
    return await import('webgpu');
  } catch (error) {
    throw missingPackage('webgpu', 'WebGPU in Node', error);
  }
}

/**
 * The process's GPU object with these toggles, one of each kind, kept until the process ends: an instance of
 * Dawn costs megabytes that do not all come back, and the process crashes where an instance is collected
 * before its last device. The object does not keep the process alive; devices that are not destroyed do.
 *
 * @throws MissingPackageError where the package `webgpu` is not installed
 */
export async function openGpu({ enabled, disabled }: Toggles): Promise<{ gpu: GPU }> {
  const flags: string[] = [];
  if (enabled.length) flags.push(`enable-dawn-features=${enabled.join(',')}`);
  if (disabled.length) flags.push(`disable-dawn-features=${disabled.join(',')}`);
  const key = flags.join(' ');
  const { create, globals } = await loadDawn();
  // Nothing waits between asking and keeping: two calls at once get one instance.
  let gpu = instances.get(key);
  if (!gpu) {
    Object.assign(globalThis, globals);
    // A worker thread's environment is a copy that the driver does not see.
    if (isMainThread) widenMesaVectors(process.env);
    gpu = hidden ? quiet(create(flags)) : create(flags);
    instances.set(key, gpu);
  }
  return { gpu };
}

const cell = new Int32Array(new SharedArrayBuffer(4));
const restMilliseconds = 0.2;

/**
 * Lets this thread sleep between turns of the event loop while `waiting()` holds. Dawn's Node binding polls
 * the device without a pause. Beside a software driver that polling takes a core away from the kernels: a
 * third of the speed on two cores.
 */
export function restWhile(waiting: () => boolean): void {
  const turn = () => {
    if (!waiting()) return;
    Atomics.wait(cell, 0, 0, restMilliseconds);
    setImmediate(turn);
  };
  setImmediate(turn);
}

/** Resolves after a turn of the event loop, in which Dawn reports what is done. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export const adapterAdvice =
  'No WebGPU adapter was found. With a GPU, install its Vulkan driver. Without one, install a software ' +
  'driver: Debian/Ubuntu: bash scripts/setup-system.sh (mesa-vulkan-drivers 24 or newer and libvulkan1). ' +
  'VK_DRIVER_FILES can name a driver file, for instance /usr/share/vulkan/icd.d/lvp_icd.json.';
