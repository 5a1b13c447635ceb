/** Qualcomm GPUs (Adreno). */
import { convolutionFamily, smallTiles } from './convolution_tiles.ts';
import { gpu } from './gpu.ts';
import type { DeviceProfile } from './profile.ts';
import { reliableLanes } from './target.ts';
import { type WeightGradientShape, weightGradientFamily } from './weight_gradients.ts';

// Of the shorter of its waves: a lane may hold twice as much.
const lanes = 64;

// Of the shapes that leave room for 6 waves and more (8 and 12 on Adreno 740), those that spend the largest
// part of their issued instructions on multiply-adds: 72 and 60 %. Loads by the texture unit wait longest, so
// the next step's are on their way; eight rows of two quads would leave 4 waves and 6.
const shapes: readonly WeightGradientShape[] = [
  { threads: [8, 8], outputs: [1, 2], depth: 8, prefetch: true, cost: 1 },
  { threads: [8, 8], outputs: [1, 1], depth: 8, prefetch: true, cost: 1.2 },
];

export const qualcomm: DeviceProfile = {
  ...gpu,
  name: 'qualcomm',
  title: 'Qualcomm GPU',
  recognises: ({ fallback, vendor }) => !fallback && vendor === 'qualcomm',
  target: (offered) => ({ ...gpu.target(offered), subgroupSize: reliableLanes(offered, lanes) }),
  kernels: {
    ...gpu.kernels,
    convolution: convolutionFamily(() => smallTiles),
    weight_gradient: weightGradientFamily(() => shapes),
  },
  faults: [
    ...gpu.faults,
    {
      fault: 'clamp of a vector that holds a NaN gives wrong values.',
      workaround: 'Kernels clamp scalars alone, and only in the exponential.',
      evidence: 'test/driver_faults.test.ts',
      until: 'the driver keeps to the definition of clamp',
    },
  ],
};
