/** 8-bit RGB pixels as the normalised input of a network; inference only. */
import { threads } from '../dispatch.ts';
import { need, type Tape } from '../graph/tape.ts';
import { elements, quads, type Tensor } from '../graph/tensor.ts';
import type { Operation } from './operation.ts';

type PixelAttributes = { readonly shape: readonly [number, number, number, number] };

// A thread turns three words into four pixels.
const pixelsPerThread = 4;

const normalizePixelsDefinition: Operation<PixelAttributes> = {
  name: 'normalize_pixels',
  infer(inputs, { shape }) {
    const bytes = elements(need(inputs, 'words').shape) * 4;
    if (shape[3] !== 3 || bytes !== elements(shape))
      throw new Error(`${bytes} bytes are not the pixels of [${shape}]`);
    if (bytes % (3 * pixelsPerThread)) throw new Error('the number of pixels must be a multiple of four');
    if (`${need(inputs, 'table').shape}` !== '256,3') throw new Error('the table must be [256,3]');
    return { y: { shape, layout: 'channels' } };
  },
  half: () => ({ inputs: [], outputs: ['y'] }),
  words: ['words'],
  lower(node) {
    const y = need(node.outputs, 'y');
    const count = quads(y) / pixelsPerThread;
    return [
      {
        kernel: { module: 'pixels', entry: 'normalize_pixels', conditions: { half: y.half ?? false } },
        bindings: { words: need(node.inputs, 'words'), table: need(node.inputs, 'table'), output: y },
        uniforms: { count },
        workgroups: threads(count),
        writes: ['output'],
      },
    ];
  },
};

/**
 * Bytes of images as normalised values, by a table.
 *
 * @param words the bytes of N images [H,W,3], four to a word, dense
 * @param table normalised value of each byte and channel [256,3], channels layout
 * @param shape [N,H,W,3]
 * @returns [N,H,W,3]
 */
export function normalizePixels(
  tape: Tape,
  words: Tensor,
  table: Tensor,
  shape: readonly [number, number, number, number],
): Tensor {
  return tape.record(normalizePixelsDefinition, { words, table }, { shape }).y as Tensor;
}
