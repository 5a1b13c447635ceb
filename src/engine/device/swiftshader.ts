/** SwiftShader, the software driver of Chromium and Android: 128-bit vectors, so subgroups of four lanes. */
import { adapterText } from './adapter.ts';
import { cpu } from './cpu.ts';
import type { DeviceProfile } from './profile.ts';

export const swiftshader: DeviceProfile = {
  ...cpu,
  name: 'swiftshader',
  title: "SwiftShader, Chromium's software driver",
  recognises: (adapter) => adapterText(adapter).includes('swiftshader'),
  faults: [
    ...cpu.faults,
    {
      fault: 'Loops with constant bounds stay loops, and arrays that they index stay in memory.',
      workaround:
        'Loops over `unroll_*` are written out, and arrays become variables, for all drivers ' +
        '(src/engine/kernels/expand.ts); kernels run 7 to 9 times as fast.',
      evidence: 'docs/performance-log.md',
      until: 'SwiftShader unrolls them itself',
    },
  ],
};
