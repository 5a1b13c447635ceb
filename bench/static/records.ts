/** What a compiling process leaves, line by line, and how it is read again. */
import type { Target } from '../../src/engine/device/target.ts';
import type { StepShape } from './kernel.ts';
import type { ModelledDispatch } from './programs.ts';

export interface CompileRequest {
  /** Only kernels whose name contains this. */
  readonly filter: string;
  /** Only the convolutions of resnet18 at these batches, for the model of times. */
  readonly modelled?: readonly number[];
  /** At WebGPU's default limits, without optional features. */
  readonly minimal: boolean;
  /** What the adapter says of itself in place of what the driver says. */
  readonly adapter: Readonly<Record<string, string>>;
}

/** The engine as the process opened it. */
export interface Opened {
  readonly driver: string;
  readonly profile: string;
  readonly target: Target;
}

/** A kernel as a compiler left it. */
export interface CompiledKernel {
  readonly label: string;
  readonly programs: readonly string[];
  /** Of matrix products: what a thread does in a step of the sum. */
  readonly shape?: StepShape;
  /** Lanes of a subgroup; 0 where the compiler does not tell. */
  readonly subgroup: number;
  /** The compiler's figures by its own names. */
  readonly statistics: Readonly<Record<string, number>>;
  readonly assembly?: string;
  /** A line of figures that the driver printed (Mali, Apple). */
  readonly printed?: string;
  /** Why it was not compiled. */
  readonly failure?: string;
}

/** The convolutions of resnet18 at a batch. */
export interface ModelledWork {
  readonly batch: number;
  readonly dispatches: readonly ModelledDispatch[];
}

export interface CompileRecord {
  readonly opened: Opened;
  readonly modelled: readonly ModelledWork[];
  readonly kernels: readonly CompiledKernel[];
}

interface Line {
  readonly modelled?: ModelledWork;
  readonly opened?: Opened;
  readonly label?: string;
  readonly programs?: readonly string[];
  readonly shape?: StepShape;
  readonly failure?: string;
  readonly subgroup?: number;
  readonly statistics?: Readonly<Record<string, number>>;
  readonly assembly?: string;
}

function parsed(line: string): Line {
  return line.startsWith('{') ? (JSON.parse(line) as Line) : {};
}

/** Lines of figures in the standard error, by the kernel that was being compiled. */
export function printedFigures(errors: string): Map<string, string> {
  const found = new Map<string, string>();
  let label: string | undefined;
  for (const line of errors.split('\n')) {
    if (line.startsWith('{')) label = parsed(line).label ?? label;
    const figures = /^SHADER-DB.*?shader: (.*)$/.exec(line)?.[1];
    if (figures && label !== undefined && !found.has(label)) found.set(label, figures);
  }
  return found;
}

/**
 * Reads the record of a process.
 *
 * @param errors its standard error
 * @throws Error where it opened no engine
 */
export function readRecord(text: string, errors: string): CompileRecord {
  const printed = printedFigures(errors);
  let opened: Opened | undefined;
  const modelled: ModelledWork[] = [];
  const kernels = new Map<string, CompiledKernel>();
  let open: Pick<CompiledKernel, 'label' | 'programs' | 'shape'> | undefined;
  for (const line of text.split('\n').map(parsed)) {
    if (line.opened) opened = line.opened;
    else if (line.modelled) modelled.push(line.modelled);
    else if (line.label !== undefined) {
      const { label, programs = open?.programs ?? [], shape, failure } = line;
      open = { label, programs, ...(shape && { shape }) };
      if (failure !== undefined) kernels.set(label, { ...open, subgroup: 0, statistics: {}, failure });
    } else if (line.statistics && open) {
      // Dawn's own kernels come without a name; what is compiled first after a name bears it.
      const figures = printed.get(open.label);
      kernels.set(open.label, {
        ...open,
        subgroup: line.subgroup ?? 0,
        statistics: line.statistics,
        ...(line.assembly !== undefined && { assembly: line.assembly }),
        ...(figures !== undefined && { printed: figures }),
      });
      open = undefined;
    }
  }
  if (!opened) throw new Error(`no engine was opened: ${errors.trim().slice(-500)}`);
  return { opened, modelled, kernels: [...kernels.values()] };
}
