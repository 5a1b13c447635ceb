/**
 * Arm GPUs (Mali): 64 registers per thread, workgroup memory is plain memory, and loads are what costs.
 * Buffers are read by the load/store unit, sampled textures by the texture unit beside it.
 */
import { gpu } from './gpu.ts';
import type { DeviceProfile } from './profile.ts';
import { register, weightGradientRegister } from './register_kernels.ts';
import { type OfferedTarget, reliableLanes } from './target.ts';
import { weightGradientRanges } from './weight_gradients.ts';

// Of Valhall and later.
const lanes = 16;

// Workgroups of 64 threads that a core holds: it has 65,536 registers (THREAD_FEATURES of a Mali-G615), and
// our products take 64 for a thread.
const workgroupsPerCore = 16;

/**
 * Cores by the name of the GPU, which Node's adapters tell: the number in a name such as "Mali-G610 MC4",
 * else what TensorFlow Lite takes for the model (`MaliInfo::GetApproximateComputeUnitsCount`: G57, G68, G310,
 * G510 and G610 have up to 6, G710 has 7 to 16, G77 up to 16, G78 up to 24).
 */
const coresByModel: readonly (readonly [model: RegExp, cores: number])[] = [
  [/g57|g68|g310|g510|g610/, 6],
  [/g710/, 10],
  [/g77|g78/, 16],
];

// Without a name: between those of embedded boards and phones of the upper range.
const middleCores = 8;

function coresOf({ device = '' }: OfferedTarget): number {
  const name = device.toLowerCase();
  const told = /\bm[cp](\d{1,2})\b/.exec(name)?.[1];
  return told ? Number(told) : (coresByModel.find(([model]) => model.test(name))?.[1] ?? middleCores);
}

export const arm: DeviceProfile = {
  ...gpu,
  name: 'arm',
  title: 'Arm GPU',
  recognises: ({ fallback, vendor }) => !fallback && vendor === 'arm',
  target: (offered) => ({
    ...offered,
    subgroupSize: reliableLanes(offered, lanes),
    parallelism: workgroupsPerCore * coresOf(offered),
  }),
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
