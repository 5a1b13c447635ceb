/** Matrix kernels in registers alone, for GPUs whose workgroup memory is plain memory: 64 threads each. */
import { workgroupSize } from '../../../kernels/sizes.ts';
import type { MatrixKernel } from './families.ts';

/**
 * Convolution: each thread computes `rows` rows of `columns` quads, and reads weights that lie in a texture
 * as a sampled one.
 *
 * @param columns a divisor of 8
 */
export function register(rows: number, columns: number): MatrixKernel {
  return {
    module: 'conv2d_register',
    entry: 'main',
    constants: { THREADS: workgroupSize, ROWS: rows, COLUMNS: columns },
    conditions: { sampled: true },
    tile: { rows, columnQuads: columns },
    tilesPerWorkgroup: workgroupSize,
    step: 4,
    statistics: false,
  };
}

/** Weight gradient: each thread computes four rows of `columns` quads, and takes `pixels` pixels at once. */
export function weightGradientRegister(columns: number, pixels: number): MatrixKernel {
  return {
    module: 'weight_gradient_register',
    entry: 'main',
    constants: { THREADS: workgroupSize, COLUMNS: columns, PIXELS: pixels },
    tile: { rows: 1, columnQuads: columns },
    tilesPerWorkgroup: workgroupSize,
    step: 1,
    statistics: false,
  };
}
