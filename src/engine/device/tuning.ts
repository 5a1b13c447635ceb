/** What `aand tune` found on a device: plain data, whose entries decide before the tables do. */
import { kernelModules } from '../../../kernels/index.ts';
import type { AdapterDescription } from './adapter.ts';
import type { GemmConfiguration, GemmProblem, Target } from './target.ts';

export interface TunedEntry {
  readonly configuration: GemmConfiguration;
  readonly milliseconds: number;
  /** Time of what the table would have chosen. */
  readonly tableMilliseconds: number;
}

export interface Tuning {
  /** The device and the kernels that the entries were measured with; others ignore them. */
  readonly fingerprint: string;
  readonly entries: Readonly<Record<string, TunedEntry>>;
}

/** Problems of one bucket (sizes within a power of two) share a tuned configuration. */
export function tuningKey({ family, rows, columnQuads, depth }: GemmProblem): string {
  return [family, ...[rows, columnQuads, depth].map((size) => Math.round(Math.log2(Math.max(size, 1))))].join(
    '/',
  );
}

/** What a tuning belongs to. */
interface TuningDevice {
  readonly adapter: AdapterDescription;
  readonly target: Target;
}

/** Device, features and a hash of all kernel sources. */
export function tuningFingerprint({ adapter, target }: TuningDevice): string {
  let hash = 0x811c9dc5;
  for (const text of Object.values(kernelModules))
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  const { vendor, architecture, description } = adapter;
  const { subgroupSize, textures, matrixUnits = [] } = target;
  return [
    vendor,
    architecture,
    description,
    `subgroup ${subgroupSize}`,
    `textures ${textures}`,
    ...matrixUnits.map(
      ({ component, rows, columns, depth }) => `${component} units ${rows}x${columns}x${depth}`,
    ),
    (hash >>> 0).toString(16),
  ].join('; ');
}

/**
 * The configurations of a tuning that belongs to this device; undefined for one of another device or older
 * kernels.
 */
export function tunedConfigurations(
  tuning: Tuning,
  device: TuningDevice,
): Record<string, GemmConfiguration> | undefined {
  if (tuning.fingerprint !== tuningFingerprint(device)) return undefined;
  return Object.fromEntries(
    Object.entries(tuning.entries).map(([key, { configuration }]) => [key, configuration]),
  );
}
