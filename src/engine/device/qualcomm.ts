/** Qualcomm GPUs (Adreno). */
import { gpu } from './gpu.ts';
import type { DeviceProfile } from './profile.ts';
import { reliableLanes } from './target.ts';

// Of the shorter of its waves: a lane may hold twice as much.
const lanes = 64;

export const qualcomm: DeviceProfile = {
  ...gpu,
  name: 'qualcomm',
  title: 'Qualcomm GPU',
  recognises: ({ fallback, vendor }) => !fallback && vendor === 'qualcomm',
  target: (offered) => ({ ...gpu.target(offered), subgroupSize: reliableLanes(offered, lanes) }),
  kernels: {
    ...gpu.kernels,
    convolution: { ...gpu.kernels.convolution },
    weight_gradient: { ...gpu.kernels.weight_gradient },
  },
};
