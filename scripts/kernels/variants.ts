/**
 * Every kernel variant that the package may ask a driver for: takes the tapes of detectors, trainings, the
 * tuner's cases and the bench, plans them for devices of every profile, and gives the variants with what asks
 * for them.
 */
import type { BenchCase } from '../../src/bench/case.ts';
import { benchCases } from '../../src/bench/cases.ts';
import { imageInput } from '../../src/data/image_input.ts';
import type { ForcedChoices, LoweringContext } from '../../src/engine/device/context.ts';
import type { DeviceProfile } from '../../src/engine/device/profile.ts';
import { profiles } from '../../src/engine/device/profiles.ts';
import type { MatrixUnit, OfferedTarget } from '../../src/engine/device/target.ts';
import { type KernelVariant, variantKey } from '../../src/engine/dispatch.ts';
import { ParameterSet } from '../../src/engine/graph/parameter_set.ts';
import { type Node, Tape } from '../../src/engine/graph/tape.ts';
import type { Tensor } from '../../src/engine/graph/tensor.ts';
import { checkPlan } from '../../src/engine/kernels/check.ts';
import { fuse } from '../../src/engine/passes/index.ts';
import { selectProgram } from '../../src/engine/plan/lower.ts';
import { peakKernels } from '../../src/engine/runtime/peak.ts';
import { tuningCases } from '../../src/engine/runtime/tuner.ts';
import { allBackbones } from '../../src/model/backbones.ts';
import type { Detection } from '../../src/model/method.ts';
import {
  detect,
  detectorParameters,
  type Mode,
  methodNamed,
  modes,
  studentModes,
} from '../../src/model/methods.ts';
import type { Teacher } from '../../src/model/teacher.ts';
import { recordTeacherDistillation } from '../../src/train/record_distillation.ts';
import { stageShape } from '../../src/train/stage_images.ts';
import { recordStep } from '../../src/train/step_programs.ts';

/** A variant, and what asks for it. */
export interface ShippedVariant {
  readonly variant: KernelVariant;
  /** Names of operations. */
  readonly operations: Set<string>;
  /** Names of device profiles. */
  readonly profiles: Set<string>;
}

export interface VariantOptions {
  readonly teachers: readonly Teacher[];
  /** Sides of images in pixels. */
  readonly sizes: readonly number[];
  /** Lanes of a subgroup that devices are assumed to have; 0: no subgroups. */
  readonly subgroupSizes: readonly number[];
  readonly bench: readonly BenchCase[];
}

/** All that the package ships. */
export function allVariants(): VariantOptions {
  return {
    teachers: allBackbones(),
    sizes: [64, 256],
    subgroupSizes: [0, 4, 8, 16, 32, 64],
    bench: [...benchCases(), ...benchCases(true)].filter(({ long }) => !long),
  };
}

/** What a program is recorded as, with the tensors that it reads. */
interface Recorded {
  readonly tape: Tape;
  readonly outputs: readonly Tensor[];
  readonly force?: ForcedChoices;
}

const units: readonly MatrixUnit[] = [
  { component: 'f16', rows: 16, columns: 16, depth: 16 },
  { component: 'f32', rows: 8, columns: 8, depth: 8 },
];

/** What devices of a kind may offer. */
function offers(profile: DeviceProfile, subgroupSizes: readonly number[]): OfferedTarget[] {
  return subgroupSizes.flatMap((subgroupSize) => {
    const offered: OfferedTarget = {
      name: profile.title,
      vendor: '',
      architecture: '',
      driver: '',
      subgroupSize,
      subgroupSizes: { least: subgroupSize, most: subgroupSize },
      subgroupSizeControl: false,
      maxStorageBufferBindingSize: 2 ** 27,
      maxTextureSize: 8192,
      maxWorkgroupMemory: 16384,
      maxWorkgroupThreads: 256,
      storageTextures: true,
      half: true,
    };
    const withUnits = profile.processor === 'gpu' && subgroupSize > 0;
    return withUnits ? [offered, { ...offered, matrixUnits: units }] : [offered];
  });
}

function* detectors({ teachers, sizes }: VariantOptions): Generator<Recorded> {
  // Methods with the same targets infer alike.
  const kinds = modes.filter((mode, i) => modes.findIndex((other) => inferAlike(mode, other)) === i);
  for (const teacher of teachers)
    for (const mode of kinds)
      for (const half of [false, true])
        for (const size of sizes) {
          const tape = new Tape(detectorParameters(teacher, mode, { half }));
          const { map, score, ...explained }: Detection & Record<string, Tensor | readonly Tensor[]> = {
            ...detect(tape, imageInput(tape, 1, size), teacher, mode),
          };
          yield { tape, outputs: [map, score] };
          // An explanation reads what else is fused away.
          if (size === sizes[0]) yield { tape, outputs: [map, score, ...Object.values(explained).flat()] };
        }
}

