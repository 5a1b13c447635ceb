/**
 * Intel GPUs: a thread has 128 registers of 32 bytes, so the lanes of a subgroup decide how much each may
 * hold.
 */
import { convolutionFamily, smallestTiles, smallTiles } from './convolution_tiles.ts';
import { gpu } from './gpu.ts';
import { residualGradientOfFewLoads } from './gpu_rows.ts';
import type { DeviceProfile } from './profile.ts';
import { reliableLanes, type Target } from './target.ts';
import { middleShapes, smallestShapes, weightGradientFamily } from './weight_gradients.ts';

/** With the fewest lanes a lane has most registers: 8 up to Xe, 16 on Xe2. */
const leastLanes = ({ subgroupSizeControl, subgroupSizes }: Target): number =>
  subgroupSizeControl ? subgroupSizes.least : 0;

export const intel: DeviceProfile = {
  ...gpu,
  name: 'intel',
  title: 'Intel GPU',
  recognises: ({ fallback, vendor }) => !fallback && vendor === 'intel',
  target: (offered) => ({
    ...gpu.target(offered),
    subgroupSize: reliableLanes(offered, offered.subgroupSizes.least),
    // Threads of 8 lanes: seven on each of 96 processors of an integrated GPU, of 512 and less on a card.
    parallelism: /hp/.test(offered.architecture) ? 512 : 96,
  }),
  kernels: {
    ...gpu.kernels,
    gate: { ...gpu.kernels.gate, residualGradient: residualGradientOfFewLoads },
    convolution: convolutionFamily(
      ({ subgroupSizeControl }) => (subgroupSizeControl ? smallTiles : smallestTiles),
      leastLanes,
    ),
    weight_gradient: weightGradientFamily(
      ({ subgroupSizeControl }) => (subgroupSizeControl ? middleShapes : smallestShapes),
      leastLanes,
    ),
  },
  faults: [
    ...gpu.faults,
    {
      fault: 'On Direct3D 12 workgroup memory of Xe computes wrong values in some shapes.',
      workaround:
        'Kernels index it by plain arrays of floats or quads, and add up by halves with a barrier between.',
      evidence:
        'test/driver_faults.test.ts; the golden operations in a browser show it (test/full/browsers.test.ts)',
      until: 'the driver computes it',
    },
    {
      fault: 'Gen 9 broadcasts 16-bit floats wrongly, so Dawn offers no subgroups there.',
      workaround:
        'Without subgroups the kernels exchange values through workgroup memory; none broadcasts 16 bits.',
      evidence: 'an adapter of Gen 9 lists no subgroups',
      until: 'Dawn offers subgroups there',
    },
  ],
};
