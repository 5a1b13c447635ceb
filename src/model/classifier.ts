/**
 * The whole ResNet classifier (conv1 to layer4, pooling, fc): what other engines run too, so the bench
 * compares with it.
 */

import { ParameterSet } from '../engine/graph/parameter_set.ts';
import { Tape } from '../engine/graph/tape.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { globalAveragePool } from '../engine/ops/average_pool.ts';
import { conv2d } from '../engine/ops/conv2d.ts';
import { crossEntropy } from '../engine/ops/cross_entropy.ts';
import { mean } from '../engine/ops/reduce.ts';
import { residualStage } from './residual.ts';
import type { ResNet } from './resnet.ts';
import { Scope } from './scope.ts';

export const classifierGroup = 'classifier';
const classes = 1000;

/** images [N,S,S,3], normalised -> logits [N,1,1,1000]; parameters have torchvision's names. */
export function classify(tape: Tape, images: Tensor, backbone: ResNet, training = false): Tensor {
  const scope = new Scope(tape, '', classifierGroup, training);
  const features = backbone.features(scope, images);
  const last = residualStage(
    scope.at('layer4'),
    features[2] as Tensor,
    backbone,
    8 * backbone.planes,
    backbone.bottleneckBlocks,
    'down',
  );
  const pooled = globalAveragePool(tape, last);
  const inputs = pooled.shape[3] as number;
  const bound = 1 / Math.sqrt(inputs);
  const initial = { kind: 'uniform', bound } as const;
  const w = tape.parameter('fc.weight', [1, 1, inputs, classes], 'filter', classifierGroup, initial);
  const b = tape.parameter('fc.bias', [classes], 'channels', classifierGroup, initial);
  return conv2d(tape, pooled, w, b);
}

/** The mean cross-entropy of a batch, [1]; labels [N]. */
export function classifierLoss(tape: Tape, images: Tensor, labels: Tensor, backbone: ResNet): Tensor {
  return mean(tape, crossEntropy(tape, classify(tape, images, backbone, true), labels));
}

/** The parameters of a classifier. */
export function classifierParameters(backbone: ResNet, options: { half?: boolean } = {}): ParameterSet {
  const tape = new Tape(new ParameterSet(options));
  classify(tape, tape.input('images', [1, 64, 64, 3], 'channels'), backbone);
  return tape.parameters;
}
