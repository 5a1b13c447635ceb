/** Weights files of either kind: safetensors, and PyTorch's own. */
import { verifyDigest } from './digest.ts';
import { readSafetensors, type SafetensorsFile } from './safetensors.ts';
import { isTorchFile, readTorchFile } from './torch_file.ts';

/**
 * The tensors of a weights file.
 *
 * @param name names the file in errors
 * @throws InvalidWeightsError on a file that is damaged, or of no kind that is known
 */
export async function readWeightsFile(bytes: Uint8Array, name: string): Promise<SafetensorsFile> {
  if (isTorchFile(bytes)) return { tensors: readTorchFile(bytes, name), metadata: {} };
  const file = readSafetensors(bytes, name);
  await verifyDigest(bytes, file.metadata, name);
  return file;
}
