/** What `aand tune` found on a device: plain data, whose entries decide before a profile's table does. */
import { kernelDigest } from '../../../kernels/generated.ts';
import type { AdapterDescription } from './adapter.ts';
import { type LoweringContext, rewritesOf } from './context.ts';
import { describeKernel, type MatrixKernel, type MatrixProblem } from './families.ts';

export interface TunedEntry {
  /** Absent: the table goes by the batch, and no kernel is faster in each of the batches. */
  readonly configuration?: MatrixKernel;
  /** Of a run in every batch that was measured, added up. */
  readonly milliseconds: number;
  /** Time of what the table would have chosen. */
  readonly tableMilliseconds: number;
}

export interface Tuning {
  /** The device, its profile and the kernels that the entries were measured with; others ignore them. */
  readonly fingerprint: string;
  readonly entries: Readonly<Record<string, TunedEntry>>;
}

/** Sizes within a power of two share one. */
export function sizeBucket(size: number): number {
  return Math.round(Math.log2(Math.max(size, 1)));
}

/**
 * Problems of one bucket share a tuned kernel. Convolutions go by the rows of one image: so the kernel, the
 * order of its sums and the bits of an image's result are the same in every batch. Weight gradients sum over
 * the images of a batch, and go by all of their pixels.
 */
export function tuningKey({ family, rows, imageRows = rows, columnQuads, depth }: MatrixProblem): string {
  return [family, ...[imageRows, columnQuads, depth].map(sizeBucket)].join('/');
}

/** What `aand tune` found, in one line for a person. */
export function describeEntry({ configuration }: TunedEntry): string {
  return configuration ? describeKernel(configuration) : "the table's kernel of each batch";
}

// What keys mean, since they go by one image: tunings by other keys have another fingerprint.
const keys = 'convolutions by one image';

/** What a tuning belongs to. */
interface TuningDevice {
  readonly adapter: AdapterDescription;
  readonly lowering: LoweringContext;
}

/** Device, profile, features and a hash of all kernel sources. */
export function tuningFingerprint({ adapter, lowering }: TuningDevice): string {
  const { vendor, architecture, description } = adapter;
  const { profile, target } = lowering;
  return [
    vendor,
    architecture,
    description,
    `profile ${profile.name}`,
    `subgroup ${target.subgroupSize}${target.subgroupSizeControl ? ', any that kernels ask for' : ''}`,
    `textures ${rewritesOf(lowering).textures}`,
    `weight textures ${rewritesOf(lowering).weightTextures}`,
    ...(target.matrixUnits ?? []).map(
      ({ component, rows, columns, depth }) => `${component} units ${rows}x${columns}x${depth}`,
    ),
    keys,
    kernelDigest,
  ].join('; ');
}

/**
 * The kernels of a tuning that belongs to this device; undefined for one of another device or older kernels.
 */
export function tunedKernels(tuning: Tuning, device: TuningDevice): Record<string, MatrixKernel> | undefined {
  if (tuning.fingerprint !== tuningFingerprint(device)) return undefined;
  return Object.fromEntries(
    Object.entries(tuning.entries).flatMap(([key, { configuration }]) =>
      configuration ? [[key, configuration]] : [],
    ),
  );
}
