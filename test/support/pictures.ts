/** Pictures for tests that need none in particular. */
import { RandomStream } from '../../src/base/random.ts';

/** RGB of random bytes; the same for the same seed and size. */
export function picture(seed: number, width = 24, height = width) {
  const random = new RandomStream('picture', seed);
  return {
    width,
    height,
    channels: 3 as const,
    data: Uint8Array.from({ length: width * height * 3 }, () => random.integer(0, 255)),
  };
}

/** RGB whose bytes go up in equal steps, which differ from seed to seed. */
export function stripes(seed: number, width = 32, height = width) {
  return {
    width,
    height,
    channels: 3 as const,
    data: Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * (seed * 2 + 7) + seed * 31) & 255),
  };
}
