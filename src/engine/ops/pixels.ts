/** 8-bit RGB pixels as the normalised input of a network: no gradient flows into them. */
import { UnsupportedError } from '../../base/errors.ts';
import { type Dispatch, groups, threads } from '../dispatch.ts';
import { type Node, need, type Tape } from '../graph/tape.ts';
import { elements, quads, type Tensor } from '../graph/tensor.ts';
import { type BatchRange, type Operation, wholeBatch } from './operation.ts';

type Shape = readonly [number, number, number, number];
type PixelAttributes = { readonly shape: Shape };

// A thread turns three words into four pixels.
const pixelsPerThread = 4;

/** Pixels of a batch that have other values than their bytes say. */
export interface ChangedPixels {
  /**
   * [N, capacity, 4], dense, whole numbers: the pixel's place in its image, and the bits of its three
   * normalised values. A run may give the beginning of each image's list alone.
   */
  readonly values: Tensor;
  /** [N], dense, whole numbers: how many of each image's list count. */
  readonly counts: Tensor;
}

const normalizePixelsDefinition: Operation<PixelAttributes> = {
  name: 'normalize_pixels',
  infer(inputs, { shape }) {
    const { changed, counts } = inputs;
    const bytes = elements(need(inputs, 'words').shape) * 4;
    if (shape[3] !== 3 || bytes !== elements(shape))
      throw new Error(`${bytes} bytes are not the pixels of [${shape}]`);
    if (bytes % (3 * pixelsPerThread)) throw new Error('the number of pixels must be a multiple of four');
    if (`${need(inputs, 'table').shape}` !== '256,3') throw new Error('the table must be [256,3]');
    if (changed && (changed.shape[0] !== shape[0] || changed.shape[2] !== 4))
      throw new Error(`changed pixels must be [${shape[0]},capacity,4]`);
    if (changed && `${counts?.shape}` !== `${shape[0]}`)
      throw new Error(`counts of changed pixels must be [${shape[0]}]`);
    return { y: { shape, layout: 'channels' } };
  },
  half: () => ({ inputs: [], outputs: ['y'] }),
  words: ['words', 'changed', 'counts'],
  partial: ['changed'],
  batch: { does: 'phases', operands: ['words', 'changed', 'y'], lower: lowerPixels },
  lower: (node) => lowerPixels(node, [wholeBatch(need(node.outputs, 'y'))]),
};

function lowerPixels(
  { inputs, outputs, attributes }: Node<PixelAttributes>,
  ranges: readonly BatchRange[],
): Dispatch[] {
  const y = need(outputs, 'y');
  const words = need(inputs, 'words');
  const { changed, counts } = inputs;
  if (ranges.length > 1 && words.shape[0] !== attributes.shape[0])
    throw new UnsupportedError(
      `normalize_pixels: ${words.name} [${words.shape}] must have one entry per image ` +
        `([${attributes.shape[0]},...]) where images run in parts`,
    );
  const conditions = { half: y.half ?? false };
  const pixels = attributes.shape[1] * attributes.shape[2];
  return ranges.flatMap((range): Dispatch[] => {
    const output = range.of(y);
    const count = (quads(y) / pixelsPerThread) * range.share;
    const normalized: Dispatch = {
      kernel: { module: 'pixels', entry: 'normalize_pixels', conditions },
      bindings: { words: range.of(words), table: need(inputs, 'table'), output },
      uniforms: { count },
      workgroups: threads(count),
      writes: ['output'],
    };
    if (!changed || !counts) return [normalized];
    const capacity = changed.shape[1] as number;
    return [
      normalized,
      {
        kernel: { module: 'pixels', entry: 'change_pixels', conditions },
        bindings: { changed: range.of(changed), counts, output },
        uniforms: { pixels, capacity, first: range.first },
        workgroups: groups(Math.ceil(capacity / 64), range.images),
        writes: ['output'],
      },
    ];
  });
}

/**
 * Bytes of images as normalised values, by a table.
 *
 * @param words the bytes of N images [H,W,3], four to a word, dense: [N, H*W*3/4]
 * @param table normalised value of each byte and channel [256,3], channels layout
 * @param shape [N,H,W,3]
 * @param changed values in the place of some pixels' bytes
 * @returns [N,H,W,3]
 */
export function normalizePixels(
  tape: Tape,
  words: Tensor,
  table: Tensor,
  shape: Shape,
  changed?: ChangedPixels,
): Tensor {
  const inputs = { words, table, changed: changed?.values, counts: changed?.counts };
  return tape.record(normalizePixelsDefinition, inputs, { shape }).y as Tensor;
}
