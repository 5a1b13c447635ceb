/** Pictures of random bytes. */
import { RandomStream } from '../../src/base/random.ts';

/** RGB; the same for the same seed and size. */
export function picture(seed: number, width = 24, height = width) {
  const random = new RandomStream('picture', seed);
  return {
    width,
    height,
    channels: 3 as const,
    data: Uint8Array.from({ length: width * height * 3 }, () => random.integer(0, 255)),
  };
}
