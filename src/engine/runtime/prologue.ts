/**
 * The prologue of a program: what depends on parameters and constants alone (packed and transformed weights)
 * is computed once, on its way through compilation.
 */

import { variantKey } from '../dispatch.ts';
import type { PlannedNode } from '../plan/plan.ts';
import type { Engine } from './engine.ts';
import type { ProgramMemory } from './memory.ts';
import { buildSteps, encodeSteps, type Step, submit } from './steps.ts';
import { allDone } from './watch.ts';

// Steps per submit. Some drivers take in new kernels only between submits (a fault of the profile
// `mesa-cpu`), so submits are short.
const stepsPerSubmit = 8;

/** Cuts a plan before every operation that needs a kernel which nothing before it needs. */
function cutAtNewKernels(plan: readonly PlannedNode[]): PlannedNode[][] {
  const known = new Set<string>();
  const parts: PlannedNode[][] = [];
  for (const planned of plan) {
    const before = known.size;
    for (const { kernel } of planned.dispatches) if (kernel !== 'copy') known.add(variantKey(kernel));
    const last = parts.at(-1);
    if (last && known.size === before) last.push(planned);
    else parts.push([planned]);
  }
  return parts;
}

/**
 * Runs a prologue in order, each part as soon as its kernels are there, so that the device is at work while
 * others are linked and compiled.
 *
 * @returns its steps, to be run again when parameters change
 */
export async function runPrologue(
  engine: Engine,
  plan: readonly PlannedNode[],
  memory: ProgramMemory,
  onPipeline: () => void,
): Promise<Step[]> {
  const { device } = engine;
  let before: Promise<void> = Promise.resolve();
  const verdicts: Promise<void>[] = [];
  const parts = cutAtNewKernels(plan).map(async (part) => {
    const earlier = before;
    const building = buildSteps(engine, part, memory, onPipeline);
    const submitted = Promise.all([building, earlier]).then(async ([steps]) => {
      const { verdict } = engine.attempt('preparing the weights of a program', () => {
        for (let i = 0; i < steps.length; i += stepsPerSubmit)
          submit(device, encodeSteps(device, steps.slice(i, i + stepsPerSubmit)));
      });
      verdicts.push(verdict);
    });
    before = submitted;
    await submitted;
    return building;
  });
  const built = await allDone(parts);
  await engine.guard(allDone(verdicts));
  return built.flat();
}
