/** Residual blocks, which teacher, bottleneck and decoder share (method, 3.1, 3.5, 3.6). */

import type { Tensor } from '../engine/graph/tensor.ts';
import type { Scope } from './scope.ts';

/** How a residual block is built. */
export interface ResidualDesign {
  readonly block: 'basic' | 'bottleneck';
  /** Output channels per plane. */
  readonly expansion: number;
  /** Inner channels per plane in a bottleneck block. */
  readonly width: number;
}

/** How the first block of a stage changes the resolution. */
export type Resample = 'none' | 'down' | 'up';

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
  design: ResidualDesign,
  resample: Resample,
): Tensor {
  const width = planes * design.width;
  const first = scope.norm('bn1', scope.conv('conv1', x, width, 1), { relu: true });
  // The stride is on the 3x3 (torchvision's v1.5); upsampling replaces it by a transposed 2x2.
  const middle =
    resample === 'up'
      ? scope.convTranspose('conv2', first, width)
      : scope.conv('conv2', first, width, 3, { stride: resample === 'down' ? 2 : 1, padding: 1 });
  const second = scope.norm('bn2', middle, { relu: true });
  const channels = planes * design.expansion;
  const third = scope.conv('conv3', second, channels, 1);
  return scope.norm('bn3', third, { relu: true, residual: shortcut(scope, x, channels, resample) });
}

/**
 * Is given what a part of a network gives, in the order of the parts, and says what the next part takes: the
 * same, or what takes its place.
 */
export type Between = (output: Tensor) => Tensor;

/** A stage of residual blocks; the first one resamples. */
export function residualStage(
  scope: Scope,
  x: Tensor,
  design: ResidualDesign,
  planes: number,
  blocks: number,
  resample: Resample,
  between: Between = (output) => output,
): Tensor {
  let result = x;
  for (let i = 0; i < blocks; i++) {
    const how = i === 0 ? resample : 'none';
    result = between(
      design.block === 'basic'
        ? basicBlock(scope.at(i), result, planes, how)
        : bottleneckBlock(scope.at(i), result, planes, design, how),
    );
  }
  return result;
}
