/** Adam over all parameters of a group: one dispatch per page of parameters. */

import { threads } from '../dispatch.ts';
import type { PageKind } from '../graph/parameter_set.ts';
import { need, type Tape } from '../graph/tape.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Operation } from './operation.ts';

/** Adam's constants (Kingma and Ba, 2015, https://arxiv.org/abs/1412.6980). */
export interface AdamOptions {
  /** Step size. */
  readonly learningRate: number;
  /** Decay of the first and of the second moment, each in 0..1. */
  readonly betas: readonly [number, number];
  /** Added to the root of the second moment. */
  readonly epsilon: number;
}

type AdamAttributes = {
  readonly group: string;
  readonly pageQuads: readonly number[];
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
};

const adamDefinition: Operation<AdamAttributes> = {
  name: 'adam',
  infer: () => ({}),
  overwrites: ({ attributes }) => ({ groups: [attributes.group] }),
  lower: (node) =>
    node.attributes.pageQuads.map((count, page) => {
      const of = (kind: PageKind) => ({ group: node.attributes.group, page, kind });
      return {
        kernel: { module: 'adam' as const, entry: 'main' },
        bindings: {
          parameter: of('parameter'),
          gradient: of('gradient'),
          first_moment: of('first_moment'),
          second_moment: of('second_moment'),
          step: need(node.inputs, 'step'),
        },
        uniforms: {
          count,
          beta1: node.attributes.beta1,
          beta2: node.attributes.beta2,
          rest1: 1 - node.attributes.beta1,
          rest2: 1 - node.attributes.beta2,
          epsilon: node.attributes.epsilon,
        },
        workgroups: threads(count),
        writes: ['parameter', 'first_moment', 'second_moment'],
        flops: 40 * count,
      };
    }),
};

/**
 * Appends Adam's update of every parameter of a group. Parameters of the group without a gradient keep their
 * values: their gradient memory stays zero. The moments lie beside the parameters, from zeros on.
 *
 * @param gradientOf what `gradients` returned
 * @param step an input [2], dense, whose values {@link adamStep} gives at every run
 * @throws Error where a parameter is of another group
 */
export function adam(
  tape: Tape,
  group: string,
  gradientOf: ReadonlyMap<Tensor, Tensor>,
  step: Tensor,
  options: Omit<AdamOptions, 'learningRate'>,
): void {
  for (const [parameter, gradient] of gradientOf) {
    if (tape.parameters.spec(parameter.name).group !== group)
      throw new Error(`adam: parameter '${parameter.name}' is not of group '${group}'`);
    tape.parameterGradients.set(parameter, gradient);
  }
  const [beta1, beta2] = options.betas;
  const pageQuads = tape.parameters.pageSizes(group).map((size) => size / 16);
  tape.record(adamDefinition, { step }, { group, pageQuads, beta1, beta2, epsilon: options.epsilon });
}

/**
 * The values of the `step` input: learning rate and bias corrections, computed in float64 as PyTorch does.
 *
 * @param t number of the step: 1, 2, ...
 * @returns [learningRate / (1 - beta1^t), sqrt(1 - beta2^t)]
 */
export function adamStep(t: number, { learningRate, betas }: AdamOptions): Float32Array {
  return new Float32Array([learningRate / (1 - betas[0] ** t), Math.sqrt(1 - betas[1] ** t)]);
}
