/** Dynamic batching: what goes to the device together, and when. */
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { Batcher } from '../src/serve/batcher.ts';

const never = new AbortController().signal;

/** A batcher whose runs end when they are told to. */
function make({ size = 4, delay = 10_000, inFlight = 1 } = {}) {
  const runs: { images: readonly number[]; end: () => void; fail: (error: Error) => void }[] = [];
  const batcher = new Batcher<number, string>(
    (images) =>
      new Promise((resolve, reject) => {
        runs.push({ images, end: () => resolve(images.map((image) => `result ${image}`)), fail: reject });
      }),
    { size, delay, inFlight },
  );
  return { batcher, runs, sizes: () => runs.map(({ images }) => images.length) };
}

describe('a batcher', () => {
  test('starts at once when the device is idle, whatever the delay', () => {
    const { batcher, sizes } = make();
    void batcher.add(1, never);
    expect(sizes()).toEqual([1]);
    expect(batcher.waiting).toBe(0);
  });

  test('collects a full batch while the device is busy, in the order of arrival', async () => {
    const { batcher, runs, sizes } = make();
    const results = [1, 2, 3, 4, 5].map((image) => batcher.add(image, never));
    expect(sizes()).toEqual([1]);
    runs[0]?.end();
    expect(await results[0]).toBe('result 1');
    expect(runs[1]?.images).toEqual([2, 3, 4, 5]);
    runs[1]?.end();
    expect(await Promise.all(results)).toEqual([1, 2, 3, 4, 5].map((image) => `result ${image}`));
  });

  test('fewer than a full batch go one by one, when the device is idle or the delay is over', async () => {
    const { batcher, runs, sizes } = make({ delay: 30, inFlight: 2 });
    for (const image of [1, 2, 3]) void batcher.add(image, never);
    expect(sizes()).toEqual([1]);
    await wait(60);
    expect(runs.map(({ images }) => images)).toEqual([[1], [2]]);
    expect(batcher.waiting).toBe(1);
    runs[0]?.end();
    await wait(0);
    expect(runs[2]?.images).toEqual([3]);
  });

  test('without a delay a second run starts at once', () => {
    const { batcher, sizes } = make({ delay: 0, inFlight: 2 });
    for (const image of [1, 2, 3]) void batcher.add(image, never);
    expect(sizes()).toEqual([1, 1]);
  });

  test('a signal takes an image out of the queue; the others keep their places', async () => {
    const { batcher, runs } = make({ size: 2 });
    void batcher.add(1, never);
    const gone = new AbortController();
    const cancelled = batcher.add(2, gone.signal);
    const rest = [3, 4].map((image) => batcher.add(image, never));
    gone.abort(new Error('the sender has gone'));
    await expect(cancelled).rejects.toThrow('the sender has gone');
    runs[0]?.end();
    await wait(0);
    expect(runs[1]?.images).toEqual([3, 4]);
    runs[1]?.end();
    expect(await Promise.all(rest)).toEqual(['result 3', 'result 4']);
    await expect(batcher.add(5, gone.signal)).rejects.toThrow('the sender has gone');
    expect(batcher.waiting).toBe(0);
  });

  test('an image that is cancelled on the device does not hold up the next one', async () => {
    const { batcher, runs } = make();
    const gone = new AbortController();
    const cancelled = batcher.add(1, gone.signal);
    gone.abort(new Error('late'));
    await expect(cancelled).rejects.toThrow('late');
    const next = batcher.add(2, never);
    runs[0]?.end();
    await wait(0);
    runs[1]?.end();
    expect(await next).toBe('result 2');
  });

  test('an error of a run reaches its images alone', async () => {
    const { batcher, runs } = make({ size: 2 });
    const first = batcher.add(1, never);
    const others = [2, 3].map((image) => batcher.add(image, never));
    runs[0]?.fail(new Error('out of memory'));
    await expect(first).rejects.toThrow('out of memory');
    await wait(0);
    runs[1]?.end();
    expect(await Promise.all(others)).toEqual(['result 2', 'result 3']);
  });
});
