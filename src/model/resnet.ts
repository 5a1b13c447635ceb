/** torchvision's ResNets, conv1 to layer3, as teachers (method, 3.1). */

import { maxPool2d } from '../engine/ops/max_pool2d.ts';
import { type ResidualDesign, residualStage } from './residual.ts';
import type { Level, Teacher } from './teacher.ts';

export interface ResNetDesign extends ResidualDesign {
  readonly name: string;
  /** Blocks of layer1, layer2, layer3. */
  readonly blocks: readonly [number, number, number];
  /** Blocks of layer4 in the classifier, and of the bottleneck that takes its place in a detector. */
  readonly bottleneckBlocks: number;
  /** Planes of the stem and of layer1; every later layer has twice as many. */
  readonly planes: number;
}

/** A ResNet as a teacher, with what its other parts are built from. */
export type ResNet = ResNetDesign & Teacher;

/** Level 0 is layer1: stride 4, planes x expansion channels. */
function levelOf({ planes, expansion }: ResNetDesign, index: number): Level {
  return { stride: 4 << index, channels: (planes << index) * expansion };
}

export function resnet(design: ResNetDesign): ResNet {
  const { planes, blocks } = design;
  return {
    ...design,
    levels: [levelOf(design, 0), levelOf(design, 1), levelOf(design, 2)],
    student: design,
    features(scope, images, between = (output) => output) {
      const first = scope.conv('conv1', images, planes, 7, { stride: 2, padding: 3 });
      const relu = scope.norm('bn1', first, { relu: true });
      let x = between(maxPool2d(scope.tape, relu, { kernel: 3, stride: 2, padding: 1 }));
      return blocks.map((count, index) => {
        const layer = scope.at(`layer${index + 1}`);
        const resample = index === 0 ? 'none' : 'down';
        x = residualStage(layer, x, design, planes << index, count, resample, between);
        return x;
      });
    },
  };
}
