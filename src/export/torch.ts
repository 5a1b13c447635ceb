/**
 * A detector file as the authors' `.pth` files: stage I {encoder_AT}, stage II {bn, decoder_ss}; RD4AD's {bn,
 * decoder}.
 */
import { readDetector } from '../detector/file.ts';
import { groups } from '../model/groups.ts';
import { needStudent } from '../model/method.ts';
import { methodNamed } from '../model/methods.ts';
import { storable, type TensorToStore } from '../weights/safetensors.ts';
import { writeTorchFile } from '../weights/torch_writer.ts';

export interface TorchFiles {
  /**
   * Teacher with its amplification modules, {encoder_AT}; without amplification the teacher alone,
   * torchvision's names.
   */
  readonly stage1: Uint8Array;
  /** {bn, decoder_ss}, or RD4AD's {bn, decoder}. */
  readonly stage2: Uint8Array;
}

/**
 * @param bytes a `model.safetensors` of `aand train`
 * @param what its name, for error messages
 */
export async function exportTorch(bytes: Uint8Array, what: string): Promise<TorchFiles> {
  const file = await readDetector(bytes, what);
  const { mode } = file.settings;
  const tensors = storable(file.tensors);
  const part = (prefix: string) => {
    const found = new Map<string, TensorToStore>();
    for (const [name, tensor] of tensors)
      if (name.startsWith(prefix)) found.set(name.slice(prefix.length), tensor);
    return found;
  };
  const { stages } = needStudent(methodNamed(mode), `${what}: the authors' files hold a student`);
  const amplified = stages.some(({ group }) => group === groups.amplification);
  return {
    stage1: writeTorchFile(new Map([[amplified ? 'encoder_AT' : '', part('teacher.')]])),
    stage2: writeTorchFile(
      new Map([
        ['bn', part('bottleneck.')],
        [amplified ? 'decoder_ss' : 'decoder', part('student.')],
      ]),
    ),
  };
}
