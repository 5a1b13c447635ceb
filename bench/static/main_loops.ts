/**
 * K steps of kernels whose cycles are not modelled here (Adreno, Mali): how many instructions a step takes
 * for each of its multiply-adds, and on Mali how long the busiest unit works. Loops are what lies between a
 * place and a jump back to it.
 */
import type { Vendor } from './families.ts';

/** Units of a Mali core, with what each does in a cycle: the rates that Mesa's own statistics divide by. */
const maliRates = { fma: 64, cvt: 64, sfu: 16, texture: 4, loadStore: 1 } as const;
type MaliUnit = keyof typeof maliRates;

interface Instruction {
  /** Issued this often, waiting slots included. */
  readonly count: number;
  /** Where it runs, on Mali; none for barriers. */
  readonly unit?: MaliUnit;
  readonly multiplyAdds: number;
  /** Name or number of the place that it may jump to. */
  readonly target?: string | number;
}

interface Listing {
  readonly instructions: readonly Instruction[];
  /** Number of the instruction behind each label. */
  readonly labels: ReadonlyMap<string, number>;
}

function adreno(text: string): Listing {
  const instructions: Instruction[] = [];
  const labels = new Map<string, number>();
  for (const line of text.split('\n').map((each) => each.trim())) {
    const label = /^(l\d+):/.exec(line)?.[1];
    if (label) labels.set(label, instructions.length);
    const match = /^((?:\((?:\w|!)+\))*)\s*([a-z][\w.]*)/.exec(line);
    if (label || !match || line.startsWith('Native code')) continue;
    const [, flags = '', name = ''] = match;
    const repeats = 1 + Number(/\(rpt(\d+)\)/.exec(flags)?.[1] ?? 0);
    const target = /^(?:br|jump)/.test(name) ? /#(l\d+)/.exec(line)?.[1] : undefined;
    instructions.push({
      count: repeats + Number(/\(nop(\d+)\)/.exec(flags)?.[1] ?? 0),
      multiplyAdds: /^mad\.f(?:16|32)$/.test(name) ? repeats : 0,
      ...(target && { target }),
    });
  }
  return { instructions, labels };
}

/** Which unit runs an instruction of Mali; so counted, kernels have the figures that the driver prints. */
export function maliUnit(line: string): MaliUnit | undefined {
  const [name = ''] = line.trim().split(/[.\s]/);
  if (name === 'FADD' || name === 'FMA') return 'fma';
  if (/^(?:LD_|ST_|LEA_|LOAD|STORE|ATOM)/.test(name)) return 'loadStore';
  if (name.startsWith('TEX')) return 'texture';
  if (/^(?:[LRA]+SHIFT|IMUL|FRCP|FRSQ|FEXP|FLOG)/.test(name)) return 'sfu';
  return name === 'BARRIER' ? undefined : 'cvt';
}

function mali(text: string): Listing {
  const lines = text.split('\n').filter((line) => line.trim());
  const instructions = lines.map((line, i): Instruction => {
    const unit = maliUnit(line);
    const offset = /BRANCHZ.*offset:(-?\d+)/.exec(line)?.[1];
    return {
      count: 1,
      ...(unit && { unit }),
      multiplyAdds: /\bFMA\.v2f16/.test(line) ? 2 : /\bFMA\.f32/.test(line) ? 1 : 0,
      ...(offset && { target: i + 1 + Number(offset) }),
    };
  });
  return { instructions, labels: new Map() };
}

const readers: Partial<Record<Vendor, (text: string) => Listing>> = { adreno, mali };

/** Vendors whose disassembly {@link kStep} reads. */
export const readsKStep = (vendor: Vendor): boolean => readers[vendor] !== undefined;

/**
 * Turns of the main loop in a K step: 32 values, a quad per turn, as tfjs writes them. Loops beside it and
 * what lies around both run once in a step.
 */
export const turnsInStep = 8;

/** A K step of the loop that multiplies most of those without a loop inside. */
export interface KStep {
  /** Of a turn of that loop. */
  readonly multiplyAdds: number;
  /** Instructions of a step for each multiply-add. */
  readonly instructions: number;
  /** Cycles of the busiest unit for each multiply-add of a step (Mali). */
  readonly unitCycles?: number;
  readonly unit?: string;
}

interface Loop {
  readonly start: number;
  readonly end: number;
}

const inside = (inner: Loop, outer: Loop) =>
  inner.start >= outer.start && inner.end <= outer.end && inner.end - inner.start < outer.end - outer.start;

/** Undefined where nothing multiplies in a loop, or the vendor's disassembly is not read. */
export function kStep(vendor: Vendor, assembly: string): KStep | undefined {
  const listing = readers[vendor]?.(assembly);
  if (!listing) return undefined;
  const { instructions, labels } = listing;
  const loops = instructions.flatMap(({ target }, end): Loop[] => {
    const start = typeof target === 'string' ? labels.get(target) : target;
    return start !== undefined && start <= end ? [{ start, end }] : [];
  });
  const codeOf = ({ start, end }: Loop) => instructions.slice(start, end + 1);
  const multiplied = (loop: Loop) => codeOf(loop).reduce((sum, { multiplyAdds }) => sum + multiplyAdds, 0);
  const main = loops
    .filter((loop) => !loops.some((other) => inside(other, loop)))
    .sort((a, b) => multiplied(b) - multiplied(a))[0];
  if (!main || !multiplied(main)) return undefined;
  const around = loops
    .filter((loop) => inside(main, loop))
    .sort((a, b) => a.end - a.start - (b.end - b.start))[0];
  const once = around
    ? [...codeOf({ ...around, end: main.start - 1 }), ...codeOf({ ...around, start: main.end + 1 })]
    : [];
  const perStep = (of: (instruction: Instruction) => number) =>
    (turnsInStep * codeOf(main).reduce((sum, each) => sum + of(each), 0) +
      once.reduce((sum, each) => sum + of(each), 0)) /
    (turnsInStep * multiplied(main));
  const units = (Object.keys(maliRates) as MaliUnit[]).map((name) => ({
    unitCycles: perStep(({ unit, count }) => (unit === name ? count : 0)) / maliRates[name],
    unit: name,
  }));
  const busiest = units.reduce((most, each) => (each.unitCycles > most.unitCycles ? each : most));
  return {
    multiplyAdds: multiplied(main),
    instructions: perStep(({ count }) => count),
    ...(vendor === 'mali' && busiest),
  };
}
