/**
 * A detector file with its convolution weights as 16-bit floats: half the size, for the way to a browser or a
 * device.
 */

import { floatToHalf } from '../base/half.ts';
import { readDetector, writeDetectorTensors } from '../detector/file.ts';
import { storable } from '../weights/safetensors.ts';

const infinity = 0x7c00;

/**
 * @param bytes a `model.safetensors` of `aand train`
 * @param what its name, for error messages
 * @throws Error naming a tensor whose values are too large for 16 bits
 */
export async function exportHalf(bytes: Uint8Array, what: string): Promise<Uint8Array> {
  const file = await readDetector(bytes, what);
  const tensors = storable(file.tensors);
  for (const [name, tensor] of tensors) {
    // Vectors are few, and variances need their range.
    if (tensor.shape.length < 2) continue;
    if (tensor.values.some((value) => (floatToHalf(value) & infinity) === infinity))
      throw new Error(`${what}: '${name}' holds values beyond 65504, too large for 16 bits`);
    tensors.set(name, { ...tensor, type: 'F16' });
  }
  return writeDetectorTensors(tensors, file.settings, file.metadata);
}
