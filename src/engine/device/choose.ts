/** The choices of a program: what is forced, then what the tuner found, then the profile's table. */
import { type LoweringContext, rewritesOf } from './context.ts';
import {
  type ChosenProduct,
  type MatrixKernel,
  type MatrixProblem,
  sumsHalfRuns,
  type WinogradProblem,
  type WinogradTile,
} from './families.ts';
import { tuningKey } from './tuning.ts';

/** The kernel of a matrix product. */
export function chooseMatrixKernel(problem: MatrixProblem, context: LoweringContext): MatrixKernel {
  const { profile, target, tuned, force } = context;
  const forced = force?.[problem.family];
  // A kernel that is forced for 16-bit operands does not take others.
  if (forced && (problem.halfRuns || !sumsHalfRuns(forced))) return forced;
  const table = profile.kernels[problem.family].choose(problem, target, rewritesOf(context));
  // The tuner measures single products of 32-bit operands, and knows nothing of others.
  if (problem.batched || table.operands === 'f16') return table;
  return tuned?.[tuningKey(problem)] ?? table;
}

/** Ranges that a product's sum is cut into. */
export function chooseSplits(
  family: MatrixProblem['family'],
  workgroups: number,
  length: number,
  { profile, target, force }: LoweringContext,
  product: ChosenProduct,
): number {
  const forced = family === 'convolution' ? force?.splits : undefined;
  return forced ?? profile.kernels[family].splits(workgroups, length, target, product);
}

/**
 * Tiles of Winograd's form that pay for their transforms, the best first; none: the direct form is faster.
 */
export function chooseWinogradTiles(
  problem: WinogradProblem,
  context: LoweringContext,
): readonly WinogradTile[] {
  const { profile, target } = context;
  return profile.kernels.winograd.tiles(problem, target, rewritesOf(context));
}
