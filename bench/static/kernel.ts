/** The loops of a kernel with what a turn of each takes: which is the main loop, which the K step. */
import { findLoops, type Loop, nested, ownBlocks } from './loops.ts';
import { addWork, type Judgement, type Machine, noWork, type Work } from './machine.ts';

export interface MeasuredLoop {
  readonly loop: Loop;
  /** A turn, without the loops inside. */
  readonly own: Work;
}

export interface AnalysedKernel {
  /** Outside all loops. */
  readonly straight: Work;
  /** All loops, outer ones before those inside. */
  readonly loops: readonly MeasuredLoop[];
  judge(work: Work): Judgement;
}

/** Both sides of a branch count. */
export function analyse<I>(assembly: string, machine: Machine<I>): AnalysedKernel {
  const blocks = machine.parse(assembly);
  const workOf = (members: readonly number[]) => machine.work(members.flatMap((i) => blocks[i]?.code ?? []));
  const outermost = findLoops(blocks);
  const loops = outermost.flatMap(nested).map((loop) => ({ loop, own: workOf(ownBlocks(loop)) }));
  const outside = [...blocks.keys()].filter((i) => !outermost.some(({ body }) => body.has(i)));
  return { loops, straight: workOf(outside), judge: (work) => machine.judge(work) };
}

const weight = ({ own }: MeasuredLoop): number => own.multiplyAdds + 1000 * own.matrix;

/** The loop whose turns multiply most; undefined where none does. */
export function mainLoop({ loops }: AnalysedKernel): MeasuredLoop | undefined {
  const best = loops.reduce<MeasuredLoop | undefined>(
    (most, loop) => (most && weight(most) >= weight(loop) ? most : loop),
    undefined,
  );
  return best && weight(best) > 0 ? best : undefined;
}

/** What a thread does in a step of the sum, as the operation knows it. */
export interface StepShape {
  /** Multiply-adds of a thread. */
  readonly multiplyAdds: number;
  /** Quads that a thread brings into workgroup memory: of the rows, then of the columns. */
  readonly stores: readonly [number, number];
}

export interface Step {
  readonly loop: Loop;
  /** A turn with all that is inside. */
  readonly work: Work;
  /** How often a loop right inside it turns. */
  turnsOf(loop: Loop): number;
}

/**
 * How often the loops turn that bring quads into workgroup memory. Two of them bring the rows' quads, then
 * the columns'; otherwise they share what the step's own code leaves to them.
 */
function turnsOfBringing(
  bringing: readonly MeasuredLoop[],
  ownStores: number,
  stores: StepShape['stores'],
): (loop: MeasuredLoop) => number {
  if (bringing.length === 2 && !ownStores)
    return (loop) => {
      const number = bringing.indexOf(loop);
      return number < 0 ? 1 : (stores[number] as number) / loop.own.ldsStores;
    };
  const together = bringing.reduce((sum, { own }) => sum + own.ldsStores, 0);
  const left = Math.max(0, stores[0] + stores[1] - ownStores);
  return (loop) => (bringing.includes(loop) ? left / together : 1);
}

/**
 * The K step: one turn of the loop around the main loop, or of the main loop itself where that brings what it
 * multiplies into workgroup memory too.
 */
export function stepOf(kernel: AnalysedKernel, shape: StepShape): Step | undefined {
  const main = mainLoop(kernel);
  if (!main) return undefined;
  const turns = main.own.matrix
    ? 1
    : Math.max(1, Math.round(shape.multiplyAdds / Math.max(main.own.multiplyAdds, 1)));
  const around = kernel.loops.find(({ loop }) => loop.inner.includes(main.loop));
  const isStep = !around || main.own.ldsStores > 0 || main.loop.inner.length > 0;
  const step = isStep ? main : around;
  const sides = kernel.loops.filter(({ loop }) => step.loop.inner.includes(loop) && loop !== main.loop);
  const bringing = sides.filter(({ own }) => own.ldsStores > 0);
  const timesOf = turnsOfBringing(bringing, step.own.ldsStores, shape.stores);
  let work = step.own;
  if (!isStep) work = addWork(work, main.own, turns);
  for (const side of sides) {
    const inner = nested(side.loop).slice(1);
    const whole = inner.reduce(
      (sum, loop) => addWork(sum, kernel.loops.find((each) => each.loop === loop)?.own ?? noWork),
      side.own,
    );
    work = addWork(work, whole, timesOf(side));
  }
  const turnsOf = (loop: Loop) => {
    if (loop === main.loop) return turns;
    const side = sides.find((each) => each.loop === loop);
    return side ? timesOf(side) : 1;
  };
  return { loop: step.loop, work, turnsOf };
}
