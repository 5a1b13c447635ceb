/**
 * The engine alone, as `aand-webgpu/engine`: for training and running other models than the detector.
 *
 * A model is a function that records operations on a {@link Tape} over tensors of fixed shapes; nothing runs
 * meanwhile. {@link gradients} appends the backward pass and {@link adam} the update. {@link Program.compile}
 * turns the tape into kernels, {@link Program.run} runs them. `examples/classifier.ts` is a whole training.
 *
 * Activations are `[N, H, W, C]`, weights of convolutions `[kernelHeight, kernelWidth, Ci, Co]`, vectors over
 * channels `[C]`. Values are 32-bit floats unless a parameter set keeps its weights in 16 bits.
 *
 * @packageDocumentation
 */

export {
  AandError,
  ClosedError,
  DeviceLostError,
  type ErrorCode,
  errorCode,
  InvalidArgumentError,
  KernelError,
  MissingPackageError,
  NoAdapterError,
  NotFiniteError,
  OutOfMemoryError,
  UnsupportedError,
} from '../base/errors.ts';
export { RandomStream } from '../base/random.ts';
export type { AdapterDescription } from './device/adapter.ts';
export type { ForcedChoices, LoweringContext } from './device/context.ts';
export type { MatrixProblem } from './device/families.ts';
export type { DeviceProfile, DriverTreatment, KnownFault, Rewrites } from './device/profile.ts';
export { profileOf, profiles } from './device/profiles.ts';
export type { OfferedTarget, Target } from './device/target.ts';
export {
  type Binding,
  type Dispatch,
  groups,
  type KernelVariant,
  type OwnModule,
  type PageBinding,
  threads,
} from './dispatch.ts';
export { gradients } from './gradients.ts';
export {
  type Initial,
  type PageKind,
  type PageSlot,
  ParameterSet,
  type ParameterSpec,
} from './graph/parameter_set.ts';
export { printNodes } from './graph/print.ts';
export {
  type Attributes,
  type AttributeValue,
  type BackwardContext,
  type HalfOperands,
  type Node,
  need,
  type OpDefinition,
  type Overwritten,
  Tape,
  type Tensors,
} from './graph/tape.ts';
export {
  byteLength,
  channelQuads,
  elements,
  type Layout,
  positions,
  quads,
  type Role,
  type Tensor,
  type TensorSpec,
  type View,
} from './graph/tensor.ts';
export { registerKernel } from './kernels/register.ts';
export { type AdamOptions, adam, adamStep } from './ops/adam.ts';
export { type AmplificationInputs, amplificationLoss } from './ops/amplification_loss.ts';
export { globalAveragePool } from './ops/average_pool.ts';
export { type BatchNormOptions, type BatchNormParameters, batchNorm } from './ops/batch_norm.ts';
export { concat } from './ops/concat.ts';
export { type ConvolutionOptions, conv2d, convTranspose2d } from './ops/conv2d.ts';
export { cosineDistance } from './ops/cosine_distance.ts';
export { crossEntropy } from './ops/cross_entropy.ts';
export { add, relu, scale } from './ops/elementwise.ts';
export { focalLoss } from './ops/focal_loss.ts';
export type {
  ChannelScaling,
  EpilogueStep,
  Fusion,
  OutputChannels,
  RecordNode,
  ScaledWeights,
  TextureOperand,
  TileMoments,
} from './ops/fusion.ts';
export { gatedResidual, matchingGate } from './ops/gate.ts';
export { maxPool2d, type PoolAttributes } from './ops/max_pool2d.ts';
export { l2Normalize } from './ops/normalize.ts';
export type { BatchOperands, BatchRange, Operation } from './ops/operation.ts';
export { normalizePixels } from './ops/pixels.ts';
export { mean, meanSquareError, one, weightedSum } from './ops/reduce.ts';
export { gaussianBlur, upsampleBilinear } from './ops/resample.ts';
export { gatherRows, subtract } from './ops/rows.ts';
export { scoreMap } from './ops/score_map.ts';
export { scratch } from './ops/scratch.ts';
export { topkMean } from './ops/topk_mean.ts';
export type { CopyRate, Peaks } from './plan/forecast.ts';
export { Engine, type EngineOptions } from './runtime/engine.ts';
export { initialize } from './runtime/initialize.ts';
export { measurePeaks } from './runtime/peak.ts';
export {
  type KeptOutputs,
  type ProfileEntry,
  Program,
  type ProgramOptions,
  type RunInputs,
  type RunOutputs,
} from './runtime/program.ts';
export { ProgramCache } from './runtime/program_cache.ts';
export { ParameterStore } from './runtime/store.ts';
