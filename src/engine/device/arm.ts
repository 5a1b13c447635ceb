/**
 * Arm GPUs (Mali): 64 registers per thread, workgroup memory is plain memory, and loads are what costs.
 * Buffers are read by the load/store unit, sampled textures by the texture unit beside it.
 */
import { gpu } from './gpu.ts';
import type { DeviceProfile } from './profile.ts';
import { register, weightGradientRegister } from './register_kernels.ts';
import { reliableLanes } from './target.ts';
import { weightGradientRanges } from './weight_gradients.ts';

// Of Valhall and later.
const lanes = 16;

export const arm: DeviceProfile = {
  ...gpu,
  name: 'arm',
  title: 'Arm GPU',
  recognises: ({ fallback, vendor }) => !fallback && vendor === 'arm',
  target: (offered) => ({ ...gpu.target(offered), subgroupSize: reliableLanes(offered, lanes) }),
  kernels: {
    ...gpu.kernels,
    convolution: {
      ...gpu.kernels.convolution,
      candidates: () => [register(3, 2), register(4, 1), register(2, 2), register(2, 1)],
      // 24 sums per thread and what a step of them needs fill its registers; 32 do not fit in all variants.
      // The 32 registers of full occupancy hold 8 sums, whose loads per multiply-add are 2.4 times as many.
      choose: ({ columnQuads }) => (columnQuads > 1 ? register(3, 2) : register(4, 1)),
    },
    weight_gradient: {
      candidates: () => [
        weightGradientRegister(2, 4),
        weightGradientRegister(2, 2),
        weightGradientRegister(1, 4),
      ],
      choose: ({ columnQuads }) => weightGradientRegister(columnQuads > 1 ? 2 : 1, 4),
      splits: weightGradientRanges,
    },
  },
  rewrites: (target) => ({ ...gpu.rewrites(target), weightTextures: true }),
};
