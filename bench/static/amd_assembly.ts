/** AMD's disassembly, as Mesa's compiler prints it: blocks of instructions, and what each one takes. */
import type { Block } from './loops.ts';

/**
 * What an instruction does: `fma` multiplies and adds in 32 or 16 bits, `vector` is other vector work,
 * `hint` takes no issue slot that matters.
 */
export type Kind =
  | 'fma'
  | 'multiply'
  | 'add'
  | 'vector'
  | 'matrix'
  | 'lds load'
  | 'lds store'
  | 'memory load'
  | 'memory store'
  | 'scalar load'
  | 'scalar'
  | 'branch'
  | 'barrier'
  | 'wait'
  | 'hint';

export interface Instruction {
  readonly kind: Kind;
  /** The name without the marks of its encoding. */
  readonly name: string;
  /** Multiply-adds of a lane. */
  readonly multiplyAdds: number;
  /** Bytes of a lane that a load or store moves. */
  readonly bytes: number;
  /** The second half of a pair that is issued at once. */
  readonly second: boolean;
}

const kinds: readonly (readonly [RegExp, Kind, multiplyAdds?: number])[] = [
  [/^v_wmma/, 'matrix'],
  [/^v_(fma|fmac|fmaak|fmamk|mac|mad|madak|madmk|macak|macmk)_(f32|f16|legacy_f32)$/, 'fma', 1],
  [/^v_(fma|mad)_mix/, 'fma', 1],
  [/^v_pk_(fma|fmac)_f(16|32)$/, 'fma', 2],
  [/^v_dot2/, 'fma', 2],
  [/^v_mul_f(32|16)$/, 'multiply'],
  [/^v_(add|sub|subrev)_f(32|16)$/, 'add'],
  [/^v_/, 'vector'],
  [/^ds_(store|write)/, 'lds store'],
  [/^ds_/, 'lds load'],
  [/^(buffer|global|flat|scratch|image|tbuffer)_.*(store|atomic)/, 'memory store'],
  [/^(buffer|global|flat|scratch|image|tbuffer)_/, 'memory load'],
  [/^s_(buffer_)?load/, 'scalar load'],
  [/^s_barrier/, 'barrier'],
  [/^s_wait_(depctr|alu)|^s_waitcnt_depctr/, 'hint'],
  [/^s_wait/, 'wait'],
  [/^s_(delay_alu|nop|clause|inst_prefetch|set_inst_prefetch|sendmsg|endpgm|code_end|setprio)/, 'hint'],
  [/^s_.*branch/, 'branch'],
  [/^s_/, 'scalar'],
];

/** Bytes of a lane, by the name of a load or store. */
function bytesOf(name: string): number {
  const one = /b128|dwordx4|xyzw/.test(name)
    ? 16
    : /b96|dwordx3|xyz/.test(name)
      ? 12
      : /b64|dwordx2|xy/.test(name)
        ? 8
        : /[ui]8\b|_byte|_d16|[bui]16|_short/.test(name)
          ? 2
          : 4;
  return /2addr|read2|write2/.test(name) ? 2 * one : one;
}

function instruction(text: string, second: boolean): Instruction {
  const name = (text.split(/\s+/)[0] ?? '')
    .replace(/^v_dual_/, 'v_')
    .replace(/_(e32|e64|dpp|sdwa|e64_dpp)$/, '');
  const [, kind, multiplyAdds = 0] = kinds.find(([pattern]) => pattern.test(name)) ?? [/^/, 'hint' as const];
  const moves = /^(lds|memory)/.test(kind);
  return { kind, name, multiplyAdds, bytes: moves ? bytesOf(name) : 0, second };
}

/** The blocks of a disassembly in their order, each with the numbers of those that may follow. */
export function parseAmdAssembly(text: string): Block<Instruction>[] {
  const found: { name: string; code: Instruction[]; targets: string[]; ends: boolean }[] = [];
  for (const raw of text.split('\n')) {
    const line = raw.replace(/;.*$/, '').trim();
    const label = /^(BB\d+):/.exec(line)?.[1];
    if (label !== undefined) {
      found.push({ name: label, code: [], targets: [], ends: false });
      continue;
    }
    const block = found.at(-1);
    if (!block || !line) continue;
    const times = /^\(then repeated (\d+) times\)/.exec(line)?.[1];
    const last = block.code.at(-1);
    if (times !== undefined) {
      if (last) for (let i = 0; i < Number(times); i++) block.code.push(last);
      continue;
    }
    line.split('::').forEach((part, i) => {
      block.code.push(instruction(part.trim(), i > 0));
    });
    const target = /\b(BB\d+)\b/.exec(line)?.[1];
    if (target !== undefined) block.targets.push(target);
    // What follows these is never reached from here.
    if (/^s_(branch|endpgm|setpc)/.test(line)) block.ends = true;
  }
  const numbers = new Map(found.map(({ name }, i) => [name, i]));
  return found.map(({ name, code, targets, ends }, i) => {
    const next = targets.map((target) => numbers.get(target)).filter((number) => number !== undefined);
    if (!ends && i + 1 < found.length) next.push(i + 1);
    return { name, code, next };
  });
}
