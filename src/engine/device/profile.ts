/**
 * A device profile: everything that this package does differently on one kind of device or driver, in one
 * place. It takes what the adapter says of itself, and gives the target, the kernels, the rewrites of
 * programs, and how the engine drives the device. A new one is a file in this folder and a line in
 * `profiles.ts`; see ARCHITECTURE.md, "Where to add something".
 */
import type { Toggles } from '../../platform/toggles.ts';
import type { AdapterDescription } from './adapter.ts';
import type { KernelFamilies } from './families.ts';
import type { OfferedTarget, Target } from './target.ts';

/** Rewrites of programs that pay on some devices only. */
export interface Rewrites {
  /** 3x3 convolutions with fixed weights may take Winograd's form; the family `winograd` says which. */
  readonly winograd: boolean;
  /** Matrix kernels read their operands from storage textures. */
  readonly textures: boolean;
  /** Convolutions read their weights from textures, and the rest from memory. */
  readonly weightTextures: boolean;
  /**
   * Batch norms in training take their statistics from the convolution before, not by a pass over its output.
   */
  readonly statistics: boolean;
  /** Rows are not scaled to unit length before their products: the gate divides by their lengths. */
  readonly rowLengths: boolean;
  /** Weighted sums take in the means of few values that they read. */
  readonly totals: boolean;
}

/** What a driver gets wrong or slow, and what is done about it. */
export interface KnownFault {
  /** What happens. */
  readonly fault: string;
  /** What is done, and in which file. */
  readonly workaround: string;
  /** Where it was seen, or how to see it: a link, a test, a figure of docs/. */
  readonly evidence: string;
  /** When the work-around can go. */
  readonly until: string;
}

/** What an engine is opened for, as far as toggles depend on it. */
export interface EngineUse {
  /** Dawn's checks in shaders stay, also where the driver makes its own. */
  readonly shaderChecks: boolean;
  /** Extensions of WebGPU that are not finished may be asked for: subgroup matrices. */
  readonly experiments: boolean;
  /** The clock of the device counts in its own steps, and not in coarse ones that tell a page less. */
  readonly exactTimestamps: boolean;
}

/** How the engine treats the driver. */
export interface DriverTreatment {
  /** Dawn's toggles, which Node sets and browsers do not. */
  toggles(use: EngineUse): Toggles;
  /**
   * Whether the driver compiles a kernel at its first dispatch. Kernels are then compiled ahead by dispatches
   * of no workgroups, with a second device as a helper.
   */
  readonly compilesAtDispatch: boolean;
  /**
   * Whether kernels run on the processor: the waiting thread then rests, so that it takes no core from them.
   */
  readonly sharesProcessor: boolean;
  /** Work of a measurement of the peaks: enough for a clock, not more than half a second. */
  readonly peak: {
    readonly workgroups: number;
    readonly rounds: number;
    readonly copies: number;
  };
}

/** Everything that this package does differently on one kind of device or driver. */
export interface DeviceProfile {
  /** A short name for tunings, `aand doctor` and tests, such as `mesa-cpu`. */
  readonly name: string;
  /** What it is, for people: 'any GPU'. */
  readonly title: string;
  /** What computes. */
  readonly processor: 'gpu' | 'cpu';
  /** Whether an adapter is of this kind. The first profile of the list that says yes is taken. */
  recognises(adapter: AdapterDescription): boolean;
  /** What kernels are chosen by: what the device offers, less what this kind is better off without. */
  target(offered: OfferedTarget): Target;
  /** Candidates and tables of every kernel family that has a choice. */
  readonly kernels: KernelFamilies;
  /** The rewrites that pay. */
  rewrites(target: Target): Rewrites;
  /** How the engine treats the driver. */
  readonly treatment: DriverTreatment;
  /** What is wrong or slow there, and what is done about it. */
  readonly faults: readonly KnownFault[];
}
