/** What a thread of a matrix kernel does in a step of its sum, from the shape that the kernel was given. */
import type { MatrixKernel } from '../../src/engine/device/families.ts';
import type { KernelVariant } from '../../src/engine/dispatch.ts';
import type { StepShape } from './kernel.ts';

const nameOf = ({ module, entry, constants = {} }: Pick<KernelVariant, 'module' | 'entry' | 'constants'>) =>
  JSON.stringify([module, entry, Object.entries(constants).sort()]);

/** Parts of a workgroup that share a tile and take an equal part of every step of its sum each. */
export const slicesOf = ({ constants = {} }: Pick<KernelVariant, 'constants'>): number =>
  constants.SLICES ?? 1;

/** Quads of a step that a thread multiplies: those of its slice. */
export const depthOf = (variant: Pick<KernelVariant, 'constants'>): number | undefined =>
  variant.constants?.DEPTH && variant.constants.DEPTH / slicesOf(variant);

/** The matrix kernel of a variant among those that were chosen. */
export function matrixKernelOf(
  variant: KernelVariant,
  kernels: Iterable<MatrixKernel>,
): MatrixKernel | undefined {
  return [...kernels].find((each) => nameOf(each) === nameOf(variant));
}

/** Threads of a workgroup of a matrix kernel; undefined where its constants do not tell. */
export function threadsOf(kernel: MatrixKernel): number | undefined {
  const { SUBGROUP: lanes, SUBGROUPS: subgroups, ROWS: rows, COLUMNS: columns } = kernel.constants ?? {};
  const { SUBGROUPS_DOWN: down, SUBGROUPS_ACROSS: across } = kernel.constants ?? {};
  if (lanes && subgroups) return lanes * subgroups;
  if (lanes && down && across) return lanes * down * across;
  if (!rows || !columns) return undefined;
  return (kernel.tile.rows / rows) * (kernel.tile.columnQuads / columns) * slicesOf(kernel);
}

/**
 * Of kernels whose threads compute ROWS rows (weight gradients: quads of rows) by COLUMNS quads of columns in
 * steps of DEPTH quads (weight gradients: pixels), and of those for matrix units; undefined for others.
 *
 * @param kernels those that were chosen
 */
export function stepShape(variant: KernelVariant, kernels: Iterable<MatrixKernel>): StepShape | undefined {
  const kernel = matrixKernelOf(variant, kernels);
  const { ROWS: rows, COLUMNS: columns, UNITS_DOWN: units } = variant.constants ?? {};
  const depth = depthOf(variant);
  const threads = kernel && threadsOf(kernel);
  if (!threads || !depth || (!units && !(rows && columns))) return undefined;
  const { tile } = kernel;
  const perThread = (depth * slicesOf(kernel)) / threads;
  const rowsOfWeights = variant.module.startsWith('weight_gradient') ? 1 : 4;
  return {
    // Matrix units multiply a whole step in one turn.
    multiplyAdds: rows && columns ? 16 * rows * columns * depth : 0,
    stores: [perThread * tile.rows, perThread * rowsOfWeights * tile.columnQuads],
  };
}
