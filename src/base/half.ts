/** 16-bit floats (IEEE binary16) on the host; JavaScript has no array of them before ES2025. */

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** float16 bits to a number. */
export function halfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** A float32 to float16 bits, rounded to the nearest, ties to even; from 65520 on it is infinity. */
export function floatToHalf(value: number): number {
  float[0] = value;
  const sign = ((bits[0] as number) >>> 16) & 0x8000;
  const magnitude = (bits[0] as number) & 0x7fffffff;
  if (magnitude > 0x7f800000) return 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000)
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  // Below 2^-14 halves are multiples of 2^-24: in 0.5 + x these are the lowest bits, rounded by the addition.
  float[0] = Math.abs(value) + 0.5;
  return sign | ((bits[0] as number) - 0x3f000000);
}

export function toHalf(values: Float32Array): Uint16Array<ArrayBuffer> {
  return Uint16Array.from(values, floatToHalf);
}

export function fromHalf(halves: Uint16Array): Float32Array {
  return Float32Array.from(halves, halfToFloat);
}
