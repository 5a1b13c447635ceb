/** Tensors as the engine describes them: a name, a static shape and a memory layout. No data lives here. */
import { fromHalf, toHalf } from '../../base/half.ts';

/**
 * Layouts:
 * - `dense`: the shape as it is, row-major.
 * - `channels`: the last dimension padded with zeros to a multiple of 4, so that kernels read whole vec4
 *   quads. Activations are NHWC in this layout; vectors over channels are `[C]`.
 * - `filter`: the last two dimensions padded; convolution weights `[kernelHeight, kernelWidth, Ci, Co]`.
 * - `texture`: values in order, in a storage texture with `textureWidth` quads per line (kernels/sizes.ts),
 *   for drivers that read those faster.
 *
 * Values are 32-bit floats; `half` ones are kept as 16-bit floats, and every kernel computes in 32 bits.
 */
export type Layout = 'dense' | 'channels' | 'filter' | 'texture';

/** Where a tensor's memory comes from. */
export type Role = 'input' | 'parameter' | 'constant' | 'value';

/** Size and memory layout of a tensor. */
export interface TensorSpec {
  /** Values per dimension, without padding; empty for a single value. */
  readonly shape: readonly number[];
  /** How the values lie in memory. */
  readonly layout: Layout;
  /** 16-bit floats in memory. */
  readonly half?: boolean | undefined;
}

/** A tensor of a tape. Two tensors are the same where they are the same object. */
export interface Tensor extends TensorSpec {
  /** Its number, in the order in which tensors were made. */
  readonly id: number;
  /** In prints and errors; of inputs and parameters unique. */
  readonly name: string;
  /** Where its memory comes from. */
  readonly role: Role;
}

/** A tensor or a byte range of one, as a kernel binding. */
export interface View {
  /** Whose range it is. */
  readonly tensor: Tensor;
  /** In bytes, a multiple of 256. */
  readonly offset: number;
  /** In bytes. */
  readonly size: number;
}

/** The next multiple that is not smaller. */
export function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

/** Number of values of a shape, without padding. */
export function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** The dimensions in memory, padding included. */
export function physicalShape(spec: TensorSpec): number[] {
  const padded = spec.layout === 'channels' ? 1 : spec.layout === 'filter' ? 2 : 0;
  return spec.shape.map((size, axis) => (axis >= spec.shape.length - padded ? roundUp(size, 4) : size));
}

/** Number of vec4 quads of a tensor in memory. */
export function quads(spec: TensorSpec): number {
  return Math.ceil(elements(physicalShape(spec)) / 4);
}

/** Bytes of four values. */
export function bytesPerQuad({ half }: Pick<TensorSpec, 'half'>): number {
  return half ? 8 : 16;
}

/** Bytes of a tensor in memory: a whole number of vec4. */
export function byteLength(spec: TensorSpec): number {
  return quads(spec) * bytesPerQuad(spec);
}

/** Channel quads of a `channels` tensor. */
export function channelQuads(spec: TensorSpec): number {
  return Math.ceil((spec.shape.at(-1) ?? 1) / 4);
}

/** Positions (all dimensions but the last) of a `channels` tensor. */
export function positions(spec: TensorSpec): number {
  return elements(spec.shape.slice(0, -1));
}

type Values = Float32Array | Uint32Array;
/** Values as they lie in memory. */
export type Packed = Values | Uint16Array;

// One padded dimension, the common case (images of 3 channels), without index arithmetic per row.
function copyRows(from: Values, fromWidth: number, to: Values, toWidth: number): void {
  const width = Math.min(fromWidth, toWidth);
  let source = 0;
  for (let target = 0; source < from.length; source += fromWidth, target += toWidth)
    for (let i = 0; i < width; i++) to[target + i] = from[source + i] as number;
}

function copyPadded(
  from: Values,
  fromShape: readonly number[],
  to: Values,
  toShape: readonly number[],
): void {
  const rank = fromShape.length;
  const run = Math.min(fromShape[rank - 1] ?? 1, toShape[rank - 1] ?? 1);
  const index = new Array<number>(Math.max(rank - 1, 0)).fill(0);
  const limits = index.map((_, axis) => Math.min(fromShape[axis] as number, toShape[axis] as number));
  for (;;) {
    let source = 0;
    let target = 0;
    for (let axis = 0; axis < rank - 1; axis++) {
      source = (source + (index[axis] as number)) * (fromShape[axis + 1] as number);
      target = (target + (index[axis] as number)) * (toShape[axis + 1] as number);
    }
    to.set(from.subarray(source, source + run), target);
    let axis = rank - 2;
    while (axis >= 0) {
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (limits[axis] as number)) break;
      index[axis--] = 0;
    }
    if (axis < 0) return;
  }
}

/**
 * Values in the order of `shape` brought into the memory layout, padding zero. Throws on a wrong length.
 *
 * @param into memory of an earlier call with the same spec, written again instead of new memory
 */
export function pack(values: Values, spec: TensorSpec, what = 'tensor', into?: Packed): Packed {
  if (spec.half) return toHalf(pack(values, { ...spec, half: false }, what) as Float32Array);
  const count = elements(spec.shape);
  if (values.length !== count)
    throw new Error(`${what}: ${values.length} values given, shape [${spec.shape}] needs ${count}`);
  const length = byteLength(spec) / 4;
  if (length === count) return values;
  const fresh = () => (values instanceof Uint32Array ? new Uint32Array(length) : new Float32Array(length));
  const again = into instanceof Uint16Array || into?.constructor !== values.constructor ? undefined : into;
  const packed = again?.length === length ? again : fresh();
  const physical = physicalShape(spec);
  if (elements(physical) === count) packed.set(values);
  else if (spec.layout === 'channels') copyRows(values, spec.shape.at(-1) ?? 1, packed, physical.at(-1) ?? 1);
  else copyPadded(values, spec.shape, packed, physical);
  return packed;
}

/** The inverse of {@link pack}; `memory` holds the tensor's bytes. */
export function unpack(memory: Float32Array, spec: TensorSpec): Float32Array {
  if (spec.half) {
    const bits = new Uint16Array(memory.buffer, memory.byteOffset, memory.length * 2);
    return unpack(fromHalf(bits), { ...spec, half: false });
  }
  const count = elements(spec.shape);
  const physical = physicalShape(spec);
  if (elements(physical) === count) return memory.slice(0, count);
  const values = new Float32Array(count);
  if (spec.layout === 'channels') copyRows(memory, physical.at(-1) ?? 1, values, spec.shape.at(-1) ?? 1);
  else copyPadded(memory, physical, values, spec.shape);
  return values;
}

/** Index of the first value that is NaN or infinite, -1 where all are finite. */
export function firstNonFinite(values: Float32Array): number {
  // Model files have tens of millions of values: findIndex with Number.isFinite would take ten times as long.
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (value - value !== 0) return i;
  }
  return -1;
}
