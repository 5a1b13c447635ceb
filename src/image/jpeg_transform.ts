/**
 * JPEG's inverse cosine transform and the enlarging of components, in libjpeg's whole numbers ("islow",
 * "fancy").
 */

const bits = 13;
const passBits = 2;

/** One row or column of 8 values; `shift` bits of the products are rounded away. */
function transform(v: Int32Array, at: number, step: number, shift: number): void {
  const value = (i: number) => v[at + i * step] as number;
  const e1 = Math.imul(value(2) + value(6), 4433);
  const e2 = e1 - Math.imul(value(6), 15137);
  const e3 = e1 + Math.imul(value(2), 6270);
  const sum = (value(0) + value(4)) << bits;
  const difference = (value(0) - value(4)) << bits;
  const even = [sum + e3, difference + e2, difference - e2, sum - e3] as const;
  const z5 = Math.imul(value(7) + value(3) + value(5) + value(1), 9633);
  const z1 = Math.imul(value(7) + value(1), -7373);
  const z2 = Math.imul(value(5) + value(3), -20995);
  const z3 = Math.imul(value(7) + value(3), -16069) + z5;
  const z4 = Math.imul(value(5) + value(1), -3196) + z5;
  const odd = [
    Math.imul(value(1), 12299) + z1 + z4,
    Math.imul(value(3), 25172) + z2 + z3,
    Math.imul(value(5), 16819) + z2 + z4,
    Math.imul(value(7), 2446) + z1 + z3,
  ] as const;
  const half = 1 << (shift - 1);
  for (let i = 0; i < 4; i++) {
    v[at + i * step] = ((even[i] as number) + (odd[i] as number) + half) >> shift;
    v[at + (7 - i) * step] = ((even[i] as number) - (odd[i] as number) + half) >> shift;
  }
}

/** Samples of a block of 64 coefficients (in rows), written to `target` from `at` on. */
export function inverseTransform(block: Int32Array, target: Uint8Array, at: number, stride: number): void {
  for (let x = 0; x < 8; x++) transform(block, x, 8, bits - passBits);
  for (let y = 0; y < 8; y++) {
    transform(block, 8 * y, 1, bits + passBits + 3);
    for (let x = 0; x < 8; x++)
      target[at + y * stride + x] = Math.min(Math.max((block[8 * y + x] as number) + 128, 0), 255);
  }
}

/** Samples of one component, `stride` apart in rows. */
export interface Plane {
  readonly width: number;
  readonly height: number;
  readonly stride: number;
  readonly data: Uint8Array;
}

/**
 * Twice as wide: each new sample takes three parts of the nearer and one of the farther one. `weight` is
 * what the values are times.
 */
function widen(row: Uint16Array, count: number, weight: number, target: Uint8Array, at: number): void {
  const shift = weight === 4 ? 4 : 2;
  const [up, down] = weight === 4 ? [8, 7] : [1, 2];
  for (let x = 0; x < count; x++) {
    const own = row[x] as number;
    const left = x > 0 ? (row[x - 1] as number) : own;
    const right = x < count - 1 ? (row[x + 1] as number) : own;
    target[at + 2 * x] = (3 * own + left + up) >> shift;
    target[at + 2 * x + 1] = (3 * own + right + down) >> shift;
  }
}

/** A component at the size of the image: `across` times as wide and `down` times as high. */
export function enlarge(plane: Plane, across: number, down: number): Plane {
  if (across === 1 && down === 1) return plane;
  const { width, height, stride, data } = plane;
  const [wide, high] = [width * across, height * down];
  const target = new Uint8Array(wide * high);
  // Narrow components and other factors are repeated, as libjpeg does.
  const smooth = (across === 2 && down <= 2 && width > 2) || (across === 1 && down === 2);
  const row = new Uint16Array(width);
  for (let y = 0; y < high; y++) {
    const own = Math.floor(y / down);
    const other = down === 1 ? own : Math.min(Math.max(own + (y % 2 ? 1 : -1), 0), height - 1);
    if (!smooth)
      for (let x = 0; x < wide; x++)
        target[y * wide + x] = data[own * stride + Math.floor(x / across)] as number;
    else {
      for (let x = 0; x < width; x++) {
        const value = data[own * stride + x] as number;
        row[x] = down === 1 ? value : 3 * value + (data[other * stride + x] as number);
      }
      if (across === 2) widen(row, width, down === 2 ? 4 : 1, target, y * wide);
      else for (let x = 0; x < width; x++) target[y * wide + x] = ((row[x] as number) + (y % 2 ? 2 : 1)) >> 2;
    }
  }
  return { width: wide, height: high, stride: wide, data: target };
}
