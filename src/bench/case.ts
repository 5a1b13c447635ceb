/** What a case of the bench is: work that is recorded on a tape, with what it is run with. */
import type { ParameterSet } from '../engine/graph/parameter_set.ts';
import type { Tape } from '../engine/graph/tape.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import type { RunInputs } from '../engine/runtime/program.ts';
import type { Retargeting } from '../engine/runtime/retarget.ts';

export const directions = ['forward', 'data-gradient', 'weight-gradient'] as const;
export type Direction = (typeof directions)[number];

/** A convolution's shapes: x [N, H, W, Ci], w [kernelHeight, kernelWidth, Ci, Co]. */
export interface ConvolutionCase {
  readonly direction: Direction;
  readonly x: readonly [number, number, number, number];
  readonly w: readonly [number, number, number, number];
  readonly stride: number;
  readonly padding: number;
}

export const caseKinds = ['kernel', 'model', 'training'] as const;

export interface BenchCase {
  /** Unique; the same name is the same work in every version. */
  readonly name: string;
  readonly kind: (typeof caseKinds)[number];
  /** Part of `--quick`. */
  readonly quick: boolean;
  /** Left out unless `--filter` names it. */
  readonly long?: boolean;
  readonly parameters: (options?: { readonly half: boolean }) => ParameterSet;
  /** Weights and activations in 16 bits. */
  readonly half?: boolean;
  /** Records the work; returns what is read. */
  readonly record: (tape: Tape) => Record<string, Tensor>;
  /** A convolution's own shapes, so that samples of its result can be checked in float64. */
  readonly convolution?: ConvolutionCase;
  /** Inputs that must not be random numbers. */
  readonly inputs?: () => RunInputs;
  /** Inputs that lie on the device, one part per image, and are copied from there. */
  readonly onDevice?: readonly string[];
  /** Choices in the place of the profile's, to measure forms side by side. */
  readonly choices?: Retargeting;
}
