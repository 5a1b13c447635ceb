/** What `aand doctor` says of a device's abilities, on made-up adapters. */
import { describe, expect, test } from 'vitest';
import { describeAdapter } from '../src/engine/device/adapter.ts';
import { type Capabilities, describeCapabilities } from '../src/engine/device/capabilities.ts';
import { matrixUnits } from '../src/engine/device/matrix_units.ts';
import { profileOf } from '../src/engine/device/profiles.ts';
import { noToggles } from '../src/platform/toggles.ts';
import { offered } from './support/targets.ts';

interface MadeUp {
  readonly vendor: string;
  readonly lanes: readonly [least: number, most: number];
  readonly features: readonly string[];
  readonly products?: readonly [operands: string, sums: string, side: number][];
}

const matrices = 'chromium-experimental-subgroup-matrix';

/** As an engine on that adapter says it. */
function linesOf(
  { vendor, lanes: [least, most], features, products = [] }: MadeUp,
  own: Partial<Pick<Capabilities, 'toggles' | 'matrixFaults'>> = {},
): Record<string, string> {
  const subgroupMatrixConfigs = products.map(([componentType, resultComponentType, side]) => ({
    componentType,
    resultComponentType,
    M: side,
    N: side,
    K: side,
  }));
  const info = { vendor, subgroupMinSize: least, subgroupMaxSize: most, subgroupMatrixConfigs };
  const adapter = describeAdapter({
    features: new Set(features) as unknown as GPUSupportedFeatures,
    info: info as unknown as GPUAdapterInfo,
  });
  const { subgroupSize, subgroupSizes, subgroupSizeControl } = adapter;
  const units = own.matrixFaults?.length ? [] : matrixUnits(adapter.matrixProducts);
  const profile = profileOf(adapter);
  const target = profile.target({
    ...offered,
    subgroupSize,
    subgroupSizes,
    subgroupSizeControl,
    half: features.includes('shader-f16'),
    ...(units.length && { matrixUnits: units }),
  });
  const said = describeCapabilities({
    adapter,
    profile,
    target,
    toggles: noToggles,
    matrixFaults: [],
    ...own,
  });
  return Object.fromEntries(said);
}

const control = ['subgroups', 'subgroup-size-control'];

describe('subgroups', () => {
  test.each<[string, MadeUp, string]>([
    [
      'chosen',
      { vendor: 'amd', lanes: [32, 64], features: control },
      '32 lanes, chosen by the profile among 32 to 64 lanes',
    ],
    [
      'reported',
      { vendor: 'nvidia', lanes: [32, 32], features: control },
      '32 lanes, the only number that the adapter reports',
    ],
    [
      'neither',
      { vendor: 'apple', lanes: [4, 64], features: ['subgroups'] },
      'not used: 4 to 64 lanes, and kernels cannot choose (no subgroup-size-control)',
    ],
    [
      'left to the driver',
      { vendor: 'unheard-of', lanes: [8, 32], features: control },
      'left to the driver: the profile chooses none among 8 to 32 lanes',
    ],
    ['absent', { vendor: 'arm', lanes: [16, 16], features: [] }, 'not used: the adapter does not offer them'],
  ])('%s', (_, adapter, expected) => {
    expect(linesOf(adapter).subgroups).toBe(expected);
  });
});

test('16-bit floats: offered, by a toggle, or not', () => {
  const half = ['shader-f16'];
  const f16 = (vendor: string, features: readonly string[], enabled: readonly string[] = []) =>
    linesOf({ vendor, lanes: [32, 32], features }, { toggles: { enabled, disabled: [] } }).f16;
  expect(f16('amd', half)).toBe('available, for --dtype f16: products and sums in 32 bits');
  expect(f16('nvidia', half, ['vulkan_enable_f16_on_nvidia'])).toBe(
    'available, for --dtype f16 (by the toggle vulkan_enable_f16_on_nvidia): products and sums in 32 bits',
  );
  expect(f16('qualcomm', half)).toBe(
    'available, for --dtype f16: products, and sums of up to 16 of them, in 16 bits; sums of these in 32',
  );
  expect(f16('arm', [])).toBe('not available: the adapter does not offer shader-f16; use --dtype f32');
});

describe('matrix units', () => {
  const amd = (
    products: MadeUp['products'] = [],
    features = [...control, 'shader-f16', matrices],
  ): MadeUp => ({
    vendor: 'amd',
    lanes: [32, 64],
    features,
    products,
  });

  test('which products are used for what', () => {
    expect(
      linesOf(
        amd([
          ['f16', 'f16', 16],
          ['f16', 'f32', 16],
          ['i8', 'i32', 16],
        ]),
      )['matrix units'],
    ).toBe('f16 16x16x16 (convolutions with --dtype f16)');
    expect(linesOf(amd([['f32', 'f32', 8]]))['matrix units']).toBe(
      'f32 8x8x8 (convolutions with --dtype f16, and of 32 bits with --subgroup-matrices)',
    );
  });

  test('why none is used', () => {
    expect(linesOf(amd([], control))['matrix units']).toBe(
      'not used: the adapter offers no subgroup matrices',
    );
    expect(linesOf(amd([['i8', 'i32', 16]]))['matrix units']).toBe(
      'not used: kernels need f32 sums of f16 or f32, the adapter has i8 16x16x16 with i32 sums',
    );
    const fault = 'the matrix unit f16 16x16x16: a product on it was wrong';
    expect(linesOf(amd([['f16', 'f32', 16]]), { matrixFaults: [fault] })['matrix units']).toBe(
      `not used: ${fault}`,
    );
  });
});

test('toggles are named with what became of them', () => {
  const toggles = { enabled: ['allow_unsafe_apis'], disabled: ['timestamp_quantization'] };
  const adapter: MadeUp = { vendor: 'amd', lanes: [32, 64], features: [] };
  expect(linesOf(adapter, { toggles }).toggles).toBe('allow_unsafe_apis on, timestamp_quantization off');
  expect(linesOf(adapter).toggles).toBe("none: Dawn's own choice");
});
