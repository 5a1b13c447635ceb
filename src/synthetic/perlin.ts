/** Perlin noise and the mask made from it (method, 3.10, step 3). */
import type { RandomStream } from '../base/random.ts';
import { bilinear, forRotated } from './texture_operations.ts';

const fade = (t: number) => t * t * t * (t * (6 * t - 15) + 10);

/**
 * Noise on a size x size grid from gradients at (rows + 1) x (columns + 1) nodes.
 *
 * @param angles gradient angles, row-major over the nodes
 */
export function perlinNoise(size: number, rows: number, columns: number, angles: Float64Array): Float32Array {
  const noise = new Float32Array(size * size);
  const cos = angles.map(Math.cos);
  const sin = angles.map(Math.sin);
  for (let y = 0; y < size; y++) {
    const u = (y * rows) / size;
    const i = Math.floor(u);
    const fu = u - i;
    const tu = fade(fu);
    for (let x = 0; x < size; x++) {
      const v = (x * columns) / size;
      const j = Math.floor(v);
      const fv = v - j;
      const dot = (a: number, b: number) => {
        const node = (i + a) * (columns + 1) + j + b;
        return (cos[node] as number) * (fu - a) + (sin[node] as number) * (fv - b);
      };
      const tv = fade(fv);
      const left = dot(0, 0) + tu * (dot(1, 0) - dot(0, 0));
      const right = dot(0, 1) + tu * (dot(1, 1) - dot(0, 1));
      noise[y * size + x] = Math.SQRT2 * (left + tv * (right - left));
    }
  }
  return noise;
}

/** Tries with fresh noise while the mask has at most this many pixels. */
const fewPixels = 4;
const maxTries = 11;

/**
 * A 0/1 mask [size, size]: rotated noise above 0.5, within the foreground.
 *
 * @param foreground 0/1, or undefined for everywhere
 */
export function perlinMask(
  size: number,
  foreground: ArrayLike<number> | undefined,
  random: RandomStream,
): Float32Array {
  const rows = 2 ** random.integer(0, 5);
  const columns = 2 ** random.integer(0, 5);
  const mask = new Float32Array(size * size);
  for (let attempt = 0; attempt < maxTries; attempt++) {
    const angles = Float64Array.from({ length: (rows + 1) * (columns + 1) }, () =>
      random.uniform(0, 2 * Math.PI),
    );
    const noise = perlinNoise(size, rows, columns, angles);
    let sum = 0;
    forRotated(size, size, random.uniform(-90, 90), (x, y, sx, sy) => {
      const inside = foreground ? (foreground[y * size + x] as number) : 1;
      const value = bilinear(noise, size, size, 1, 0, sx, sy) > 0.5 ? inside : 0;
      mask[y * size + x] = value;
      sum += value;
    });
    if (sum > fewPixels) break;
  }
  return mask;
}
