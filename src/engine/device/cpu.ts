/**
 * Software drivers: kernels run on the processor's cores and vectors. Loads are what costs, workgroup memory
 * is no faster than storage, and few workgroups keep all cores busy.
 */
import { adapterText } from './adapter.ts';
import { commonKernels, commonToggles } from './common.ts';
import type { MatrixKernel, MatrixProblem } from './families.ts';
import { lane, matrixCandidates, weightGradientSplits } from './matrix_products.ts';
import type { DeviceProfile } from './profile.ts';
import type { Target } from './target.ts';
import { winogradModule, winogradTiles } from './winograd.ts';

// Channels from which Winograd's form pays where operands come from buffers.
const winogradChannels = 32;

/** The table for convolutions on subgroups of up to 32 lanes, and without subgroups. */
export function convolutionByLanes(
  { rows, columnQuads, batched }: MatrixProblem,
  { subgroupSize: size }: Target,
): MatrixKernel {
  // With fewer rows a subgroup wastes less of a small grid; with more, a load of weights serves more rows.
  if (size > 1 && size <= 16) return lane('convolution', size, 4, batched && rows <= 16 ? 16 : 32, 1);
  if (size === 32) return lane('convolution', size, 4, 32, 1);
  return lane('convolution', 1, 64, 8, columnQuads > 1 ? 2 : 1);
}

/**
 * For subgroups of up to four lanes, of which few share a load of the source among few columns: four columns
 * each make up for it.
 */
export function wideLanes(
  { columnQuads }: MatrixProblem,
  { subgroupSize }: Target,
): MatrixKernel | undefined {
  const fits = subgroupSize > 1 && subgroupSize <= 4 && columnQuads >= 4 * subgroupSize;
  return fits ? lane('convolution', subgroupSize, 2, 16, 4) : undefined;
}

/** A software driver of which nothing more is known. */
export const cpu: DeviceProfile = {
  name: 'cpu',
  title: 'any software driver',
  processor: 'cpu',
  recognises: (adapter) => adapter.fallback || /software|\bcpu\b/.test(adapterText(adapter)),
  target: (offered) => ({ ...offered, parallelism: 16 }),
  kernels: {
    ...commonKernels,
    convolution: {
      candidates: (target) => matrixCandidates('convolution', target),
      choose: (problem, target) => wideLanes(problem, target) ?? convolutionByLanes(problem, target),
      splits: () => 1,
    },
    weight_gradient: {
      candidates: (target) => matrixCandidates('weight_gradient', target),
      choose: ({ columnQuads }, { subgroupSize: size }) =>
        size > 1 && size <= 32
          ? lane('weight_gradient', size, 4, 8, 1)
          : lane('weight_gradient', 1, 64, 2, columnQuads > 3 ? 4 : 2),
      splits: weightGradientSplits,
    },
    winograd: { tiles: (problem) => winogradTiles(problem, winogradChannels), module: winogradModule },
  },
  // The statistics in the epilogue cost more there than the pass that they spare (docs/performance-log.md).
  rewrites: () => ({
    winograd: true,
    textures: false,
    weightTextures: false,
    statistics: false,
    rowLengths: false,
    totals: false,
  }),
  treatment: {
    toggles: commonToggles,
    compilesAtDispatch: false,
    sharesProcessor: true,
    peak: { workgroups: 64, rounds: 4096, copies: 1 },
  },
  faults: [
    {
      fault: "Dawn's binding for Node polls the device without a pause, which takes a core from the kernels.",
      workaround:
        'The thread sleeps 0.2 ms between turns while it waits (`restWhile`, src/platform/node/gpu.ts).',
      evidence: 'docs/performance-log.md; a third of the speed on two cores',
      until: 'the package webgpu waits for the device instead of polling',
    },
  ],
};
