/** Adam over all parameters of a group: one dispatch per page of parameters. */

import { threads } from '../dispatch.ts';
import type { PageKind } from '../graph/parameter_set.ts';
import { need, type Tape } from '../graph/tape.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Operation } from './operation.ts';

export interface AdamOptions {
  readonly learningRate: number;
  readonly betas: readonly [number, number];
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
 * Updates every parameter of a group from the gradients given here. Parameters of the group without a
 * gradient keep their values: their gradient memory stays zero.
 *
 * @param step input [2], see {@link adamStep}
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

/** The `step` input for step number t = 1, 2, ...: bias corrections computed in float64, as PyTorch does. */
export function adamStep(t: number, { learningRate, betas }: AdamOptions): Float32Array {
  return new Float32Array([learningRate / (1 - betas[0] ** t), Math.sqrt(1 - betas[1] ** t)]);
}
