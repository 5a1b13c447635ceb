/**
 * Focal loss of the gate against a 0/1 mask (method, 3.9): alpha on the positives, gamma 2, mean over
 * positions.
 */
import { variantOf, workgroupsFor } from '../device/families.ts';
import { type Dispatch, threads } from '../dispatch.ts';
import { need, type Tape } from '../graph/tape.ts';
import { elements, type Tensor } from '../graph/tensor.ts';
import type { Operation } from './operation.ts';
import { scratch } from './scratch.ts';

type FocalAttributes = { readonly alpha: number };

const focalLossDefinition: Operation<FocalAttributes> = {
  name: 'focal_loss',
  infer(inputs) {
    if (elements(need(inputs, 'gate').shape) !== elements(need(inputs, 'mask').shape))
      throw new Error('gate and mask differ in size');
    return { loss: { shape: [1], layout: 'dense' }, counts: { shape: [4], layout: 'dense' } };
  },
  backward({ tape, node, gradient }) {
    return { gate: tape.record(focalGradient, { ...node.inputs, dy: gradient('loss') }, node.attributes).dg };
  },
  lower(node, { profile, target }): Dispatch[] {
    const gate = need(node.inputs, 'gate');
    const count = elements(gate.shape);
    const kernel = profile.kernels.focalLoss({ count }, target);
    const workgroups = workgroupsFor(kernel, count);
    const read = { gate, mask: need(node.inputs, 'mask') };
    const results = { loss: need(node.outputs, 'loss'), counts: need(node.outputs, 'counts') };
    const uniforms = { count, ...node.attributes };
    const [parts] = workgroups;
    if (parts === 1)
      return [
        {
          kernel: variantOf(kernel),
          bindings: { ...read, ...results },
          uniforms,
          workgroups,
          writes: ['loss', 'counts'],
        },
      ];
    const partial = scratch('focal_loss.partial', [parts, 4]);
    return [
      {
        kernel: variantOf(kernel, { parts: true }),
        bindings: { ...read, partial },
        uniforms,
        workgroups,
        writes: ['partial'],
      },
      {
        kernel: { module: kernel.module, entry: 'finish' },
        bindings: { partial, ...results },
        uniforms: { count, parts },
        workgroups: [1, 1, 1],
        writes: ['loss', 'counts'],
      },
    ];
  },
};

const focalGradient: Operation<FocalAttributes> = {
  name: 'focal_loss_gradient',
  infer: (inputs) => ({ dg: need(inputs, 'gate') }),
  lower(node) {
    const gate = need(node.inputs, 'gate');
    const count = elements(gate.shape);
    return [
      {
        kernel: { module: 'focal_loss', entry: 'gradient' },
        bindings: {
          gate,
          mask: need(node.inputs, 'mask'),
          dy: need(node.inputs, 'dy'),
          dg: need(node.outputs, 'dg'),
        },
        uniforms: { count, ...node.attributes },
        workgroups: threads(count),
        writes: ['dg'],
      },
    ];
  },
};

/**
 * Focal loss of a gate against a mask (docs/method.md), and what the gate finds.
 *
 * @param gate in 0..1, dense, of any shape
 * @param mask 0 or 1, of the gate's shape
 * @param alpha weight of positions where the mask is 1; the others have 1 - alpha
 * @returns loss [1]; counts [4] = true positives, predicted positives, positives, positions of [gate > 0.5]
 *   against the mask
 */
export function focalLoss(
  tape: Tape,
  gate: Tensor,
  mask: Tensor,
  alpha = 0.8,
): { loss: Tensor; counts: Tensor } {
  const { loss, counts } = tape.record(focalLossDefinition, { gate, mask }, { alpha });
  return { loss: loss as Tensor, counts: counts as Tensor };
}
