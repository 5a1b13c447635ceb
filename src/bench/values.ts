/** The numbers that cases are run with: random, and the same every time. */
import { RandomStream } from '../base/random.ts';

/** Random bytes, four to a word. */
export function randomPixels(count: number): Uint32Array {
  const random = new RandomStream('bench/pixels');
  return Uint32Array.from({ length: count / 4 }, () => Math.floor(random.next() * 2 ** 32));
}

const drawn = new Map<string, Float32Array>();

/**
 * Values of a stream of that name in [-1, 1). The longest array of a name is kept, and shorter ones are its
 * beginning: nobody may change it.
 */
export function randomValues(name: string, count: number): Float32Array {
  let values = drawn.get(name);
  if (!values || values.length < count) {
    const random = new RandomStream(name);
    values = Float32Array.from({ length: count }, () => random.uniform(-1, 1));
    drawn.set(name, values);
  }
  return values.subarray(0, count);
}
