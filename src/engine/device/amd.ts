/** AMD GPUs: GCN 5 (Vega) computes in waves of 64 lanes, RDNA in waves of 32 or 64. */
import { cardTiles, convolutionFamily, halfTiles, largeTiles, middleTiles } from './convolution_tiles.ts';
import { gpu } from './gpu.ts';
import { rowKernels } from './gpu_rows.ts';
import type { DeviceProfile } from './profile.ts';
import { type OfferedTarget, reliableLanes } from './target.ts';
import { largeShapes, largeShapesAtOnce, weightGradientFamily } from './weight_gradients.ts';

// Of RDNA's shorter waves: a lane may hold more, and its matrix units take them. GCN has waves of 64 alone.
const lanes = 32;

// Those that multiply pairs of 16-bit floats at twice the rate of 32 bits. RDNA 3 issues two of 32 bits at
// once as well, and has matrix units.
const pairsAtTwice: ReadonlySet<string> = new Set(['gcn-5', 'rdna-1', 'rdna-2']);

// Waves of 64 lanes that hide each other's waits on a compute unit: two for each of GCN's four vector units,
// four for each of RDNA's two.
const wavesPerUnit = 8;

/**
 * Compute units by the name of the chip, which Node's adapters tell at the end of the device's name. WebGPU
 * has no number of its own.
 */
const unitsByChip: readonly (readonly [chip: RegExp, units: number])[] = [
  [/navi31/, 96],
  [/navi21/, 80],
  [/vega10|vega20|navi32/, 60],
  [/navi10|navi22|gfx1151/, 40],
  [/navi23|navi33/, 32],
  [/navi14|navi24|gfx1150/, 16],
  [/rembrandt|phoenix/, 12],
  [/renoir|raven|vangogh/, 8],
  [/raphael|mendocino/, 2],
];

// Without a name: GCN 5 is in processors, mostly; of RDNA a middle one, for idle units of a large card cost
// more than what smaller tiles cost a small one.
const unitsOf = { gcn: 8, rdna: 32 } as const;

// Cards of so many have few tiles for a unit in one image. Of 80 units (RDNA 2) split sums are ahead: 2.90x
// against 2.28x of the modelled sum of before (docs/performance-log.md).
const unitsOfCards = 96;

function computeUnits({ device = '', architecture }: OfferedTarget): number {
  const known = unitsByChip.find(([chip]) => chip.test(device.toLowerCase()));
  return known?.[1] ?? (architecture.startsWith('gcn') ? unitsOf.gcn : unitsOf.rdna);
}

export const amd: DeviceProfile = {
  ...gpu,
  name: 'amd',
  title: 'AMD GPU',
  recognises: ({ fallback, vendor }) => !fallback && vendor === 'amd',
  target: (offered) => ({
    ...offered,
    subgroupSize: reliableLanes(offered, lanes),
    parallelism: wavesPerUnit * computeUnits(offered),
  }),
  kernels: {
    ...gpu.kernels,
    gate: rowKernels.gate,
    convolution: convolutionFamily(
      ({ architecture, parallelism }) => {
        if (architecture.startsWith('gcn')) return middleTiles;
        return parallelism >= wavesPerUnit * unitsOfCards ? cardTiles : largeTiles;
      },
      () => 0,
      ({ architecture }) => (pairsAtTwice.has(architecture) ? halfTiles : undefined),
    ),
    weight_gradient: weightGradientFamily(
      () => largeShapes,
      () => 0,
      largeShapesAtOnce,
    ),
  },
  faults: [
    ...gpu.faults,
    {
      fault: 'Mesa before 25.3 miscompiles some combinations of abs and negation.',
      workaround:
        'The only abs of float values stands in tanh, where nothing is negated (kernels/math.wesl).',
      evidence: 'test/driver_faults.test.ts lists every abs',
      until: 'Mesa 25.3 is what systems have',
    },
  ],
};
