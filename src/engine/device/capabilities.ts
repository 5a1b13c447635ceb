/**
 * What a device offers beyond WebGPU's core, what it is used for, and why not: takes what an engine says of
 * itself, gives a line of words for each. For `aand doctor`.
 */
import { longestHalfRun } from '../../../kernels/sizes.ts';
import type { Toggles } from '../../platform/toggles.ts';
import { type AdapterDescription, subgroupMatrixFeature } from './adapter.ts';
import { sumsHalfRuns } from './families.ts';
import { matrixUnits } from './matrix_units.ts';
import type { DeviceProfile } from './profile.ts';
import { choosesLanes, type MatrixUnit, type Target } from './target.ts';

/** What the lines are made of: an engine has it. */
export interface Capabilities {
  readonly adapter: AdapterDescription;
  readonly profile: DeviceProfile;
  readonly target: Target;
  readonly toggles: Toggles;
  /** Why matrix units that the adapter offers are not used. */
  readonly matrixFaults: readonly string[];
}

/** Lanes of a subgroup: whether they are chosen or reported, or why kernels do without. */
export function describeSubgroups({ adapter, target }: Capabilities): string {
  const { least, most } = adapter.subgroupSizes;
  const { subgroupSize: size, subgroupSizeControl } = target;
  const range = `${least} to ${most} lanes`;
  if (!adapter.features.includes('subgroups')) return 'not used: the adapter does not offer them';
  if (choosesLanes(target)) return `${size} lanes, chosen by the profile among ${range}`;
  if (size > 0) return `${size} lanes, the only number that the adapter reports`;
  if (subgroupSizeControl) return `left to the driver: the profile chooses none among ${range}`;
  return `not used: ${range}, and kernels cannot choose (no subgroup-size-control)`;
}

// A middle layer of a resnet.
const typicalProduct = {
  family: 'convolution',
  rows: 4096,
  imageRows: 4096,
  columnQuads: 16,
  depth: 144,
  half: true,
  halfRuns: true,
} as const;

/** 16-bit floats: whether they are there, and in how many bits convolutions multiply and add them. */
export function describeHalf({ adapter, profile, target, toggles }: Capabilities): string {
  if (!target.half) return 'not available: the adapter does not offer shader-f16; use --dtype f32';
  const toggle = toggles.enabled.find((name) => name.includes('f16'));
  const how = adapter.vendor === 'nvidia' && toggle ? ` (by the toggle ${toggle})` : '';
  const kernel = profile.kernels.convolution.choose(typicalProduct, target, { textures: false });
  const arithmetic = sumsHalfRuns(kernel)
    ? `products, and sums of up to ${longestHalfRun} of them, in 16 bits; sums of these in 32`
    : 'products and sums in 32 bits';
  const units = kernel.module === 'conv2d_matrix' ? 'by matrix units' : arithmetic;
  return `available, for --dtype f16${how}: ${units}`;
}

const nameOf = ({ component, rows, columns, depth }: MatrixUnit) =>
  `${component} ${rows}x${columns}x${depth}`;

/** Matrix units: which are used and for what, or why none is. */
export function describeMatrixUnits({ adapter, target, matrixFaults }: Capabilities): string {
  const listed = adapter.matrixProducts.map(
    ({ componentType, resultComponentType, M, N, K }) =>
      `${componentType} ${M}x${N}x${K} with ${resultComponentType} sums`,
  );
  if (!adapter.features.includes(subgroupMatrixFeature))
    return 'not used: the adapter offers no subgroup matrices';
  const fitting = matrixUnits(adapter.matrixProducts);
  if (!fitting.length)
    return `not used: kernels need f32 sums of f16 or f32, the adapter has ${listed.join(', ') || 'none'}`;
  const used = target.matrixUnits ?? [];
  if (!used.length)
    return `not used: ${matrixFaults.join('; ') || `${fitting.map(nameOf).join(', ')} offered`}`;
  const units = used.map((unit) =>
    unit.component === 'f16'
      ? `${nameOf(unit)} (convolutions with --dtype f16)`
      : `${nameOf(unit)} (convolutions with --dtype f16, and of 32 bits with --subgroup-matrices)`,
  );
  return [...units, ...matrixFaults].join('; ');
}

/** Dawn's toggles in force. */
export function describeToggles({ toggles: { enabled, disabled } }: Capabilities): string {
  const names = [...enabled.map((name) => `${name} on`), ...disabled.map((name) => `${name} off`)];
  return names.join(', ') || "none: Dawn's own choice";
}

/** All lines, with their names. */
export function describeCapabilities(of: Capabilities): readonly (readonly [name: string, text: string])[] {
  return [
    ['subgroups', describeSubgroups(of)],
    ['f16', describeHalf(of)],
    ['matrix units', describeMatrixUnits(of)],
    ['toggles', describeToggles(of)],
  ];
}
