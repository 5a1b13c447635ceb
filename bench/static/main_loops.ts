/**
 * The main loop of kernels whose cycles are not modelled here (Adreno, Mali): how many instructions a turn
 * takes for each of its multiply-adds. Loops are what lies between a place and a jump back to it.
 */
import type { Vendor } from './families.ts';

interface Instruction {
  /** Issued this often, waiting slots included. */
  readonly count: number;
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

function mali(text: string): Listing {
  const lines = text.split('\n').filter((line) => line.trim());
  const instructions = lines.map((line, i): Instruction => {
    const offset = /BRANCHZ.*offset:(-?\d+)/.exec(line)?.[1];
    return {
      count: 1,
      multiplyAdds: /\bFMA\.v2f16/.test(line) ? 2 : /\bFMA\.f32/.test(line) ? 1 : 0,
      ...(offset && { target: i + 1 + Number(offset) }),
    };
  });
  return { instructions, labels: new Map() };
}

const readers: Partial<Record<Vendor, (text: string) => Listing>> = { adreno, mali };

/** Vendors whose disassembly {@link instructionsPerMultiplyAdd} reads. */
export const readsMainLoop = (vendor: Vendor): boolean => readers[vendor] !== undefined;

/** A turn of the loop that multiplies most of those without a loop inside. */
export interface MainLoop {
  readonly multiplyAdds: number;
  /** Instructions for each multiply-add. */
  readonly instructions: number;
}

/** Undefined where nothing multiplies in a loop, or the vendor's disassembly is not read. */
export function instructionsPerMultiplyAdd(vendor: Vendor, assembly: string): MainLoop | undefined {
  const listing = readers[vendor]?.(assembly);
  if (!listing) return undefined;
  const { instructions, labels } = listing;
  const loops = instructions.flatMap(({ target }, end) => {
    const start = typeof target === 'string' ? labels.get(target) : target;
    return start !== undefined && start <= end ? [{ start, end }] : [];
  });
  const innermost = loops.filter(
    (outer) =>
      !loops.some(
        ({ start, end }) => start >= outer.start && end <= outer.end && end - start < outer.end - outer.start,
      ),
  );
  const turns = innermost.map(({ start, end }) => {
    const code = instructions.slice(start, end + 1);
    const sum = (of: (instruction: Instruction) => number) => code.reduce((all, each) => all + of(each), 0);
    const multiplyAdds = sum((each) => each.multiplyAdds);
    return { multiplyAdds, instructions: sum((each) => each.count) / multiplyAdds };
  });
  return turns
    .filter(({ multiplyAdds }) => multiplyAdds > 0)
    .sort((a, b) => b.multiplyAdds - a.multiplyAdds)[0];
}
