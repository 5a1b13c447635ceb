/**
 * Intel GPUs: a thread has 128 registers of 32 bytes, so the lanes of a subgroup decide how much each may
 * hold.
 */
import { gpu } from './gpu.ts';
import type { DeviceProfile } from './profile.ts';
import { type SharedShapes, sharedColumns } from './register_kernels.ts';
import { reliableLanes, type Target } from './target.ts';

/** With the fewest lanes a lane has most registers: 8 up to Xe, 16 on Xe2. */
const leastLanes = ({ subgroupSizeControl, subgroupSizes }: Target): number =>
  subgroupSizeControl ? subgroupSizes.least : 0;

// What is the same for a workgroup takes one register of a thread, whatever its lanes. Costs are those of
// bench/results/static-intel-adl.json.
const chosenLanes: SharedShapes = {
  forward: [
    { pixels: 2, columns: 8, cost: 1 },
    { pixels: 2, columns: 4, cost: 1.15 },
    { pixels: 1, columns: 4, cost: 1.75 },
    { pixels: 1, columns: 2, cost: 2.8 },
  ],
  dataGradient: [
    { pixels: 4, columns: 2, cost: 1 },
    { pixels: 2, columns: 2, cost: 1.45 },
    { pixels: 1, columns: 2, cost: 2.25 },
    { pixels: 1, columns: 1, cost: 3.5 },
  ],
  weightGradient: [
    { pixels: 4, columns: 4, cost: 1 },
    { threads: 32, pixels: 4, columns: 4, cost: 1.02 },
    { threads: 16, pixels: 4, columns: 4, cost: 1.04 },
    { pixels: 4, columns: 2, cost: 1.1 },
  ],
};

// The driver chooses twice the fewest lanes, so that a lane has half of the registers.
const anyLanes: SharedShapes = {
  forward: [
    { pixels: 2, columns: 4, cost: 1 },
    { pixels: 1, columns: 4, cost: 1.2 },
    { pixels: 1, columns: 2, cost: 1.7 },
    { pixels: 1, columns: 1, cost: 2.9 },
  ],
  dataGradient: [
    { pixels: 2, columns: 2, cost: 1 },
    { pixels: 1, columns: 2, cost: 1.6 },
    { pixels: 1, columns: 1, cost: 2.1 },
  ],
  weightGradient: [
    { pixels: 2, columns: 2, cost: 1 },
    { threads: 32, pixels: 2, columns: 2, cost: 1.02 },
    { threads: 16, pixels: 2, columns: 2, cost: 1.04 },
    { pixels: 4, columns: 1, cost: 1.1 },
  ],
};

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
    ...sharedColumns(({ subgroupSizeControl }) => (subgroupSizeControl ? chosenLanes : anyLanes), leastLanes),
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
