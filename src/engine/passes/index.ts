/**
 * The passes: from what was recorded to what runs. Takes a tape, the tensors that its program reads and the
 * device that it is for; gives the nodes that run once and those that every run repeats. No pass changes
 * results beyond rounding, and none changes the tape.
 */
import type { LoweringContext } from '../device/context.ts';
import type { Node, Tape } from '../graph/tape.ts';
import type { Tensor } from '../graph/tensor.ts';
import { addends } from './addends.ts';
import { deadNodes } from './dead_nodes.ts';
import { epilogues } from './epilogues.ts';
import { foldNorm } from './fold_norm.ts';
import { halfRuns } from './half_runs.ts';
import { halves } from './halves.ts';
import { type Pass, passContext } from './pass.ts';
import { rowLengths } from './row_lengths.ts';
import { scaleWhereRead } from './scale_where_read.ts';
import { type FusedTape, split } from './split.ts';
import { statistics } from './statistics.ts';
import { textures } from './textures.ts';
import { totals } from './totals.ts';
import { winograd } from './winograd.ts';

export type { FusedTape } from './split.ts';

/** Every pass in its order, with what it does and why it stands where it does. */
export const passes: readonly Pass[] = [
  // Drops what nobody reads: a reader that is not there any more keeps nothing from being fused.
  deadNodes,
  // Folds batch norms into the weights before: first, because products with a ReLU take in no norm.
  foldNorm,
  // Takes fixed addends out of the sum before a product: they need its residual while that is free.
  addends,
  // Gives products their residual, gate and ReLU: after all that changes what follows a product.
  epilogues,
  // Divides by the lengths of rows after their products: only those that have got no epilogue.
  rowLengths,
  // Gives 3x3 products Winograd's form: with the epilogue that they have now, which its last kernel does.
  winograd,
  // Takes the moments of batch norms in training from products: only those without an epilogue leave any.
  statistics,
  // Joins the scalars of a loss: they meet no other pass.
  totals,
  // Gives products their operands as textures: when no product changes its form any more.
  textures,
  // Leaves the scaling of folded weights to those that pack or transform them: when these are there.
  scaleWhereRead,
  // Chooses 16-bit floats: when all tensors are there, textures included.
  halves,
  // Scales weights for sums in 16 bits: when it is known which operands have 16.
  halfRuns,
];

/**
 * Runs every pass that applies, and splits what is left into prologue and run.
 *
 * @param outputs tensors that the program reads; they are never fused away
 */
export function fuse(tape: Tape, outputs: readonly Tensor[], lowering: LoweringContext): FusedTape {
  const context = passContext(tape, outputs, lowering);
  let nodes: readonly Node[] = tape.nodes;
  for (const pass of passes) if (pass.applies(context)) nodes = pass.run(nodes, context);
  return split(nodes, context);
}
