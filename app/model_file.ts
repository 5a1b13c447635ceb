/** A model file as the user chose it: read, or refused with a sentence that says what it is instead. */
import { type DetectorFile, readDetector } from '../src/detector/file.ts';
import { isTorchFile } from '../src/weights/torch_file.ts';

const imageSignatures: readonly (readonly number[])[] = [
  [0x89, 0x50, 0x4e, 0x47],
  [0xff, 0xd8, 0xff],
  [0x47, 0x49, 0x46, 0x38],
  [0x42, 0x4d],
  [0x49, 0x49, 0x2a, 0x00],
  [0x4d, 0x4d, 0x00, 0x2a],
  [0x52, 0x49, 0x46, 0x46],
];

/** @throws Error with a sentence for the user */
export async function readModel(bytes: Uint8Array, name: string): Promise<DetectorFile> {
  if (!bytes.length) throw new Error(`${name} is empty (0 bytes): copy the model again.`);
  if (imageSignatures.some((signature) => signature.every((value, i) => bytes[i] === value)))
    throw new Error(`${name} is an image, not a model: open it with "Open images".`);
  if (isTorchFile(bytes))
    throw new Error(`${name} is a file of PyTorch: "aand import" makes a model of the authors' files.`);
  try {
    return await readDetector(bytes, name);
  } catch (error) {
    throw new Error(`This model cannot be opened. ${(error as Error).message}`);
  }
}
