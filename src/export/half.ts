/** A detector file with its convolution weights as 16-bit floats: half the size, for the way to a browser or a device. */
import { readSettings } from '../detector/file.ts';
import { floatToHalf } from '../engine/half.ts';
import { readSafetensors, storable, writeSafetensors } from '../weights/safetensors.ts';

const infinity = 0x7c00;

/**
 * @param bytes a `model.safetensors` of `aand train`
 * @param what its name, for error messages
 * @throws Error naming a tensor whose values are too large for 16 bits
 */
export function exportHalf(bytes: Uint8Array, what: string): Uint8Array {
  const file = readSafetensors(bytes, what);
  readSettings(file, what);
  const tensors = storable(file.tensors);
  for (const [name, tensor] of tensors) {
    // Vectors are few, and variances need their range.
    if (tensor.shape.length < 2) continue;
    if (tensor.values.some((value) => (floatToHalf(value) & infinity) === infinity))
      throw new Error(`${what}: '${name}' holds values beyond 65504, too large for 16 bits`);
    tensors.set(name, { ...tensor, type: 'F16' });
  }
  return writeSafetensors(tensors, file.metadata);
}
