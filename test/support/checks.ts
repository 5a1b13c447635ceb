/**
 * What runs the same in Node and in browsers: the golden operations, or a whole detector. Results by name.
 */

import { GoldenSet } from '../../bench/support/golden.ts';
import { runGoldenModel } from '../../bench/support/golden_models.ts';
import { runGoldenOps } from '../../bench/support/golden_ops.ts';
import { profiles } from '../../src/engine/device/profiles.ts';
import { Engine } from '../../src/engine/runtime/engine.ts';
import { readSafetensors } from '../../src/weights/safetensors.ts';

export interface CheckResult {
  readonly adapter: string;
  readonly subgroupSize: number;
  readonly results: Record<string, Float32Array>;
}

/** What is run: the golden operations, or the detector of a resnet18. */
export type CheckedSet = 'ops' | 'models';

/** How they are run. */
export interface CheckedDevice {
  /** WebGPU's default limits and no optional feature. */
  readonly minimal: boolean;
  /** The name of the profile that chooses the kernels, in the place of the adapter's own. */
  readonly profile?: string | undefined;
}

function profileNamed(name: string) {
  const profile = profiles.find((known) => known.name === name);
  if (!profile) throw new Error(`there is no profile '${name}'`);
  return profile;
}

/** @param bytes the golden file of the set */
export async function runChecks(
  set: CheckedSet,
  bytes: Uint8Array,
  { minimal, profile }: CheckedDevice,
): Promise<CheckResult> {
  const engine = await Engine.open({ minimal, ...(profile && { profile: profileNamed(profile) }) });
  try {
    const golden = new GoldenSet(readSafetensors(bytes, set));
    const { vendor, architecture, description } = engine.adapter;
    return {
      adapter: `${vendor} ${architecture} ${description}`,
      subgroupSize: engine.target.subgroupSize,
      results:
        set === 'ops' ? await runGoldenOps(engine, golden) : await runGoldenModel(engine, golden, 'resnet18'),
    };
  } finally {
    await engine.close();
  }
}

/** Results as one string: a header and the values' bytes, so that not a bit is lost on the way. */
export function encodeResults({ adapter, subgroupSize, results }: CheckResult): string {
  const tensors = Object.entries(results).map(([name, values]) => {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    let text = '';
    for (let i = 0; i < bytes.length; i += 32768)
      text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    return [name, btoa(text)];
  });
  return JSON.stringify({ adapter, subgroupSize, tensors });
}

export function decodeResults(text: string): CheckResult {
  const { adapter, subgroupSize, tensors } = JSON.parse(text) as {
    adapter: string;
    subgroupSize: number;
    tensors: [string, string][];
  };
  const results = Object.fromEntries(
    tensors.map(([name, encoded]) => [
      name,
      new Float32Array(Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0)).buffer),
    ]),
  );
  return { adapter, subgroupSize, results };
}
