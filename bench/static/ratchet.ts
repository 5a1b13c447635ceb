/** What a check finds wrong: spills, kernels of which too few waves fit, cycles that got worse. */
import type { Family } from './families.ts';
import type { KernelFigures } from './figures.ts';

/** What a family's compiler says of every kernel: what bench/results/static-FAMILY.json holds. */
export interface FamilyFigures {
  readonly family: string;
  /** The driver with its version, on which cycles depend. */
  readonly driver: string;
  /** The profile that chose the kernels. */
  readonly profile: string;
  readonly kernels: Readonly<Record<string, KernelFigures>>;
  /** Why kernels were not compiled; absent where all were. */
  readonly failures?: Readonly<Record<string, string>>;
}

export type FindingKind = 'not compiled' | 'spill' | 'occupancy' | 'cycles';

export interface Finding {
  readonly family: string;
  readonly kernel: string;
  readonly kind: FindingKind;
  /** With the figure and what it should be. */
  readonly words: string;
}

/** Cycles may grow by so many percent of what was recorded. */
const cyclesTolerance = 3;

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

/** What is wrong with a kernel by itself. */
function ownFindings(kernel: string, figures: KernelFigures, family: Family): Finding[] {
  const { spills, fills = 0, scratch = 0, occupancy } = figures;
  const found: Finding[] = [];
  const add = (kind: FindingKind, words: string) => found.push({ family: family.name, kernel, kind, words });
  if (spills || fills) add('spill', `${spills} spills, ${fills} fills`);
  else if (scratch) add('spill', `${scratch} bytes of a lane in memory`);
  const least = family.leastWaves;
  if (least !== undefined && occupancy !== undefined && occupancy < least)
    add('occupancy', `${occupancy} waves per SIMD, at least ${least} are wanted`);
  return found;
}

/** Where cycles are comparable: both of one driver. */
export function comparable(now: FamilyFigures, recorded: FamilyFigures): boolean {
  return now.driver === recorded.driver;
}

/** What got slower than recorded, by the compiler's own count. */
function worse(kernel: string, now: KernelFigures, before: KernelFigures, family: Family): Finding[] {
  if (now.cycles === undefined || !before.cycles) return [];
  if (100 * now.cycles <= (100 + cyclesTolerance) * before.cycles) return [];
  const growth = now.cycles / before.cycles - 1;
  const words = `${now.cycles} cycles, recorded ${before.cycles}: ${percent(growth)} more`;
  return [{ family: family.name, kernel, kind: 'cycles', words }];
}

/**
 * Everything that is wrong.
 *
 * @param recorded figures to compare cycles with; of another driver they are not compared
 */
export function findings(family: Family, now: FamilyFigures, recorded: FamilyFigures | undefined): Finding[] {
  const before = recorded && comparable(now, recorded) ? recorded.kernels : {};
  const failures = Object.entries(now.failures ?? {}).map(
    ([kernel, words]): Finding => ({ family: family.name, kernel, kind: 'not compiled', words }),
  );
  const others = Object.entries(now.kernels).flatMap(([kernel, figures]) => {
    const old = before[kernel];
    return [...ownFindings(kernel, figures, family), ...(old ? worse(kernel, figures, old, family) : [])];
  });
  return [...failures, ...others];
}
