/** What passes and operations are given: the device, its profile, and the choices that are made already. */
import type { MatrixFamilyName, MatrixKernel } from './families.ts';
import type { DeviceProfile, Rewrites } from './profile.ts';
import type { Target } from './target.ts';

/** Choices in the profile's place, for tests, the bench and the tuner. */
export interface ForcedChoices extends Partial<Record<MatrixFamilyName, MatrixKernel>> {
  /** Ranges of split sums of convolutions. */
  readonly splits?: number;
  readonly rewrites?: Partial<Rewrites>;
}

/** By what an operation chooses its kernels. */
export interface LoweringContext {
  /** What the device is and offers. */
  readonly target: Target;
  /** What this package does on this kind of device. */
  readonly profile: DeviceProfile;
  /** `prologue` runs once, when a program is built: memory is new then, and touching it is what costs. */
  readonly phase: 'prologue' | 'run';
  /** Matrix kernels that `aand tune` found, by tuning key; the profile's table decides for the others. */
  readonly tuned?: Readonly<Record<string, MatrixKernel>>;
  /** Choices in the profile's place. */
  readonly force?: ForcedChoices;
}

/** The rewrites that a program gets. */
export function rewritesOf({ profile, target, force }: LoweringContext): Rewrites {
  return { ...profile.rewrites(target), ...force?.rewrites };
}
