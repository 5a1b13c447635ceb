/** Results of the bench as they are kept: what a file holds, and its check, for it may come from anybody. */
import * as v from 'valibot';
import type { Peaks } from '../engine/plan/forecast.ts';
import { type BenchCase, caseKinds } from './case.ts';
import type { Timing } from './measure.ts';
import type { Provenance } from './provenance.ts';

/** One measured case. Optional fields are absent in records of earlier versions. */
export interface BenchResult extends Omit<Timing, 'samples_ms'>, Partial<Pick<Timing, 'samples_ms'>> {
  readonly name: string;
  readonly kind: BenchCase['kind'];
  /** How it was timed: whole runs by the clock, or kernels by GPU timestamps. */
  readonly timed_by: 'clock' | 'timestamps';
  /** How often it was measured: again where the spread was too large. The steadiest time counts. */
  readonly attempts?: number;
  /** The spread stayed too large: the machine did other work, or changed its speed. */
  readonly unsteady?: boolean;
  /** Billions of the operations that the kernels do, per second. */
  readonly gflops: number;
  /** Billions of those that direct convolutions would do instead of Winograd's, per second. */
  readonly direct_gflops?: number;
  readonly gbytes_per_s: number;
  /** FLOP per byte of operands. */
  readonly intensity: number;
  /** The roofline's time by the measured one; above 1 the kernels beat what the peaks were measured with. */
  readonly share_of_roofline: number;
  /** What most of the roofline's time is bound by. */
  readonly bound?: 'arithmetic' | 'memory';
  readonly dispatches: number;
  readonly copies: number;
  /** Pipelines that the case needs. */
  readonly pipelines: number;
  readonly peak_bytes: number;
  /** Of the parameters, which lie beside the program. */
  readonly weight_bytes: number;
  /**
   * Largest absolute difference to the reference named by `error_against`; null where it was not compared.
   */
  readonly max_abs_error: number | null;
  readonly error_against: string;
  /** The kernels of the matrix products. */
  readonly configuration: string;
}

/** A case that could not be measured. */
export interface BenchFailure {
  readonly name: string;
  readonly message: string;
}

/** The measured peaks as a file has them. */
export interface PrintedPeaks {
  readonly gflops: number;
  readonly gbytes_per_s: number;
  /** Copies by their traffic in bytes, the smallest first. */
  readonly copies?: readonly { readonly bytes: number; readonly gbytes_per_s: number }[];
}

export interface BenchReport {
  readonly record: Provenance;
  readonly adapter: {
    readonly description: string;
    readonly vendor: string;
    readonly features: readonly string[];
  };
  readonly peaks: PrintedPeaks;
  readonly results: readonly BenchResult[];
  readonly failures?: readonly BenchFailure[];
}

export function printedPeaks({ gflops, gbytesPerSecond, copies }: Peaks): PrintedPeaks {
  return {
    gflops,
    gbytes_per_s: gbytesPerSecond,
    ...(copies && {
      copies: copies.map(({ bytes, gbytesPerSecond }) => ({ bytes, gbytes_per_s: gbytesPerSecond })),
    }),
  };
}

/** Billions of bytes per second of the fastest copy that was measured. */
export function fastestCopy({ copies = [], gbytes_per_s }: PrintedPeaks): number {
  return Math.max(gbytes_per_s, ...copies.map((copy) => copy.gbytes_per_s));
}

const text = v.pipe(v.string(), v.maxLength(20_000));
const amount = v.pipe(v.number(), v.finite(), v.minValue(0));
const time = v.pipe(v.number(), v.finite(), v.gtValue(0));

const resultSchema = v.object({
  name: text,
  kind: v.picklist(caseKinds),
  timed_by: v.picklist(['clock', 'timestamps']),
  median_ms: time,
  spread: amount,
  runs: amount,
  samples_ms: v.exactOptional(v.pipe(v.array(time), v.maxLength(10_000))),
  attempts: v.exactOptional(amount),
  unsteady: v.exactOptional(v.boolean()),
  javascript_ms: amount,
  recording_ms: amount,
  gflops: amount,
  direct_gflops: v.exactOptional(amount),
  gbytes_per_s: amount,
  intensity: amount,
  share_of_roofline: amount,
  bound: v.exactOptional(v.picklist(['arithmetic', 'memory'])),
  dispatches: amount,
  copies: amount,
  pipelines: amount,
  peak_bytes: amount,
  weight_bytes: amount,
  max_abs_error: v.nullable(amount),
  error_against: text,
  configuration: text,
});

const schema = v.object({
  record: v.object({
    command: text,
    date: text,
    commit: text,
    machine: text,
    driver: text,
    node: v.nullable(text),
    load: v.nullable(v.number()),
    note: v.exactOptional(text),
  }),
  adapter: v.object({ description: text, vendor: text, features: v.pipe(v.array(text), v.maxLength(1000)) }),
  peaks: v.object({
    gflops: time,
    gbytes_per_s: time,
    copies: v.exactOptional(v.pipe(v.array(v.object({ bytes: time, gbytes_per_s: time })), v.maxLength(100))),
  }),
  results: v.pipe(v.array(resultSchema), v.maxLength(10_000)),
  failures: v.exactOptional(v.pipe(v.array(v.object({ name: text, message: text })), v.maxLength(10_000))),
});

/**
 * Results from the text of a file.
 *
 * @param where names the text in messages
 * @throws Error naming it and the field that is not as it has to be
 */
export function readReport(content: string, where: string): BenchReport {
  let data: unknown;
  try {
    data = JSON.parse(content);
  } catch (error) {
    throw new Error(`${where}: not valid JSON (${(error as Error).message})`);
  }
  const { success, output, issues } = v.safeParse(schema, data);
  if (success) return output;
  const field = v.getDotPath(issues[0]) ?? 'the file';
  throw new Error(
    `${where}: ${field}: ${issues[0].message}. It must be a file that aand bench --json or the page wrote`,
  );
}

/** Results as the text of a file: lists of numbers stay on one line. */
export function reportText(report: BenchReport): string {
  const json = JSON.stringify(report, null, 2);
  const numbers = /\[\s+(-?[\d.e+-]+(?:,\s+-?[\d.e+-]+)*)\s+\]/g;
  return `${json.replace(numbers, (_, list: string) => `[${list.replace(/\s+/g, ' ')}]`)}\n`;
}
