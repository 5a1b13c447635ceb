/**
 * Intel GPUs: a thread has 128 registers of 32 bytes, so the lanes of a subgroup decide how much each may
 * hold.
 */
import { convolutionFamily, smallestTiles, smallTiles } from './convolution_tiles.ts';
import { gpu } from './gpu.ts';
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
    convolution: convolutionFamily(
      ({ subgroupSizeControl }) => (subgroupSizeControl ? smallTiles : smallestTiles),
      leastLanes,
    ),
    weight_gradient: weightGradientFamily(
      ({ subgroupSizeControl }) => (subgroupSizeControl ? middleShapes : smallestShapes),
      leastLanes,
    ),
  },
};
