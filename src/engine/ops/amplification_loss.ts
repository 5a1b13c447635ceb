/**
 * Amplification loss (method, 3.9): mean over normal i and abnormal j of max(0, t_ij - (s_ij - margin)), with
 * s_ij = cos(F_i, F_j) and t_ij = cos(F_i, A_j). Since t - s = F^_i . (A^_j - F^_j) for unit rows, one
 * product per chunk of normal rows gives all pairs; the matrix of pairs never exists beyond one chunk. The
 * gradient towards the differences is accumulated in the same pass, because the activity of a chunk is known
 * only then. None flows into the normal rows: they come from the frozen teacher.
 */

import type { LoweringContext } from '../device/context.ts';
import { variantOf, workgroupsFor } from '../device/families.ts';
import { type Dispatch, threads } from '../dispatch.ts';
import { need, type Tape } from '../graph/tape.ts';
import { channelQuads, positions, roundUp, type Tensor, type View } from '../graph/tensor.ts';
import { scale } from './elementwise.ts';
import { gatherDispatches } from './gemm.ts';
import { l2Normalize } from './normalize.ts';
import type { Operation } from './operation.ts';
import { subtract } from './rows.ts';
import { type Scratch, scratch } from './scratch.ts';

type HingeAttributes = { readonly margin: number };

const chunkRows = 1024;
const plain = { stride: 1, padding: 0, dilation: 1, relu: false };

const pairwiseHinge: Operation<HingeAttributes> = {
  name: 'pairwise_hinge',
  infer(inputs) {
    const difference = need(inputs, 'difference');
    if (difference.shape.at(-1) !== need(inputs, 'normal').shape.at(-1))
      throw new Error('the channels differ');
    return { loss: { shape: [1], layout: 'dense' }, gradient: difference };
  },
  backward({ tape, node, gradient }) {
    return { difference: scale(tape, need(node.outputs, 'gradient'), gradient('loss') as Tensor) };
  },
  lower(node, context) {
    const { inputs, outputs, attributes } = node;
    const difference = need(inputs, 'difference');
    const normal = need(inputs, 'normal');
    const counts = need(inputs, 'counts');
    const gradient = need(outputs, 'gradient');
    const abnormal = positions(difference);
    const channels = difference.shape.at(-1) as number;
    const rowSums = scratch('pairwise_hinge.row_sums', [abnormal]);
    const { profile, target } = context;
    const { pairwiseHinge: kernels } = profile.kernels;
    const finish = kernels.finish({ count: abnormal }, target);
    const dispatches: Dispatch[] = [];
    let accumulated: Tensor | undefined;
    const total = positions(normal);
    const chunks = Math.ceil(total / chunkRows);
    for (let index = 0; index < chunks; index++) {
      const first = index * chunkRows;
      const count = Math.min(chunkRows, total - first);
      const rowBytes = channelQuads(normal) * 16;
      const weights: View = { tensor: normal, offset: first * rowBytes, size: count * rowBytes };
      const weightShape = [1, 1, count, channels];
      const scores: Scratch = {
        ...scratch('pairwise_hinge.scores', [1, abnormal, 1, count]),
        layout: 'channels',
      };
      const problem = { rows: abnormal, rowsPerImage: abnormal, channelQuads: channelQuads(scores) };
      const activate = kernels.activate(problem, target);
      // Ping-pong: a dispatch may not read and write the same range.
      const next =
        index === chunks - 1
          ? gradient
          : { ...scratch('pairwise_hinge.gradient', difference.shape), layout: 'channels' as const };
      dispatches.push(
        ...product({ source: difference, weights, weightShape, output: scores, transposed: true, context }),
        {
          kernel: variantOf(activate, { first: index === 0 }),
          bindings: { scores, row_sums: rowSums, counts },
          uniforms: { abnormal, quads: channelQuads(scores), first, margin: attributes.margin },
          workgroups: workgroupsFor(activate, abnormal),
          writes: ['scores', 'row_sums'],
        },
        ...product({
          source: scores,
          weights,
          weightShape,
          output: next,
          transposed: false,
          context,
          accumulated,
        }),
      );
      accumulated = next;
    }
    dispatches.push(
      {
        kernel: variantOf(finish),
        bindings: { row_sums: rowSums, counts, loss: need(outputs, 'loss') },
        uniforms: { abnormal },
        workgroups: workgroupsFor(finish, abnormal),
        writes: ['loss'],
      },
      {
        kernel: { module: 'pairwise_hinge', entry: 'scale' },
        bindings: { counts, gradient },
        uniforms: { abnormal, quads: channelQuads(gradient) },
        workgroups: threads(abnormal * channelQuads(gradient)),
        writes: ['gradient'],
      },
    );
    return dispatches;
  },
};

function product(p: {
  source: Tensor;
  weights: View;
  weightShape: readonly number[];
  output: Tensor;
  transposed: boolean;
  context: LoweringContext;
  accumulated?: Tensor | undefined;
}): Dispatch[] {
  return gatherDispatches({
    source: p.source,
    weights: p.weights,
    weightShape: p.weightShape,
    output: p.output,
    inputs: p.accumulated ? { residual: p.accumulated } : {},
    attributes: plain,
    dataGradient: p.transposed,
    context: p.context,
  });
}

/** Features at normal and at abnormal positions. */
export interface AmplificationInputs {
  /** Teacher features at normal positions, [1,R,1,C]; rows past the count are ignored. */
  readonly normal: Tensor;
  /** Teacher features at abnormal positions, [1,P,1,C]. */
  readonly abnormal: Tensor;
  /** Amplified features at the same positions, [1,P,1,C]. */
  readonly amplified: Tensor;
  /** How many rows count: [normal, abnormal] as floats. A zero makes loss and gradient zero. */
  readonly counts: Tensor;
  /** alpha of the method, subtracted from the similarity. */
  readonly margin?: number;
}

/**
 * The amplification loss of stage I (docs/method.md): amplified features have to move away from normal ones.
 *
 * @returns [1]
 */
export function amplificationLoss(tape: Tape, inputs: AmplificationInputs): Tensor {
  if (roundUp(positions(inputs.normal), 4) !== positions(inputs.normal))
    throw new Error('amplificationLoss: the number of normal rows must be a multiple of 4; pad it');
  const unit = (tensor: Tensor) => l2Normalize(tape, tensor, 1e-8);
  const difference = subtract(tape, unit(inputs.amplified), unit(inputs.abnormal));
  const normal = unit(inputs.normal);
  return tape.record(
    pairwiseHinge,
    { difference, normal, counts: inputs.counts },
    { margin: inputs.margin ?? 0.3 },
  ).loss as Tensor;
}
