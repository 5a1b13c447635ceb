/** Softmax cross-entropy against class indices. */
import { threads } from '../dispatch.ts';
import { need, type Tape } from '../graph/tape.ts';
import { channelQuads, quads, type Tensor } from '../graph/tensor.ts';
import type { Operation } from './operation.ts';

const sizes = (logits: Tensor) => ({ classes: logits.shape[3] as number, stride: channelQuads(logits) * 4 });

const crossEntropyDefinition: Operation = {
  name: 'cross_entropy',
  infer(inputs) {
    const [n, height, width] = need(inputs, 'logits').shape as [number, number, number];
    if (height !== 1 || width !== 1) throw new Error('logits must be [N, 1, 1, classes]');
    if (`${need(inputs, 'labels').shape}` !== `${[n]}`) throw new Error(`labels must be [${n}]`);
    return { losses: { shape: [n], layout: 'dense' }, log_sums: { shape: [n], layout: 'dense' } };
  },
  backward({ tape, node, gradient }) {
    const inputs = { ...node.inputs, log_sums: need(node.outputs, 'log_sums'), d_losses: gradient('losses') };
    return { logits: tape.record(crossEntropyGradient, inputs, {}).d_logits };
  },
  lower(node) {
    const logits = need(node.inputs, 'logits');
    const { losses, log_sums } = node.outputs as { losses: Tensor; log_sums: Tensor };
    return [
      {
        kernel: { module: 'cross_entropy', entry: 'forward' },
        bindings: { logits, labels: need(node.inputs, 'labels'), losses, log_sums },
        uniforms: sizes(logits),
        workgroups: [logits.shape[0] as number, 1, 1],
        writes: ['losses', 'log_sums'],
      },
    ];
  },
};

const crossEntropyGradient: Operation = {
  name: 'cross_entropy_gradient',
  infer: (inputs) => ({ d_logits: need(inputs, 'logits') }),
  lower(node) {
    const { logits, labels, log_sums, d_losses } = node.inputs as Record<string, Tensor>;
    const d_logits = need(node.outputs, 'd_logits');
    const bindings = { logits, labels, log_sums, d_losses, d_logits } as Record<string, Tensor>;
    return [
      {
        kernel: { module: 'cross_entropy', entry: 'gradient' },
        bindings,
        uniforms: { ...sizes(d_logits), count: quads(d_logits) * 4 },
        workgroups: threads(quads(d_logits) * 4),
        writes: ['d_logits'],
      },
    ];
  },
};

/**
 * Softmax cross-entropy: log(sum exp(logits)) - logits[label].
 *
 * @param logits [N,1,1,classes]
 * @param labels [N], dense: class indices as floats, whole numbers in 0..classes-1
 * @returns the loss of each image, [N]
 * @throws Error where the shapes differ from these
 */
export function crossEntropy(tape: Tape, logits: Tensor, labels: Tensor): Tensor {
  return tape.record(crossEntropyDefinition, { logits, labels }, {}).losses as Tensor;
}
