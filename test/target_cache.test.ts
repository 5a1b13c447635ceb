/** Targets of stage II: on the device, and on the host where its memory or their share of it ends. */
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { Engine } from '../src/engine/runtime/engine.ts';
import type { TrainDetectorOptions } from '../src/train/check_options.ts';
import { trainDetector } from '../src/train/train_detector.ts';
import type { SafetensorsFile } from '../src/weights/safetensors.ts';
import { bits, differing, images, randomTeacher, smallTraining } from './support/trainings.ts';

let engine: Engine;
let teacher: SafetensorsFile;
beforeAll(async () => {
  engine = await Engine.open();
  teacher = await randomTeacher(engine);
});
afterEach(() => vi.restoreAllMocks());
afterAll(() => engine?.close());

interface Kept {
  readonly buffer: GPUBuffer;
  destroyed: boolean;
}

/**
 * Watches the buffers that targets are kept in. From the `enough`th on the device has no more memory: the
 * buffer is invalid, as WebGPU then makes it, and so is what is copied into it.
 */
function watchKept(enough = Number.POSITIVE_INFINITY): Kept[] {
  const { device } = engine;
  const kept: Kept[] = [];
  const createBuffer = engine.createBuffer.bind(engine);
  vi.spyOn(engine, 'createBuffer').mockImplementation((label, size, usage) => {
    if (label !== 'kept outputs') return createBuffer(label, size, usage);
    const fails = kept.length >= enough;
    const buffer = createBuffer(label, fails ? 2 * device.limits.maxBufferSize : size, usage);
    const own: Kept = { buffer, destroyed: false };
    kept.push(own);
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      own.destroyed = true;
      return destroy();
    };
    if (fails) playOutOfMemory();
    return buffer;
  });
  return kept;
}

/** The answer to the scope that is open: real exhaustion would take the machine's memory with it. */
function playOutOfMemory(): void {
  const { device } = engine;
  const popErrorScope = device.popErrorScope.bind(device);
  vi.spyOn(device, 'popErrorScope').mockImplementationOnce(async () => {
    await popErrorScope();
    return new GPUOutOfMemoryError('played by a test');
  });
}

// Stage II alone, on five images: a batch of four and one of one in each epoch.
const options = (more: Partial<TrainDetectorOptions> = {}) =>
  smallTraining(engine, teacher, { images: images(5), epochs: [0, 2], ...more });

describe('targets of stage II', () => {
  let expected: Map<string, Float32Array>;
  let bytes: number;

  test('lie on the device, each computed once, and are freed at the end', async () => {
    const kept = watchKept();
    const trained = await trainDetector(options());
    expect(kept).toHaveLength(5);
    expect(kept.every(({ destroyed }) => destroyed)).toBe(true);
    bytes = (kept[0] as Kept).buffer.size;
    expected = await bits(trained);
  });

  test.each([
    ['a part of the first batch', 2, 0],
    ['the first batch', 4, 4],
  ])('go to the host where the device has memory for %s, and no bit changes', async (_, enough, stayed) => {
    const kept = watchKept(enough);
    const trained = await trainDetector(options());
    // A batch stays on the device whole or not at all, and later ones do not try.
    expect(kept).toHaveLength(stayed + (stayed < 4 ? 4 : 1));
    expect(kept.every(({ destroyed }) => destroyed)).toBe(true);
    expect(differing(expected, await bits(trained))).toEqual([]);
  });

  test('go to the host beyond their share of the device, and no bit changes', async () => {
    const kept = watchKept();
    const trained = await trainDetector(options({ deviceCacheBytes: 4 * bytes }));
    expect(kept).toHaveLength(4);
    expect(differing(expected, await bits(trained))).toEqual([]);
  });

  test('and lie there all without a share of the device', async () => {
    const kept = watchKept();
    const trained = await trainDetector(options({ deviceCacheBytes: 0 }));
    expect(kept).toEqual([]);
    expect(differing(expected, await bits(trained))).toEqual([]);
  });

  test('an error that is none of memory ends the training', async () => {
    vi.spyOn(engine, 'attempt').mockImplementation(((what: string, work: () => unknown) => {
      if (what.startsWith('keeping outputs')) throw new Error('played by a test');
      return Engine.prototype.attempt.call(engine, what, work);
    }) as typeof engine.attempt);
    await expect(trainDetector(options())).rejects.toThrow('played by a test');
  });
});
