/** Single-channel maps [N,H,W]: align-corners bilinear resize and Gaussian smoothing. */
import { scoreMapGaussian } from '../../../kernels/sizes.ts';
import { threads } from '../dispatch.ts';
import { need, type Tape } from '../graph/tape.ts';
import { elements, type Tensor } from '../graph/tensor.ts';
import type { Operation } from './operation.ts';

type ResizeAttributes = { readonly height: number; readonly width: number };

function sizes(input: Tensor | { shape: readonly number[] }, output: { shape: readonly number[] }) {
  return {
    input_height: input.shape[1] as number,
    input_width: input.shape[2] as number,
    output_height: output.shape[1] as number,
    output_width: output.shape[2] as number,
  };
}

function checkMap(tensor: Tensor): void {
  if (tensor.shape.length !== 3 || tensor.layout !== 'dense')
    throw new Error('a dense map [N,H,W] is needed');
}

const upsampleDefinition: Operation<ResizeAttributes> = {
  name: 'upsample_bilinear',
  infer(inputs, { height, width }) {
    const x = need(inputs, 'x');
    checkMap(x);
    return { y: { shape: [x.shape[0] as number, height, width], layout: 'dense' } };
  },
  backward({ tape, node, gradient }) {
    const x = need(node.inputs, 'x');
    return { x: tape.record(upsampleGradient, { dy: gradient('y') }, { shape: x.shape }).dx };
  },
  lower(node) {
    const x = need(node.inputs, 'x');
    const y = need(node.outputs, 'y');
    const count = elements(y.shape);
    return [
      {
        kernel: { module: 'resample', entry: 'upsample' },
        bindings: { x, y },
        uniforms: { ...sizes(x, y), count },
        workgroups: threads(count),
        writes: ['y'],
        flops: 10 * count,
      },
    ];
  },
};

const upsampleGradient: Operation<{ shape: readonly number[] }> = {
  name: 'upsample_bilinear_gradient',
  infer: (_, { shape }) => ({ dx: { shape, layout: 'dense' } }),
  lower(node) {
    const dy = need(node.inputs, 'dy');
    const dx = need(node.outputs, 'dx');
    const count = elements(dx.shape);
    return [
      {
        kernel: { module: 'resample', entry: 'upsample_gradient' },
        bindings: { x: dy, y: dx },
        uniforms: { ...sizes(dx, dy), count },
        workgroups: threads(count),
        writes: ['y'],
      },
    ];
  },
};

type BlurAttributes = { readonly sigma: number; readonly transposed: boolean };

/** 1 / sum of the Gaussian's weights at integer offsets up to 4 sigma. */
export function gaussianNorm(sigma: number): { radius: number; norm: number } {
  const radius = Math.floor(4 * sigma + 0.5);
  let sum = 0;
  for (let t = -radius; t <= radius; t++) sum += Math.exp((-0.5 * t * t) / (sigma * sigma));
  return { radius, norm: 1 / sum };
}

const blurDefinition: Operation<BlurAttributes> = {
  name: 'gaussian_blur',
  infer(inputs) {
    const x = need(inputs, 'x');
    checkMap(x);
    return { y: x, rows: x };
  },
  backward({ tape, node, gradient }) {
    const { sigma, transposed } = node.attributes;
    return { x: tape.record(blurDefinition, { x: gradient('y') }, { sigma, transposed: !transposed }).y };
  },
  lower(node) {
    const x = need(node.inputs, 'x');
    const between = need(node.outputs, 'rows');
    const y = need(node.outputs, 'y');
    const { sigma, transposed } = node.attributes;
    const count = elements(x.shape);
    const pass = (input: Tensor, output: Tensor, axis: number) => ({
      kernel: { module: 'resample' as const, entry: transposed ? 'blur_gradient' : 'blur' },
      bindings: { x: input, y: output },
      uniforms: { ...sizes(x, y), count, axis, sigma, ...gaussianNorm(sigma) },
      workgroups: threads(count),
      writes: ['y'],
      flops: 2 * count * (8 * sigma + 1),
    });
    return [pass(x, between, transposed ? 1 : 0), pass(between, y, transposed ? 0 : 1)];
  },
};

/**
 * Bilinear interpolation with aligned corners: source = target * (n - 1) / (size - 1).
 *
 * @param x [N,h,w], dense
 * @returns [N,height,width]
 */
export function upsampleBilinear(tape: Tape, x: Tensor, height: number, width: number): Tensor {
  return tape.record(upsampleDefinition, { x }, { height, width }).y as Tensor;
}

/**
 * A Gaussian blur, first along rows and then along columns, of radius 4 sigma, with reflection at the borders
 * (scipy's gaussian_filter).
 *
 * @param x [N,h,w], dense
 * @param sigma in pixels
 * @returns of x's shape
 */
export function gaussianBlur(tape: Tape, x: Tensor, sigma: number = scoreMapGaussian.sigma): Tensor {
  return tape.record(blurDefinition, { x }, { sigma, transposed: false }).y as Tensor;
}
