/** Intel's disassembly, as Mesa's compiler prints it: structured control flow with labels. */
import type { Block } from './loops.ts';

export interface IntelInstruction {
  readonly name: string;
  /** Lanes that it works on. */
  readonly lanes: number;
  /** Type of its result: `F`, `HF`, `D`, ...; empty where it has none. */
  readonly type: string;
  /** What a message does; undefined for arithmetic. */
  readonly message?: 'lds load' | 'lds store' | 'memory load' | 'memory store' | 'other';
}

/** A message, by the words after it. Surface 254 is workgroup memory before Xe2. */
function messageOf(words: string): IntelInstruction['message'] {
  if (!/surface|slm|ugm|dp data|DC /i.test(words)) return 'other';
  const stores = /write|store|atomic/i.test(words);
  if (/Surface = 254|\bslm\b/i.test(words)) return stores ? 'lds store' : 'lds load';
  return stores ? 'memory store' : 'memory load';
}

const pattern =
  /^(?:\([^)]*\) )?([a-z][\w.]*)(?: [a-z]+)?\((\d+)\)\s*(?:(?:null|[gra][\w.]*)?(?:<\d+>)?:?([A-Z]+))?/;

/** The instructions' blocks in their order, each with the numbers of those that may follow. */
export function parseIntelAssembly(text: string): Block<IntelInstruction>[] {
  const found: { labels: string[]; code: IntelInstruction[]; targets: string[] }[] = [];
  const open = () => {
    const block = { labels: [] as string[], code: [], targets: [] };
    found.push(block);
    return block;
  };
  let block: (typeof found)[number] = open();
  const lines = text.split('\n');
  lines.forEach((line, i) => {
    const label = /^(LABEL\d+):/.exec(line)?.[1];
    if (label !== undefined) {
      if (block.code.length || block.targets.length) block = open();
      block.labels.push(label);
      return;
    }
    const [, name = '', lanes = '0', type = ''] = pattern.exec(line) ?? [];
    if (!name || /^(sync|nop)$/.test(name)) return;
    const message = /^sends?/.test(name) ? messageOf(`${line} ${lines[i + 1] ?? ''}`) : undefined;
    block.code.push({ name, lanes: Number(lanes), type, ...(message && { message }) });
    const target = /^(?:\([^)]*\) )?(?:if|while|break|cont|else)\b.*?(?:UIP|JIP): +(LABEL\d+)/.exec(
      line,
    )?.[1];
    if (target !== undefined) {
      block.targets.push(target);
      block = open();
    }
  });
  const numbers = new Map(found.flatMap(({ labels }, i) => labels.map((label) => [label, i] as const)));
  return found.map(({ labels, code, targets }, i) => {
    const next = targets.map((target) => numbers.get(target)).filter((number) => number !== undefined);
    if (i + 1 < found.length) next.push(i + 1);
    return { name: labels[0] ?? `block ${i}`, code, next };
  });
}
