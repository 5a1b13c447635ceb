/**
 * What runs the same in Node and in browsers: the golden operations and one whole detector. Results by name.
 */
import { Engine } from '../../src/engine/runtime/engine.ts';
import { readSafetensors } from '../../src/weights/safetensors.ts';
import { GoldenSet } from './golden.ts';
import { runGoldenModel } from './golden_models.ts';
import { runGoldenOps } from './golden_ops.ts';

export interface CheckResult {
  readonly adapter: string;
  readonly subgroupSize: number;
  readonly results: Record<string, Float32Array>;
}

/** @param minimal WebGPU's default limits and no optional feature */
export async function runChecks(ops: Uint8Array, models: Uint8Array, minimal: boolean): Promise<CheckResult> {
  const engine = await Engine.open({ minimal });
  try {
    const results = {
      ...(await runGoldenOps(engine, new GoldenSet(readSafetensors(ops, 'ops')))),
      ...(await runGoldenModel(engine, new GoldenSet(readSafetensors(models, 'models')), 'resnet18')),
    };
    const { vendor, architecture, description } = engine.adapter;
    return {
      adapter: `${vendor} ${architecture} ${description}`,
      subgroupSize: engine.target.subgroupSize,
      results,
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
