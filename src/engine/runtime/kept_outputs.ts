/** Outputs of a run that stay on the device, to be inputs of later runs of any program. */
import { InvalidArgumentError } from '../../base/errors.ts';
import { byteLength } from '../graph/tensor.ts';
import type { Located } from './compile.ts';
import type { Engine } from './engine.ts';
import type { Range } from './memory.ts';

/** One part of some outputs, in memory of its own. */
export interface KeptOutputs {
  /** Where the part of each output lies. */
  readonly ranges: Readonly<Record<string, Range>>;
  /** GPU bytes. */
  readonly bytes: number;
  /** Frees the memory. */
  destroy(): void;
}

/**
 * Copies outputs, cut into equal parts along their first dimension.
 *
 * @throws Error on a number of parts that does not divide it; OutOfMemoryError, or Error with WebGPU's
 *   message, and then nothing stays
 */
export async function keepOutputs(
  engine: Engine,
  outputs: ReadonlyMap<string, Located>,
  parts: number,
): Promise<KeptOutputs[]> {
  for (const [name, { tensor }] of outputs)
    if (!Number.isInteger(parts) || parts < 1 || (tensor.shape[0] ?? 1) % parts)
      throw new InvalidArgumentError(
        `output '${name}' [${tensor.shape}] cannot be cut into ${parts} equal parts`,
      );
  const sizes = [...outputs.values()].map(({ tensor }) => byteLength(tensor) / parts);
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  const kept: KeptOutputs[] = [];
  const { verdict } = engine.attempt(`keeping outputs on the device (${parts * bytes} bytes)`, () => {
    const encoder = engine.device.createCommandEncoder();
    for (let part = 0; part < parts; part++) {
      const buffer = engine.createBuffer(
        'kept outputs',
        bytes,
        GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      );
      const ranges: Record<string, Range> = {};
      let offset = 0;
      for (const [i, [name, { range }]] of [...outputs].entries()) {
        const size = sizes[i] as number;
        encoder.copyBufferToBuffer(range.buffer, range.offset + part * size, buffer, offset, size);
        ranges[name] = { buffer, offset, size };
        offset += size;
      }
      kept.push({ ranges, bytes, destroy: () => buffer.destroy() });
    }
    engine.device.queue.submit([encoder.finish()]);
  });
  try {
    await engine.guard(verdict);
  } catch (error) {
    for (const part of kept) part.destroy();
    throw error;
  }
  return kept;
}
