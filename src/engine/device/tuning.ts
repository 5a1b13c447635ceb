/** What `aand tune` found on a device: plain data, whose entries decide before a profile's table does. */
import { kernelDigest } from '../../../kernels/generated.ts';
import type { AdapterDescription } from './adapter.ts';
import { type LoweringContext, rewritesOf } from './context.ts';
import type { MatrixKernel, MatrixProblem } from './families.ts';

export interface TunedEntry {
  readonly configuration: MatrixKernel;
  readonly milliseconds: number;
  /** Time of what the table would have chosen. */
  readonly tableMilliseconds: number;
}

export interface Tuning {
  /** The device, its profile and the kernels that the entries were measured with; others ignore them. */
  readonly fingerprint: string;
  readonly entries: Readonly<Record<string, TunedEntry>>;
}

/** Problems of one bucket (sizes within a power of two) share a tuned kernel. */
export function tuningKey({ family, rows, columnQuads, depth }: MatrixProblem): string {
  return [family, ...[rows, columnQuads, depth].map((size) => Math.round(Math.log2(Math.max(size, 1))))].join(
    '/',
  );
}

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
    kernelDigest,
  ].join('; ');
}

/**
 * The kernels of a tuning that belongs to this device; undefined for one of another device or older kernels.
 */
export function tunedKernels(tuning: Tuning, device: TuningDevice): Record<string, MatrixKernel> | undefined {
  if (tuning.fingerprint !== tuningFingerprint(device)) return undefined;
  return Object.fromEntries(
    Object.entries(tuning.entries).map(([key, { configuration }]) => [key, configuration]),
  );
}
