/**
 * The four backbones and the residual blocks that teacher, bottleneck and student share (method, 3.1, 3.3,
 * 3.5, 3.6).
 */

import type { Tensor } from '../engine/graph/tensor.ts';
import { maxPool2d } from '../engine/ops/max_pool2d.ts';
import type { Scope } from './scope.ts';

export interface Backbone {
  readonly name: string;
  readonly block: 'basic' | 'bottleneck';
  /** Blocks of layer1, layer2, layer3. */
  readonly blocks: readonly [number, number, number];
  /** Blocks of the bottleneck's residual stage. */
  readonly bottleneckBlocks: number;
  /** Output channels per plane. */
  readonly expansion: number;
  /** Inner channels per plane in a bottleneck block. */
  readonly width: number;
}

export const backbones = {
  resnet18: {
    name: 'resnet18',
    block: 'basic',
    blocks: [2, 2, 2],
    bottleneckBlocks: 2,
    expansion: 1,
    width: 1,
  },
  resnet34: {
    name: 'resnet34',
    block: 'basic',
    blocks: [3, 4, 6],
    bottleneckBlocks: 3,
    expansion: 1,
    width: 1,
  },
  resnet50: {
    name: 'resnet50',
    block: 'bottleneck',
    blocks: [3, 4, 6],
    bottleneckBlocks: 3,
    expansion: 4,
    width: 1,
  },
  wide_resnet50_2: {
    name: 'wide_resnet50_2',
    block: 'bottleneck',
    blocks: [3, 4, 6],
    bottleneckBlocks: 3,
    expansion: 4,
    width: 2,
  },
} as const satisfies Record<string, Backbone>;

export type BackboneName = keyof typeof backbones;

/** The backbone of that name; throws an Error that lists the known ones. */
export function backboneNamed(name: string): Backbone {
  if (!Object.hasOwn(backbones, name))
    throw new Error(
      `unknown backbone '${name.slice(0, 100)}'; known are ${Object.keys(backbones).join(', ')}`,
    );
  return backbones[name as BackboneName];
}

/** How the first block of a stage changes the resolution. */
type Resample = 'none' | 'down' | 'up';

function shortcut(scope: Scope, x: Tensor, channels: number, resample: Resample): Tensor {
  if (resample === 'none' && x.shape[3] === channels) return x;
  if (resample === 'up') {
    const up = scope.at('upsample');
    return up.norm('1', up.convTranspose('0', x, channels));
  }
  const down = scope.at('downsample');
  return down.norm('1', down.conv('0', x, channels, 1, { stride: resample === 'down' ? 2 : 1 }));
}

function basicBlock(scope: Scope, x: Tensor, planes: number, resample: Resample): Tensor {
  const first =
    resample === 'up'
      ? scope.convTranspose('conv1', x, planes)
      : scope.conv('conv1', x, planes, 3, { stride: resample === 'down' ? 2 : 1, padding: 1 });
  const inner = scope.norm('bn1', first, { relu: true });
  const second = scope.conv('conv2', inner, planes, 3, { padding: 1 });
  return scope.norm('bn2', second, { relu: true, residual: shortcut(scope, x, planes, resample) });
}

function bottleneckBlock(
  scope: Scope,
  x: Tensor,
  planes: number,
  backbone: Backbone,
  resample: Resample,
): Tensor {
  const width = planes * backbone.width;
  const first = scope.norm('bn1', scope.conv('conv1', x, width, 1), { relu: true });
  // The stride is on the 3x3 (torchvision's v1.5); upsampling replaces it by a transposed 2x2.
  const middle =
    resample === 'up'
      ? scope.convTranspose('conv2', first, width)
      : scope.conv('conv2', first, width, 3, { stride: resample === 'down' ? 2 : 1, padding: 1 });
  const second = scope.norm('bn2', middle, { relu: true });
  const channels = planes * backbone.expansion;
  const third = scope.conv('conv3', second, channels, 1);
  return scope.norm('bn3', third, { relu: true, residual: shortcut(scope, x, channels, resample) });
}

/** A stage of residual blocks; the first one resamples. */
export function residualStage(
  scope: Scope,
  x: Tensor,
  backbone: Backbone,
  planes: number,
  blocks: number,
  resample: Resample,
): Tensor {
  let result = x;
  for (let i = 0; i < blocks; i++) {
    const how = i === 0 ? resample : 'none';
    result =
      backbone.block === 'basic'
        ? basicBlock(scope.at(i), result, planes, how)
        : bottleneckBlock(scope.at(i), result, planes, backbone, how);
  }
  return result;
}

/**
 * The teacher: conv1 to layer3 of a torchvision ResNet.
 *
 * @param images [N,S,S,3], normalised; S a multiple of 32
 * @returns features of layer1..3: [N,S/4,S/4,64e], [N,S/8,S/8,128e], [N,S/16,S/16,256e], all >= 0
 */
export function teacher(scope: Scope, images: Tensor, backbone: Backbone): Tensor[] {
  const stem = scope.norm('bn1', scope.conv('conv1', images, 64, 7, { stride: 2, padding: 3 }), {
    relu: true,
  });
  let x = maxPool2d(scope.tape, stem, { kernel: 3, stride: 2, padding: 1 });
  return backbone.blocks.map((blocks, level) => {
    x = residualStage(
      scope.at(`layer${level + 1}`),
      x,
      backbone,
      64 << level,
      blocks,
      level === 0 ? 'none' : 'down',
    );
    return x;
  });
}
