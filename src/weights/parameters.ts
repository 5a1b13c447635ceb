/** Between a model's parameters and state dicts: what a file must hold, loading, and storing. */

import { InvalidWeightsError } from '../base/errors.ts';
import type { ParameterSet, ParameterSpec } from '../engine/graph/parameter_set.ts';
import { firstNonFinite } from '../engine/graph/tensor.ts';
import type { ParameterStore } from '../engine/runtime/store.ts';
import { fromStored, storedShape, toStored } from './names.ts';
import type { SafetensorsFile, TensorToStore } from './safetensors.ts';

/**
 * The tensors of the groups in a state dict. Other tensors in it are ignored. It needs no device: a file can
 * be checked before work begins.
 *
 * @param prefix what the file's names lack of the engine's, for instance 'teacher.' for a torchvision file
 * @throws Error naming the tensors that are missing, of another shape, or not finite
 */
export function matchParameters(
  set: ParameterSet,
  groups: readonly string[],
  file: SafetensorsFile,
  what: string,
  prefix = '',
): { readonly spec: ParameterSpec; readonly values: Float32Array }[] {
  const missing: string[] = [];
  const found: { spec: ParameterSpec; values: Float32Array }[] = [];
  for (const spec of set.specs) {
    if (!groups.includes(spec.group)) continue;
    const name = spec.name.startsWith(prefix) ? spec.name.slice(prefix.length) : spec.name;
    const tensor = file.tensors.get(name);
    if (!tensor) {
      missing.push(name);
      continue;
    }
    const expected = storedShape(spec);
    if (`${tensor.shape}` !== `${expected}`)
      throw new InvalidWeightsError(
        `${what}: tensor '${name}' is [${tensor.shape}], the model needs [${expected}]; is it the right ` +
          'backbone?',
      );
    const bad = firstNonFinite(tensor.values);
    if (bad >= 0)
      throw new InvalidWeightsError(
        `${what}: tensor '${name}' [${tensor.shape}] holds ${tensor.values[bad]} at index ${bad}`,
      );
    const negative = name.endsWith('running_var') ? tensor.values.findIndex((value) => value < 0) : -1;
    if (negative >= 0)
      throw new InvalidWeightsError(
        `${what}: tensor '${name}' holds ${tensor.values[negative]} at index ${negative}: a variance ` +
          'cannot be negative',
      );
    found.push({ spec, values: tensor.values });
  }
  if (missing.length)
    throw new InvalidWeightsError(
      `${what}: ${missing.length} tensors are missing, the first is '${missing[0]}'; is it the right ` +
        'backbone?',
    );
  return found;
}

/**
 * Loads the parameters of the groups from a state dict, as {@link matchParameters} finds them.
 *
 * @throws Error naming the tensors that are missing, of another shape, or not finite
 */
export function loadParameters(
  store: ParameterStore,
  groups: readonly string[],
  file: SafetensorsFile,
  what: string,
  prefix = '',
): void {
  let memory = new Float32Array(0);
  for (const { spec, values } of matchParameters(store.set, groups, file, what, prefix)) {
    // One memory for all tensors: the store copies what it is given, and new memory costs more than the copy.
    if (memory.length < values.length) memory = new Float32Array(values.length);
    store.write(spec.name, fromStored(spec, values, memory));
  }
}

/**
 * Parameters as state-dict tensors, for writing.
 *
 * @throws Error naming a tensor that holds a value that is not finite: nobody could use the file
 */
export async function storeParameters(
  store: ParameterStore,
  groups: readonly string[],
  options: { prefix?: string; type?: 'F32' | 'F16' } = {},
): Promise<Map<string, TensorToStore>> {
  const { prefix = '', type = 'F32' } = options;
  const specs = store.set.specs.filter((spec) => groups.includes(spec.group));
  const values = await store.read(specs.map((spec) => spec.name));
  for (const [name, list] of values) {
    const bad = firstNonFinite(list);
    if (bad >= 0)
      throw new InvalidWeightsError(
        `tensor '${name}' [${store.set.spec(name).shape}] holds ${list[bad]} at index ${bad}: nothing was ` +
          'written, for the training ran away',
      );
  }
  return new Map(
    specs.map((spec) => {
      const name = spec.name.startsWith(prefix) ? spec.name.slice(prefix.length) : spec.name;
      return [
        name,
        { shape: storedShape(spec), values: toStored(spec, values.get(spec.name) as Float32Array), type },
      ];
    }),
  );
}
