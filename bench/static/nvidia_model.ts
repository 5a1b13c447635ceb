/**
 * The model of an NVIDIA GPU by Mesa's disassembly: slots in which one of a multiprocessor's four schedulers
 * issues an instruction. It issues one per cycle, and 32 multiply-adds of 32 bits are the most that one does;
 * what loads and integers take in their own units, and what a warp waits, is not modelled.
 */
import type { Block } from './loops.ts';
import type { Judgement, Machine, Work } from './machine.ts';

export interface NvidiaInstruction {
  /** With its modifiers: `ffma.ftz`, `st.shared.strong.cta.b128`. */
  readonly name: string;
}

/** The blocks in their order, each with the numbers of those that may follow, as the compiler lists them. */
export function parseNvidiaAssembly(text: string): Block<NvidiaInstruction>[] {
  const blocks: { name: string; number: number; code: NvidiaInstruction[]; next: number[] }[] = [];
  for (const line of text.split('\n')) {
    const [, number, name] = /^block\S* (\d+)(?: (L\d+))? \[/.exec(line) ?? [];
    if (number !== undefined) {
      blocks.push({ name: name ?? `block ${number}`, number: Number(number), code: [], next: [] });
      continue;
    }
    const block = blocks.at(-1);
    const follow = /^\} -> \[([\d, ]*)\]/.exec(line)?.[1];
    if (follow) block?.next.push(...follow.split(',').map(Number));
    // A guard, what it writes, its name; every instruction says how long the next one waits.
    const instruction = /^(?:@\S+)?\s+(?:\S.*? = )?([a-z][\w.]*).*\/\/ delay=/.exec(line)?.[1];
    if (instruction) block?.code.push({ name: instruction });
  }
  const places = new Map(blocks.map(({ number }, i) => [number, i]));
  return blocks.map(({ name, code, next }) => ({
    name,
    code,
    next: next.map((number) => places.get(number)).filter((place) => place !== undefined),
  }));
}

const warp = 32;

const multiplyAddsOf = (name: string) => (/^ffma\b/.test(name) ? 1 : /^hfma2\b/.test(name) ? 2 : 0);

function workOf(code: readonly NvidiaInstruction[]): Work {
  let [multiplyAdds, ldsBytes, memoryBytes, ldsStores] = [0, 0, 0, 0];
  for (const { name } of code) {
    multiplyAdds += multiplyAddsOf(name);
    const [, operation, space] = /^(ld|st|atom)\.(shared|global)\b/.exec(name) ?? [];
    const bytes = (warp * Number(/\.[biu](\d+)$/.exec(name)?.[1] ?? 0)) / 8;
    if (space === 'shared') ldsBytes += bytes;
    if (space === 'global') memoryBytes += bytes;
    if (space === 'shared' && operation === 'st') ldsStores++;
  }
  return { multiplyAdds, matrix: 0, vector: code.length, scalar: 0, ldsBytes, memoryBytes, ldsStores };
}

/** A scheduler that issues one instruction per cycle. */
export const nvidiaMachine: Machine<NvidiaInstruction> = {
  parse: parseNvidiaAssembly,
  work: workOf,
  judge({ multiplyAdds, vector }): Judgement {
    const useful = vector ? multiplyAdds / vector : 0;
    return { useful, ofPeak: useful, limit: 'issue', cycles: vector };
  },
};
