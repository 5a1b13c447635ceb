/** GPUs of which nothing more is known: correct everywhere, measured on none. */
import { commonKernels, commonToggles } from './common.ts';
import { columnKernels, packing, residualGradientOfFewLoads, rowKernels } from './gpu_rows.ts';
import { sumKernels } from './gpu_sums.ts';
import type { DeviceProfile } from './profile.ts';
import { fewRegisters, sharedColumns } from './register_kernels.ts';
import { winogradModule } from './winograd.ts';

export const gpu: DeviceProfile = {
  name: 'gpu',
  title: 'any GPU',
  processor: 'gpu',
  recognises: ({ fallback }) => !fallback,
  // Integrated and mobile GPUs are what most have.
  target: (offered) => ({ ...offered, parallelism: 128 }),
  kernels: {
    ...commonKernels,
    ...rowKernels,
    ...columnKernels,
    ...sumKernels,
    pack: packing,
    gate: { ...rowKernels.gate, residualGradient: residualGradientOfFewLoads },
    ...sharedColumns(() => fewRegisters),
    winograd: { tiles: () => [], module: winogradModule },
  },
  rewrites: () => ({
    winograd: false,
    textures: false,
    weightTextures: false,
    statistics: true,
    rowLengths: true,
    totals: true,
  }),
  treatment: {
    toggles: commonToggles,
    compilesAtDispatch: false,
    sharesProcessor: false,
    peak: { workgroups: 4096, rounds: 2048, copies: 20 },
  },
  faults: [
    {
      fault: 'New workgroup memory is not always zero (Mali, Imagination), although WebGPU promises it.',
      workaround: 'Kernels write workgroup memory before they read it.',
      evidence: 'kernels/workgroup_sum.wesl: each thread stores its part before a barrier',
      until: 'drivers and browsers fill it reliably',
    },
    {
      fault: 'Atomics in workgroup memory are lost (Samsung Xclipse).',
      workaround: 'No kernel has any: sums and maxima in a workgroup go by halves.',
      evidence: 'test/driver_faults.test.ts',
      until: 'the driver stores them',
    },
    {
      fault: '16-bit floats compute wrong values (Maleoon).',
      workaround:
        'Programs are in 32 bits unless a parameter set asks for 16, and then compute in 32 bits as well.',
      evidence: 'kernels/convolution.wesl: operands in memory alone have 16 bits',
      until: 'the driver computes them',
    },
  ],
};
