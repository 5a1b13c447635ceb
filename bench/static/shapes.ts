/** What a thread of a matrix kernel does in a step of its sum, from the shape that the kernel was given. */
import type { MatrixKernel } from '../../src/engine/device/families.ts';
import type { KernelVariant } from '../../src/engine/dispatch.ts';
import type { StepShape } from './kernel.ts';

const nameOf = ({ module, entry, constants = {} }: Pick<KernelVariant, 'module' | 'entry' | 'constants'>) =>
  JSON.stringify([module, entry, Object.entries(constants).sort()]);

/**
 * Of kernels whose threads compute ROWS rows (weight gradients: quads of rows) by COLUMNS quads of columns in
 * steps of DEPTH quads (weight gradients: pixels); undefined for others.
 *
 * @param kernels those that were chosen
 */
export function stepShape(variant: KernelVariant, kernels: Iterable<MatrixKernel>): StepShape | undefined {
  const kernel = [...kernels].find((each) => nameOf(each) === nameOf(variant));
  const { ROWS: rows, COLUMNS: columns, DEPTH: depth } = variant.constants ?? {};
  if (!kernel || !rows || !columns || !depth) return undefined;
  const { tile } = kernel;
  const threads = (tile.rows / rows) * (tile.columnQuads / columns);
  const rowsOfWeights = variant.module.startsWith('weight_gradient') ? 1 : 4;
  return {
    multiplyAdds: 16 * rows * columns * depth,
    stores: [(depth * tile.rows) / threads, (depth * rowsOfWeights * tile.columnQuads) / threads],
  };
}
