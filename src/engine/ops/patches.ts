/**
 * What patch features are made of: means of neighbourhoods, and a coarse map on a finer grid. Inference only.
 */
import { threads } from '../dispatch.ts';
import { need, type Tape } from '../graph/tape.ts';
import { channelQuads, quads, type Tensor } from '../graph/tensor.ts';
import type { Operation } from './operation.ts';

function resampled(x: Tensor, y: Tensor, entry: 'neighbourhood' | 'upsample', reads: number) {
  const count = quads(y);
  return {
    kernel: { module: 'patches' as const, entry },
    bindings: { x, y },
    uniforms: {
      ...(entry === 'upsample' && {
        input_height: x.shape[1] as number,
        input_width: x.shape[2] as number,
      }),
      output_height: y.shape[1] as number,
      output_width: y.shape[2] as number,
      quads: channelQuads(x),
      count,
    },
    workgroups: threads(count),
    writes: ['y'],
    flops: 4 * reads * count,
  };
}

function checkFeatures(x: Tensor): void {
  if (x.shape.length !== 4 || x.layout !== 'channels') throw new Error('a feature map [N,H,W,C] is needed');
}

const neighbourhoodDefinition: Operation = {
  name: 'neighbourhood_mean',
  infer(inputs) {
    const x = need(inputs, 'x');
    checkFeatures(x);
    return { y: x };
  },
  lower: ({ inputs, outputs }) => [resampled(need(inputs, 'x'), need(outputs, 'y'), 'neighbourhood', 9)],
};

const upsampleDefinition: Operation<{ readonly height: number; readonly width: number }> = {
  name: 'upsample_features',
  infer(inputs, { height, width }) {
    const x = need(inputs, 'x');
    checkFeatures(x);
    return { y: { shape: [x.shape[0] as number, height, width, x.shape[3] as number], layout: 'channels' } };
  },
  lower: ({ inputs, outputs }) => [resampled(need(inputs, 'x'), need(outputs, 'y'), 'upsample', 8)],
};

/**
 * The mean of the 3 x 3 positions around each position; zeros beyond the border count.
 *
 * @param x [N,H,W,C]
 * @returns of x's shape
 */
export function neighbourhoodMean(tape: Tape, x: Tensor): Tensor {
  return tape.record(neighbourhoodDefinition, { x }, {}).y as Tensor;
}

/**
 * Bilinear interpolation with half-pixel centres: source = (target + 0.5) n / size - 0.5, at least 0.
 *
 * @param x [N,h,w,C]
 * @returns [N,height,width,C]
 */
export function upsampleFeatures(tape: Tape, x: Tensor, height: number, width: number): Tensor {
  return tape.record(upsampleDefinition, { x }, { height, width }).y as Tensor;
}
