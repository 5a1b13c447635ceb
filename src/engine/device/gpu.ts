/** GPUs of which nothing more is known: correct everywhere, measured on none. */
import { partialSlices, workgroupSize } from '../../../kernels/sizes.ts';
import { commonKernels, commonToggles } from './common.ts';
import { itemPerThread, itemPerWorkgroup } from './families.ts';
import { rowKernels } from './gpu_rows.ts';
import { matrixCandidates, tile } from './matrix_products.ts';
import { matrixUnitKernel } from './matrix_unit_kernels.ts';
import type { DeviceProfile } from './profile.ts';
import { smallestShapes, weightGradientFamily } from './weight_gradients.ts';
import { winogradModule } from './winograd.ts';

// Chunks from which a workgroup merges a batch norm's moments sooner than a thread.
const mergedByWorkgroup = 32;

// Sums of so many splits, of so few quads, keep too few threads busy with one for each quad.
const slicedSplits = 16;
const slicedQuads = 16384;

export const gpu: DeviceProfile = {
  name: 'gpu',
  title: 'any GPU',
  processor: 'gpu',
  recognises: ({ fallback }) => !fallback,
  target: (offered) => ({ ...offered, parallelism: 512 }),
  kernels: {
    ...commonKernels,
    ...rowKernels,
    convolution: {
      candidates: (target) => matrixCandidates('convolution', target),
      choose: (problem, target) =>
        matrixUnitKernel(problem, target) ?? tile(4, problem.columnQuads >= 16 ? 2 : 1, 4),
      splits(workgroups, steps, { parallelism }) {
        // A shorter range is not worth its part of the output.
        const most = Math.min(Math.floor(steps / 16), 8);
        return Math.max(1, Math.min(Math.floor(parallelism / (4 * workgroups)), most));
      },
    },
    weight_gradient: weightGradientFamily(() => smallestShapes),
    winograd: { tiles: () => [], module: winogradModule },
    batchNorm: {
      ...commonKernels.batchNorm,
      merge: ({ chunks }) =>
        chunks >= mergedByWorkgroup
          ? { ...itemPerWorkgroup('batch_norm', 'merge'), conditions: { by_workgroup: true } }
          : itemPerThread('batch_norm', 'merge'),
    },
    sums: {
      ...commonKernels.sums,
      partials: ({ splits, quads }) =>
        splits >= slicedSplits && quads <= slicedQuads
          ? { ...itemPerThread('sum_partials', 'sliced'), itemsPerWorkgroup: workgroupSize / partialSlices }
          : itemPerThread('sum_partials', 'ahead'),
    },
  },
  rewrites: () => ({
    winograd: false,
    textures: false,
    weightTextures: false,
    statistics: true,
    rowLengths: true,
  }),
  treatment: {
    toggles: commonToggles,
    compilesAtDispatch: false,
    sharesProcessor: false,
    peak: { workgroups: 4096, rounds: 2048, copies: 20 },
  },
  faults: [],
};
