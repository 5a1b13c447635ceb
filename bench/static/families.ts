/**
 * The GPUs whose compilers run here without them: what each needs to be set up, and what its driver must be
 * told. All are Mesa's drivers: for AMD and Intel those of Linux users; for Apple and NVIDIA a guide, because
 * users there have the vendor's own compiler.
 */
import type { Generation } from './amd_model.ts';
import { amdGenerations } from './amd_model.ts';

export type Vendor = 'amd' | 'intel' | 'adreno' | 'mali' | 'apple' | 'nvidia';

/** What brings a family's compiler: the distribution, or a mode of scripts/setup-gpu-compilers.sh. */
export type SetUp = 'system' | 'mesa' | 'apple' | 'nvidia';

export interface Family {
  /** As `--family` takes it. */
  readonly name: string;
  readonly vendor: Vendor;
  readonly setUp: SetUp;
  /** For people: which GPUs have it. */
  readonly title: string;
  /** What the driver's variable for the GPU takes. */
  readonly model: string;
  /** What the model of cycles assumes (AMD). */
  readonly generation?: Generation;
  /** The least waves that a SIMD must be able to hold of every kernel. */
  readonly leastWaves?: number;
  /** Lanes of 32 bits that a vector engine computes in a cycle (Intel). */
  readonly engineLanes?: number;
}

const amd = (name: string, title: string, generation: Generation): Family => ({
  name,
  vendor: 'amd',
  setUp: 'system',
  title,
  model: name,
  generation,
  leastWaves: generation.leastWaves,
});

const other = (vendor: Exclude<Vendor, 'amd'>, model: string, title: string, id = model): Family => ({
  name: `${vendor}:${model}`,
  vendor,
  setUp: vendor === 'apple' || vendor === 'nvidia' ? vendor : 'mesa',
  title,
  model: id,
});

const intel = (model: string, title: string, engineLanes: number): Family => ({
  ...other('intel', model, title),
  engineLanes,
});

/** In the order of reports. */
export const families: readonly Family[] = [
  amd('NAVI31', 'AMD RDNA 3, discrete', amdGenerations.rdna3),
  amd('VANGOGH', 'AMD RDNA 2, integrated (Steam Deck)', amdGenerations.rdna2),
  amd('RENOIR', 'AMD GCN 5, integrated', amdGenerations.gcn5),
  amd('NAVI21', 'AMD RDNA 2, discrete', amdGenerations.rdna2),
  amd('VEGA10', 'AMD GCN 5, discrete', amdGenerations.gcn5),
  intel('adl', 'Intel Xe, integrated (Alder Lake)', 8),
  intel('mtl', 'Intel Xe-LPG, integrated (Meteor Lake)', 8),
  intel('lnl', 'Intel Xe2, integrated (Lunar Lake)', 16),
  other('adreno', '660', 'Qualcomm Adreno 660'),
  other('adreno', '740', 'Qualcomm Adreno 740'),
  other('mali', 'g610', 'Arm Mali-G610 (Valhall)', '0xa867'),
  other('apple', 'm1', "Apple M1 (Mesa's compiler, not Apple's)"),
  other('nvidia', '172', "NVIDIA Ampere (Mesa's compiler, not NVIDIA's)"),
];

/** Those that a check without `--family` leaves out: close relatives of others. */
export const relatives: ReadonlySet<string> = new Set(['NAVI21', 'VEGA10']);

/** @throws Error with the names that there are */
export function familyNamed(name: string): Family {
  const family = families.find((each) => each.name.toLowerCase() === name.toLowerCase());
  if (family) return family;
  throw new Error(
    `there is no family '${name}' (there are: ${families.map((each) => each.name).join(', ')})`,
  );
}
