/**
 * Qualcomm GPUs (Adreno). Waves have 64 lanes in workgroups of 64 threads and 128 in larger ones, which
 * halves how many fit: so workgroups have 64 threads.
 */
import { type ConvolutionShapes, convolutionFamily } from './convolution_tiles.ts';
import { gpu } from './gpu.ts';
import { rowKernels } from './gpu_rows.ts';
import type { DeviceProfile } from './profile.ts';
import { type OfferedTarget, reliableLanes, type Target } from './target.ts';
import { type WeightGradientShape, weightGradientFamily } from './weight_gradients.ts';

// Of the shorter of its waves: a lane may hold twice as much.
const lanes = 64;

// Workgroups of 64 threads that a shader processor holds: two halves with the 8 waves each that our products
// leave of 16 on Adreno 740 (Mesa's table of Adrenos, `wave_granularity` and `max_waves`).
const workgroupsPerProcessor = 16;

/**
 * Shader processors by the number of the GPU, which Node's adapters tell: those of Mesa's table of Adrenos
 * (src/freedreno/common/freedreno_devices.py: `num_ccu`, which they always match by its comment).
 */
const processorsByNumber: readonly (readonly [number: RegExp, processors: number])[] = [
  [/\b(?:650|660|735)\b/, 3],
  [/\b(?:680|725|730)\b/, 4],
  [/\b(?:740|x1)\b/, 6],
];

// Without a number: what phones of the upper range have.
function processorsOf({ device = '', architecture }: OfferedTarget): number {
  const known = processorsByNumber.find(([number]) => number.test(device.toLowerCase()));
  return known?.[1] ?? (architecture === 'adreno-6xx' ? 3 : 6);
}

// Of the shapes that leave room for 6 waves and more (8 and 12 on Adreno 740), those that spend the largest
// part of their issued instructions on multiply-adds: 72 and 60 %. Loads by the texture unit wait longest, so
// the next step's are on their way; eight rows of two quads would leave 4 waves and 6.
const shapes: readonly WeightGradientShape[] = [
  { threads: [8, 8], outputs: [1, 2], depth: 8, prefetch: true, cost: 1 },
  { threads: [8, 8], outputs: [1, 1], depth: 8, prefetch: true, cost: 1.2 },
];

// Four rows of two quads spend 66 % of their issued instructions on multiply-adds in 8 waves (Adreno 740), of
// one quad 51 % in 12. To load the next step ahead costs Adreno 740 two of the 8 waves, and Adreno 660 none
// of its 4. Slices would need larger workgroups.
function tilesFor({ architecture }: Target, halfRuns = false): ConvolutionShapes {
  const whole: ConvolutionShapes['whole'] = [
    { outputs: [4, 2], depth: 4, slices: 1, prefetch: architecture === 'adreno-6xx', halfRuns },
    { outputs: [4, 1], depth: 4, slices: 1, halfRuns },
  ];
  return { whole, sliced: whole };
}

export const qualcomm: DeviceProfile = {
  ...gpu,
  name: 'qualcomm',
  title: 'Qualcomm GPU',
  recognises: ({ fallback, vendor }) => !fallback && vendor === 'qualcomm',
  target: (offered) => ({
    ...offered,
    subgroupSize: reliableLanes(offered, lanes),
    parallelism: workgroupsPerProcessor * processorsOf(offered),
  }),
  kernels: {
    ...gpu.kernels,
    gate: rowKernels.gate,
    // Products in 16 bits have twice the rate, in as many waves.
    convolution: convolutionFamily(
      (target) => tilesFor(target),
      () => 0,
      (target) => tilesFor(target, true),
    ),
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
