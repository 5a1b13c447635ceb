/** Apple GPUs. */
import { convolutionFamily, smallTiles } from './convolution_tiles.ts';
import { gpu } from './gpu.ts';
import { rowKernels } from './gpu_rows.ts';
import type { DeviceProfile } from './profile.ts';
import { reliableLanes } from './target.ts';
import { largeShapesAtOnce, middleShapes, weightGradientFamily } from './weight_gradients.ts';

// Of every Apple GPU.
const lanes = 32;

export const apple: DeviceProfile = {
  ...gpu,
  name: 'apple',
  title: 'Apple GPU',
  recognises: ({ fallback, vendor }) => !fallback && vendor === 'apple',
  target(offered) {
    const subgroupSize = reliableLanes(offered, lanes);
    // Metal fixes no number. Their simdgroup matrices are tried with the one that all of them have.
    const tried = subgroupSize === 0 && offered.matrixUnits?.map((unit) => ({ ...unit, lanes }));
    return { ...gpu.target(offered), subgroupSize, ...(tried && { matrixUnits: tried }) };
  },
  kernels: {
    ...gpu.kernels,
    gate: rowKernels.gate,
    convolution: convolutionFamily(() => smallTiles),
    weight_gradient: weightGradientFamily(
      () => middleShapes,
      () => 0,
      largeShapesAtOnce,
    ),
  },
  faults: [
    ...gpu.faults,
    {
      fault: 'Division and remainder of whole numbers are miscompiled in some forms before macOS 26.6.1.',
      workaround: 'Kernels divide by a float reciprocal (`divide` and `remainder` of kernels/math.wesl).',
      evidence: 'test/division.test.ts: its bounds, and that no kernel of a GPU divides otherwise',
      until: 'no such system is in use',
    },
  ],
};
