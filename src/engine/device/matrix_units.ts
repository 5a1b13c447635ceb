/**
 * Matrix units (tensor cores and their like). WGSL reaches them as subgroup matrices: an extension that Dawn
 * offers behind a flag (`EngineOptions.subgroupMatrices`). No software driver has them. Takes what an adapter
 * lists; gives the units that the kernels can use.
 */
import type { SubgroupMatrixConfig } from './adapter.ts';
import { matrixShapes } from './matrix_unit_kernels.ts';
import type { MatrixUnit } from './target.ts';

/** The units of an adapter that the kernels can use: sums in 32 bits, a size that fits one of the shapes. */
export function matrixUnits(configs: Iterable<SubgroupMatrixConfig>): MatrixUnit[] {
  const units: MatrixUnit[] = [];
  for (const { componentType: component, resultComponentType, M, N, K } of configs) {
    if ((component !== 'f16' && component !== 'f32') || resultComponentType !== 'f32') continue;
    const unit = { component, rows: M, columns: N, depth: K } as const;
    if (matrixShapes(unit).length) units.push(unit);
  }
  // Those that fit more shapes first, and larger ones: fewer instructions for the same product.
  const shapes = (unit: MatrixUnit) => matrixShapes(unit).length;
  const size = ({ rows, columns, depth }: MatrixUnit) => rows * columns * depth;
  return units.sort((a, b) => shapes(b) - shapes(a) || size(b) - size(a));
}
