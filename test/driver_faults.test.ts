/** What kernels leave out because some drivers get it wrong (`faults` of the device profiles). */
import { expect, test } from 'vitest';
import { readKernels } from '../scripts/kernels/generate.ts';

// Adreno loses a NaN in a vector that is clamped, and Mesa mixed up abs and negation on AMD.
test('no kernel has atomics in workgroup memory, clamps vectors or takes abs but where it is known', () => {
  for (const [name, text] of Object.entries(readKernels('kernels'))) {
    expect(text, name).not.toMatch(/var<workgroup>[^;]*atomic/);
    for (const [call] of text.matchAll(/\babs\([^)]*\)/g))
      expect(['abs(x)', 'abs(index)'], name).toContain(call);
    for (const [call] of text.matchAll(/\bclamp\([^\n]*/g)) expect(call, name).toBe('clamp(x, -87.0, 88.0);');
  }
});
