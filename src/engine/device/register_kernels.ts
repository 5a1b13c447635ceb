/** Convolutions in registers alone (`conv2d_register`), for GPUs whose workgroup memory is plain memory. */
import { workgroupSize } from '../../../kernels/sizes.ts';
import type { MatrixKernel } from './families.ts';

/**
 * Each of 64 threads computes `rows` rows of `columns` quads, and reads weights that lie in a texture as a
 * sampled one.
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
