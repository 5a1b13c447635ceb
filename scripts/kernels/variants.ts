/**
 * Every kernel variant that the package may ask a driver for: takes tapes of detectors, trainings, the tuner's
 * cases and the bench, plans them for devices of every profile, and gives the variants with what asks for them.
 */
import { benchCases } from '../../bench/cases.ts';
import { imageInput } from '../../src/data/image_input.ts';
import type { LoweringContext } from '../../src/engine/device/context.ts';
import type { MatrixFamilyName } from '../../src/engine/device/families.ts';
import type { DeviceProfile } from '../../src/engine/device/profile.ts';
import { profiles } from '../../src/engine/device/profiles.ts';
import type { MatrixUnit, OfferedTarget } from '../../src/engine/device/target.ts';
import { type KernelVariant, variantKey } from '../../src/engine/dispatch.ts';
import { ParameterSet } from '../../src/engine/graph/parameter_set.ts';
import { type Node, Tape } from '../../src/engine/graph/tape.ts';
import type { Tensor } from '../../src/engine/graph/tensor.ts';
import { checkPlan } from '../../src/engine/kernels/check.ts';
import { fuse } from '../../src/engine/passes/index.ts';
import { selectProgram } from '../../src/engine/plan/lower.ts';
import { peakKernels } from '../../src/engine/runtime/peak.ts';
import { tuningCases } from '../../src/engine/runtime/tuner.ts';
import { type Backbone, backbones } from '../../src/model/backbone.ts';
import { detect, detectorParameters, groups } from '../../src/model/detector.ts';
import { recordAmplification } from '../../src/train/amplify.ts';
import { recordDistillation } from '../../src/train/distill.ts';
import { recordStep } from '../../src/train/step_programs.ts';

/** A variant, and what asks for it. */
export interface ShippedVariant {
  readonly variant: KernelVariant;
  /** Names of operations. */
  readonly operations: ReadonlySet<string>;
  /** Names of device profiles. */
  readonly profiles: ReadonlySet<string>;
}

/** What a program is recorded as, and the tensors that it reads. */
interface Recorded {
  readonly name: string;
  readonly tape: Tape;
  readonly outputs: readonly Tensor[];
}

export interface VariantOptions {
  readonly backbones: readonly Backbone[];
  /** Lanes of a subgroup that devices are assumed to have; 0: no subgroups. */
  readonly subgroupSizes: readonly number[];
  /** Cases of the bench as well. */
  readonly bench: boolean;
}

/** All that the package ships. */
export const allVariants: VariantOptions = {
  backbones: Object.values(backbones),
  subgroupSizes: [0, 4, 8, 16, 32, 64],
  bench: true,
};
