/** The text of every kernel module by its WESL name. Bundlers load `.wesl` files as text. */
import adam from './adam.wesl';
import averagePool from './average_pool.wesl';
import batchNorm from './batch_norm.wesl';
import batchNormFold from './batch_norm_fold.wesl';
import channels from './channels.wesl';
import concat from './concat.wesl';
import conv2dLane from './conv2d_lane.wesl';
import conv2dMatrix from './conv2d_matrix.wesl';
import conv2dTile from './conv2d_tile.wesl';
import convolution from './convolution.wesl';
import convolutionSum from './convolution_sum.wesl';
import cosineDistance from './cosine_distance.wesl';
import crossEntropy from './cross_entropy.wesl';
import elementwise from './elementwise.wesl';
import focalLoss from './focal_loss.wesl';
import gate from './gate.wesl';
import math from './math.wesl';
import maxPool2d from './max_pool2d.wesl';
import normalize from './normalize.wesl';
import pairwiseHinge from './pairwise_hinge.wesl';
import peak from './peak.wesl';
import pixels from './pixels.wesl';
import reduce from './reduce.wesl';
import resample from './resample.wesl';
import rows from './rows.wesl';
import sampling from './sampling.wesl';
import scoreMap from './score_map.wesl';
import subgroupMatrix from './subgroup_matrix.wesl';
import sumPartials from './sum_partials.wesl';
import texture from './texture.wesl';
import topkMean from './topk_mean.wesl';
import weightGradient from './weight_gradient.wesl';
import weightGradientLane from './weight_gradient_lane.wesl';
import weightGradientTile from './weight_gradient_tile.wesl';
import winograd from './winograd.wesl';
import winogradF2 from './winograd_f2.wesl';
import winogradF4 from './winograd_f4.wesl';

export const kernelModules = {
  adam,
  average_pool: averagePool,
  batch_norm: batchNorm,
  batch_norm_fold: batchNormFold,
  channels,
  concat,
  conv2d_lane: conv2dLane,
  conv2d_matrix: conv2dMatrix,
  conv2d_tile: conv2dTile,
  convolution,
  convolution_sum: convolutionSum,
  cosine_distance: cosineDistance,
  cross_entropy: crossEntropy,
  elementwise,
  focal_loss: focalLoss,
  gate,
  math,
  max_pool2d: maxPool2d,
  normalize,
  pairwise_hinge: pairwiseHinge,
  peak,
  pixels,
  reduce,
  resample,
  rows,
  sampling,
  score_map: scoreMap,
  subgroup_matrix: subgroupMatrix,
  sum_partials: sumPartials,
  texture,
  topk_mean: topkMean,
  weight_gradient: weightGradient,
  weight_gradient_lane: weightGradientLane,
  weight_gradient_tile: weightGradientTile,
  winograd,
  winograd_f2: winogradF2,
  winograd_f4: winogradF4,
} as const;

export type KernelModule = keyof typeof kernelModules;
