/**
 * The model of an Intel GPU: cycles in which a thread's vector engine is taken. Messages to memory and to
 * workgroup memory go their own way and cost one cycle here; what they wait is not modelled.
 */
import { type IntelInstruction, parseIntelAssembly } from './intel_assembly.ts';
import { findLoops, nested } from './loops.ts';
import type { Judgement, Machine, Work } from './machine.ts';

const isMultiplyAdd = ({ name, type }: IntelInstruction) => name === 'mad' && /^H?F$/.test(type);

function cycles({ lanes, type, message }: IntelInstruction, engineLanes: number): number {
  if (message) return 1;
  // 16 bits go at twice the rate.
  return Math.max(1, lanes / (engineLanes * (type === 'HF' ? 2 : 1)));
}

function workOf(code: readonly IntelInstruction[], engineLanes: number, subgroup: number): Work {
  let [multiplyAdds, vector, ldsBytes, memoryBytes, ldsStores] = [0, 0, 0, 0, 0];
  for (const instruction of code) {
    const { lanes, message } = instruction;
    vector += cycles(instruction, engineLanes);
    if (isMultiplyAdd(instruction)) multiplyAdds += lanes / subgroup;
    if (message?.startsWith('lds')) ldsBytes += 16 * lanes;
    if (message?.startsWith('memory')) memoryBytes += 16 * lanes;
    if (message === 'lds store') ldsStores++;
  }
  return { multiplyAdds, matrix: 0, vector, scalar: 0, ldsBytes, memoryBytes, ldsStores };
}

/**
 * A vector engine that computes so many lanes of 32 bits in a cycle.
 *
 * @param subgroup lanes that the kernel was compiled with
 */
export function intelMachine(engineLanes: number, subgroup: number): Machine<IntelInstruction> {
  return {
    parse: parseIntelAssembly,
    work: (code) => workOf(code, engineLanes, subgroup),
    judge({ multiplyAdds, vector }): Judgement {
      const useful = vector ? (multiplyAdds * subgroup) / (vector * engineLanes) : 0;
      return { useful, ofPeak: useful, limit: 'vector', cycles: vector };
    },
  };
}

// What the compiler's own count takes for the turns of a loop.
const guessedTurns = 10;
const lanesOfProduct = 8;

/**
 * The compiler's cycles per multiply-add of eight lanes, with the turns that the compiler guesses for loops
 * counted for the multiply-adds too; undefined where there are none.
 */
export function intelCyclesPerMultiplyAdd(assembly: string, compilerCycles: number): number | undefined {
  const blocks = parseIntelAssembly(assembly);
  const loops = findLoops(blocks).flatMap(nested);
  const products = blocks.reduce((sum, { code }, i) => {
    const depth = loops.filter(({ body }) => body.has(i)).length;
    const lanes = code.filter(isMultiplyAdd).reduce((all, instruction) => all + instruction.lanes, 0);
    return sum + (guessedTurns ** depth * lanes) / lanesOfProduct;
  }, 0);
  return products ? compilerCycles / products : undefined;
}
