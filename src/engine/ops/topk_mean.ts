/** Hard mining: the mean of the k largest values of each image, ties to the lowest index. */
import { variantOf } from '../device/families.ts';
import { type Dispatch, threads } from '../dispatch.ts';
import { need, type Tape } from '../graph/tape.ts';
import { elements, type Tensor } from '../graph/tensor.ts';
import type { Operation } from './operation.ts';
import { scratch } from './scratch.ts';

type TopkAttributes = { readonly k: number };

function perImage(x: Tensor): number {
  return elements(x.shape.slice(1));
}

const topkMeanDefinition: Operation<TopkAttributes> = {
  name: 'topk_mean',
  infer(inputs, { k }) {
    const x = need(inputs, 'x');
    if (x.layout !== 'dense') throw new Error('topk_mean takes a dense map');
    if (k < 1 || k > perImage(x)) throw new Error(`k = ${k} is outside of 1..${perImage(x)}`);
    const n = x.shape[0] as number;
    return { mean: { shape: [n], layout: 'dense' }, chosen: { shape: [n, k], layout: 'dense' } };
  },
  backward({ tape, node, gradient }) {
    const x = need(node.inputs, 'x');
    const inputs = { chosen: need(node.outputs, 'chosen'), dy: gradient('mean') };
    return { x: tape.record(topkGradient, inputs, { ...node.attributes, shape: x.shape }).dx };
  },
  lower(node, { profile, target }): Dispatch[] {
    const x = need(node.inputs, 'x');
    const { k } = node.attributes;
    const images = x.shape[0] as number;
    const count = perImage(x);
    const kernel = profile.kernels.topk({ count, k }, target);
    const results = { mean: need(node.outputs, 'mean'), chosen: need(node.outputs, 'chosen') };
    const parts = Math.ceil(count / kernel.valuesPerWorkgroup);
    if (parts <= 1)
      return [
        {
          kernel: variantOf(kernel),
          bindings: { x, ...results },
          uniforms: { count, k },
          workgroups: [images, 1, 1],
          writes: ['mean', 'chosen'],
        },
      ];
    const left = parts * k;
    const candidates = scratch('topk_mean.candidates', [images, left, 2]);
    const merge = profile.kernels.topk({ count: left, k }, target);
    return [
      {
        kernel: variantOf(kernel, { parts: true }),
        bindings: { x, candidates },
        uniforms: { count, k, per_part: kernel.valuesPerWorkgroup },
        workgroups: [images, parts, 1],
        writes: ['candidates'],
      },
      {
        kernel: variantOf(merge, { merge: true }),
        bindings: { candidates, ...results },
        uniforms: { k, per_part: left },
        workgroups: [images, 1, 1],
        writes: ['mean', 'chosen'],
      },
    ];
  },
};

const topkGradient: Operation<TopkAttributes & { shape: readonly number[] }> = {
  name: 'topk_mean_gradient',
  infer: (_, { shape }) => ({ dx: { shape, layout: 'dense' } }),
  lower(node) {
    const dx = need(node.outputs, 'dx');
    const total = elements(dx.shape);
    return [
      {
        kernel: { module: 'topk_mean', entry: 'gradient' },
        bindings: { chosen: need(node.inputs, 'chosen'), dy: need(node.inputs, 'dy'), dx },
        uniforms: { count: perImage(dx), k: node.attributes.k, total },
        workgroups: threads(total),
        writes: ['dx'],
      },
    ];
  },
};

/**
 * The mean of the k largest values of each image.
 *
 * @param x [N, ...], dense
 * @param k at least 1; more than an image has counts as all
 * @returns [N]
 */
export function topkMean(tape: Tape, x: Tensor, k: number): Tensor {
  return tape.record(topkMeanDefinition, { x }, { k: Math.min(k, perImage(x)) }).mean as Tensor;
}
