/** Arrays between the engine's order of axes and PyTorch's. */

/** Permutes the axes of a row-major array: result axis i is source axis order[i]. */
export function permute(
  values: Float32Array,
  shape: readonly number[],
  order: readonly number[],
): Float32Array {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  const target = order.map((axis) => shape[axis] as number);
  const steps = order.map((axis) => strides[axis] as number);
  const result = new Float32Array(values.length);
  const index = target.map(() => 0);
  for (let i = 0; i < result.length; i++) {
    result[i] = values[
      index.reduce((sum, value, axis) => sum + value * (steps[axis] as number), 0)
    ] as number;
    for (let axis = target.length - 1; axis >= 0; axis--) {
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (target[axis] as number)) break;
      index[axis] = 0;
    }
  }
  return result;
}

export const nchwToNhwc = (values: Float32Array, shape: readonly number[]) =>
  permute(values, shape, [0, 2, 3, 1]);
/** Shape is the NHWC one. */
export const nhwcToNchw = (values: Float32Array, shape: readonly number[]) =>
  permute(values, shape, [0, 3, 1, 2]);
export const oihwToHwio = (values: Float32Array, shape: readonly number[]) =>
  permute(values, shape, [2, 3, 1, 0]);
/** Shape is the HWIO one. */
export const hwioToOihw = (values: Float32Array, shape: readonly number[]) =>
  permute(values, shape, [3, 2, 0, 1]);
