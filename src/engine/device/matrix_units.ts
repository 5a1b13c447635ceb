/**
 * Matrix units (tensor cores and their like). WGSL reaches them as subgroup matrices: an extension that Dawn
 * offers behind a flag (`EngineOptions.subgroupMatrices`). No software driver has them. Takes what an adapter
 * lists; gives the units that the kernels can use.
 */
import { matrixTile } from '../../../kernels/sizes.ts';
import type { MatrixUnit } from './target.ts';

/** The feature's name in Dawn and Chromium. */
export const subgroupMatrixFeature = 'chromium-experimental-subgroup-matrix' as GPUFeatureName;

/** What an adapter says of a matrix unit. */
interface SubgroupMatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

// Results that lie in workgroup memory beside the tiles, per subgroup, within WebGPU's 16 KB.
const mostResults = 512;

/**
 * The units of an adapter that the kernels can use: sums in 32 bits, and a size that divides a subgroup's
 * outputs and fits its memory.
 */
export function matrixUnits(configs: Iterable<SubgroupMatrixConfig>): MatrixUnit[] {
  const units: MatrixUnit[] = [];
  for (const { componentType: component, resultComponentType, M, N, K } of configs) {
    if ((component !== 'f16' && component !== 'f32') || resultComponentType !== 'f32') continue;
    if (
      matrixTile.side % M ||
      matrixTile.side % N ||
      matrixTile.depth % K ||
      (M * N) % 4 ||
      M * N > mostResults
    )
      continue;
    units.push({ component, rows: M, columns: N, depth: K });
  }
  // Larger ones first: fewer instructions for the same product.
  return units.sort((a, b) => b.rows * b.columns * b.depth - a.rows * a.columns * a.depth);
}

/** The configurations that an adapter lists; none where it has no matrix units or is not asked for them. */
export function subgroupMatrixConfigs(adapter: GPUAdapter): Iterable<SubgroupMatrixConfig> {
  if (!adapter.features.has(subgroupMatrixFeature)) return [];
  const info = adapter.info as GPUAdapterInfo & {
    readonly subgroupMatrixConfigs?: Iterable<SubgroupMatrixConfig>;
  };
  return info.subgroupMatrixConfigs ?? [];
}