function inferAlike(a: Mode, b: Mode): boolean {
  const [first, second] = [methodNamed(a), methodNamed(b)];
  if (first.learns === 'memory' || second.learns === 'memory') return a === b;
  return first.targets === second.targets;
}

function* trainings({ teachers, sizes }: VariantOptions): Generator<Recorded> {
  for (const teacher of teachers)
    for (const mode of studentModes)
      for (const stage of methodNamed(mode).stages)
        for (const size of sizes)
          for (const cached of stage.samples === 'good images' ? [true, false] : [false]) {
            const tape = new Tape(detectorParameters(teacher, mode));
            const shape = stageShape({ backbone: teacher, imageSize: size }, stage, 4, cached);
            const { loss, outputs } = stage.record(tape, shape);
            recordStep(tape, loss, stage.group);
            yield { tape, outputs: Object.values(outputs) };
          }
  for (const [sourceBackbone, backbone] of pairs(teachers)) {
    const settings = { imageSize: sizes[0] as number, sourceBackbone, backbone };
    const { tape, loss } = recordTeacherDistillation(new ParameterSet(), settings, 4);
    recordStep(tape, loss, 'learner');
    yield { tape, outputs: [loss] };
  }
}

function pairs(teachers: readonly Teacher[]): [Teacher, Teacher][] {
  return teachers.flatMap((source) => teachers.map((other): [Teacher, Teacher] => [source, other]));
}

function* bench({ bench: cases }: VariantOptions): Generator<Recorded> {
  for (const { parameters, record, half = false, choices } of cases) {
    const tape = new Tape(parameters({ half }));
    const outputs = Object.values(record(tape));
    yield { tape, outputs, ...(choices?.force && { force: choices.force }) };
  }
}

/** The tuner's cases on a device: every product alone, by every candidate. */
function* tuning(
  nodes: ReturnType<typeof tuningCases>,
  { profile, target }: LoweringContext,
): Generator<Recorded> {
  for (const { family, products } of nodes.values())
    for (const { node } of products)
      for (const candidate of profile.kernels[family].candidates(target))
        yield { ...alone(node), force: { rewrites: { winograd: false }, [family]: candidate } };
}

function alone(node: Node): Recorded {
  const tape = new Tape(new ParameterSet());
  const inputs = Object.fromEntries(
    Object.entries(node.inputs).map(([name, { shape, layout }]) => [name, tape.input(name, shape, layout)]),
  );
  return { tape, outputs: Object.values(tape.record(node.definition, inputs, node.attributes)) };
}

/**
 * The variants, by the name of their text (entry points of a module share one).
 *
 * @throws Error where a plan gives a kernel what it does not declare
 */
export function shippedVariants(options: VariantOptions): Map<string, ShippedVariant> {
  const recorded = [...detectors(options), ...trainings(options), ...bench(options)];
  const products = tuningCases(recorded.map(({ tape }) => tape));
  const found = new Map<string, ShippedVariant>();
  const add = (variant: KernelVariant, operation: string, profile: string) => {
    const name = textName(variant);
    const known = found.get(name) ?? { variant, operations: new Set(), profiles: new Set() };
    known.operations.add(operation);
    known.profiles.add(profile);
    found.set(name, known);
  };
  for (const profile of profiles) {
    for (const variant of Object.values(peakKernels)) add(variant, 'doctor', profile.name);
    for (const offered of offers(profile, options.subgroupSizes)) {
      const context: LoweringContext = { target: profile.target(offered), profile, phase: 'run' };
      for (const { tape, outputs, force } of [...recorded, ...tuning(products, context)]) {
        const own = force ? { ...context, force } : context;
        const { prologue, main } = selectProgram(fuse(tape, outputs, own), own);
        checkPlan([...prologue, ...main]);
        for (const { node, dispatches } of [...prologue, ...main])
          for (const { kernel } of dispatches)
            if (kernel !== 'copy') add(kernel, node.definition.name, profile.name);
      }
    }
  }
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The name of a variant's text, which holds all entry points. */
export function textName(variant: KernelVariant): string {
  return variantKey(variant).replace(`.${variant.entry}`, '');
}
