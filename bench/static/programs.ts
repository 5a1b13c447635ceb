/**
 * The kernels of everything that the package runs, taken from plans: nothing is allocated, nothing runs. A
 * kernel that several programs use is listed once, with all of their names.
 */
import { imageInput } from '../../src/data/image_input.ts';
import type { MatrixFamilyName, MatrixKernel } from '../../src/engine/device/families.ts';
import type { DeviceProfile } from '../../src/engine/device/profile.ts';
import { type Dispatch, dispatchBytes, type KernelVariant, variantKey } from '../../src/engine/dispatch.ts';
import { ParameterSet } from '../../src/engine/graph/parameter_set.ts';
import { type Node, Tape } from '../../src/engine/graph/tape.ts';
import type { Tensor } from '../../src/engine/graph/tensor.ts';
import { checkPlan } from '../../src/engine/kernels/check.ts';
import { farthestRow } from '../../src/engine/ops/farthest.ts';
import { fuse } from '../../src/engine/passes/index.ts';
import { selectProgram } from '../../src/engine/plan/lower.ts';
import { dispatchesOf } from '../../src/engine/plan/plan.ts';
import type { Engine } from '../../src/engine/runtime/engine.ts';
import { type Retargeting, retarget } from '../../src/engine/runtime/retarget.ts';
import { tuningCases } from '../../src/engine/runtime/tuner.ts';
import { backbones } from '../../src/model/backbones.ts';
import {
  classifierGroup,
  classifierLoss,
  classifierParameters,
  classify,
} from '../../src/model/classifier.ts';
import { groups } from '../../src/model/groups.ts';
import { methodParameters, recordDetection, type Stage } from '../../src/model/method.ts';
import { detect, detectorParameters, methods } from '../../src/model/methods.ts';
import type { ResNet } from '../../src/model/resnet.ts';
import { stageShape } from '../../src/train/stage_images.ts';
import { recordStep } from '../../src/train/step_programs.ts';
import type { StepShape } from './kernel.ts';
import { depthOf, matrixKernelOf, slicesOf, stepShape, threadsOf } from './shapes.ts';

/** A program before it is planned. */
export interface Recorded {
  readonly name: string;
  readonly tape: Tape;
  readonly outputs: readonly Tensor[];
  /** What is different from the engine. */
  readonly changes?: Retargeting;
}

/** A kernel with the programs that dispatch it. */
export interface UsedKernel {
  readonly variant: KernelVariant;
  readonly programs: readonly string[];
  /** Of matrix products: what a thread does in a step of the sum. */
  readonly shape?: StepShape;
}

function recorded(
  name: string,
  set: ParameterSet,
  record: (tape: Tape) => Readonly<Record<string, Tensor>>,
  changes?: Retargeting,
): Recorded {
  const tape = new Tape(set);
  const outputs = Object.values(record(tape));
  return { name, tape, outputs, ...(changes && { changes }) };
}

/** Inference of a detector on a batch of pixels. */
export function inference(backbone: ResNet, batch: number, half: boolean, changes?: Retargeting): Recorded {
  const set = detectorParameters(backbone, 'aand', { half });
  const size = 256;
  return recorded(
    `infer ${half ? 'f16' : 'f32'}`,
    set,
    (tape) => {
      const { map, score } = detect(tape, imageInput(tape, batch, size), backbone, 'aand');
      return { map, score };
    },
    changes,
  );
}

// Of the bank and of a part of the patches that it is chosen from; kernels do not depend on their numbers.
const bankRows = 1000;
const projectedChannels = 128;

/** What PatchCore runs: an image against the bank, and a step of the choice of the bank. */
export function memoryBank(backbone: ResNet): Recorded[] {
  const method = methods.patchcore;
  return [
    recorded('patchcore', methodParameters(backbone, method, { rows: bankRows }), (tape) => {
      const { map, score } = recordDetection(tape, imageInput(tape, 1, 256), backbone, method, bankRows);
      return { map, score };
    }),
    recorded('coreset', new ParameterSet(), (tape) => {
      const rows = tape.parameter('rows', [100 * bankRows, projectedChannels], 'channels', 'rows');
      const nearest = tape.parameter('nearest', [100 * bankRows], 'dense', 'nearest');
      return farthestRow(tape, rows, tape.input('center', [projectedChannels], 'channels'), nearest);
    }),
  ];
}

/** The steps of a training: both stages of the method, and a classifier's. */
export function trainingSteps(backbone: ResNet, size: number, batch: number): Recorded[] {
  const detector = detectorParameters(backbone, 'aand');
  const shape = (stage: Stage, cached: boolean) =>
    stageShape({ backbone, imageSize: size }, stage, batch, cached);
  return [
    recorded('stage I', detector, (tape) => {
      const [record] = methods.aand.stages;
      const { loss, outputs } = record.record(tape, shape(record, false));
      recordStep(tape, loss, groups.amplification);
      return outputs;
    }),
    recorded('stage II', detector, (tape) => {
      const record = methods.aand.stages[1];
      const { loss, outputs } = record.record(tape, shape(record, true));
      recordStep(tape, loss, groups.student);
      return outputs;
    }),
    recorded('classifier', classifierParameters(backbone), (tape) => {
      const images = tape.input('images', [batch, size, size, 3], 'channels');
      const loss = classifierLoss(tape, images, tape.input('labels', [batch], 'dense'), backbone);
      recordStep(tape, loss, classifierGroup);
      return { loss };
    }),
  ];
}

/** A product alone, under a candidate: as the tuner measures it. */
function alone(node: Node, family: MatrixFamilyName, engine: Engine): Recorded[] {
  const rewrites = { winograd: false };
  return engine.profile.kernels[family].candidates(engine.target).map((candidate) =>
    recorded(
      'candidates',
      new ParameterSet(),
      (tape) => {
        const inputs = Object.entries(node.inputs).map(
          ([name, { shape, layout }]) => [name, tape.input(name, shape, layout)] as const,
        );
        return tape.record(node.definition, Object.fromEntries(inputs), node.attributes);
      },
      { tuned: {}, force: { rewrites, [family]: candidate } },
    ),
  );
}

/** Every product of these programs under every candidate that the tuner would time. */
export function candidates(programs: readonly Recorded[], engine: Engine): Recorded[] {
  const cases = tuningCases(programs.map(({ tape }) => tape));
  return [...cases.values()].flatMap(({ family, products }) =>
    products.flatMap(({ node }) => alone(node, family, engine)),
  );
}

/**
 * All that is checked.
 *
 * @param minimal what a device without 16-bit floats and matrix units runs, alone
 */
export function allPrograms(engine: Engine, minimal: boolean): Recorded[] {
  const { resnet18, wide_resnet50_2 } = backbones;
  const withoutUnits: Retargeting = { target: { matrixUnits: [] } };
  const models = [resnet18, wide_resnet50_2].flatMap((backbone) => [
    inference(backbone, 1, false, withoutUnits),
    ...trainingSteps(backbone, backbone === resnet18 ? 128 : 256, 16),
  ]);
  const forward = recorded('forward', classifierParameters(resnet18), (tape) => ({
    logits: classify(tape, tape.input('images', [1, 256, 256, 3], 'channels'), resnet18),
  }));
  const f32 = [...models, inference(resnet18, 8, false, withoutUnits), ...memoryBank(resnet18), forward];
  const all = [...f32, ...candidates(f32, engine)];
  if (minimal || !engine.device.features.has('shader-f16')) return all;
  const halves = [resnet18, wide_resnet50_2].map((backbone) => inference(backbone, 1, true, withoutUnits));
  const units = engine.target.matrixUnits?.length
    ? [
        inference(resnet18, 1, false),
        inference(resnet18, 1, true),
        inference(wide_resnet50_2, 1, true),
        // Eight images of a wide network fill the largest tiles.
        inference(wide_resnet50_2, 8, true),
      ]
    : [];
  return [
    ...all,
    ...halves,
    ...units.map((program) => ({ ...program, name: `${program.name} matrix units` })),
  ];
}

/** A profile that remembers which matrix kernels it gave. */
function remembering(profile: DeviceProfile, given: Set<MatrixKernel>): DeviceProfile {
  const watched = (family: MatrixFamilyName) => ({
    ...profile.kernels[family],
    choose: (...args: Parameters<typeof profile.kernels.convolution.choose>) => {
      const kernel = profile.kernels[family].choose(...args);
      given.add(kernel);
      return kernel;
    },
  });
  const kernels = {
    ...profile.kernels,
    convolution: watched('convolution'),
    weight_gradient: watched('weight_gradient'),
  };
  return { ...profile, kernels };
}

/** The dispatches of a program: of its prologue and of every run. */
export function dispatchesOfProgram(
  { tape, outputs, changes = {} }: Recorded,
  engine: Engine,
  given: Set<MatrixKernel> = new Set(),
): { readonly prologue: Dispatch[]; readonly main: Dispatch[] } {
  const { lowering } = retarget(engine, { ...changes, profile: remembering(engine.profile, given) });
  for (const family of ['convolution', 'weight_gradient'] as const) {
    const forced = lowering.force?.[family];
    if (forced) given.add(forced);
  }
  const { prologue, main } = selectProgram(fuse(tape, outputs, lowering), lowering);
  checkPlan([...prologue, ...main]);
  return { prologue: dispatchesOf(prologue), main: dispatchesOf(main) };
}

/** A convolution of a network as it is dispatched, for the model of times. */
export interface ModelledDispatch {
  readonly label: string;
  readonly workgroups: number;
  readonly threads: number;
  /** Steps of the sum that a wave takes. */
  readonly steps: number;
  /** Times that the sum is walked. */
  readonly turns: number;
  /** Turns of the main loop in a step. */
  readonly depth: number;
  /** Ranges of the sum, which another dispatch adds. */
  readonly splits: number;
  readonly multiplyAdds: number;
  /** Of all operands. */
  readonly bytes: number;
}

/** Every convolution of resnet18 at 256 x 256 pixels, without the product that gives its classes. */
export function resnetConvolutions(batch: number): Recorded {
  const { resnet18 } = backbones;
  return recorded('convolutions', classifierParameters(resnet18), (tape) => ({
    logits: classify(tape, tape.input('images', [batch, 256, 256, 3], 'channels'), resnet18),
  }));
}

/** The matrix products of a program as dispatches of known size; those of single pixels are left out. */
export function modelledDispatches(program: Recorded, engine: Engine): ModelledDispatch[] {
  const given = new Set<MatrixKernel>();
  return dispatchesOfProgram(program, engine, given).main.flatMap((dispatch) => {
    const { kernel: variant, uniforms: u, workgroups, flops = 0 } = dispatch;
    const kernel = variant === 'copy' ? undefined : matrixKernelOf(variant, given);
    const threads = kernel && threadsOf(kernel);
    if (variant === 'copy' || !kernel || !threads || u.output_height === 1) return [];
    const of = (name: string) => u[name] ?? 1;
    const depth = depthOf(kernel) ?? kernel.step;
    const turns = kernel.conditions?.turns ? 2 : 1;
    const range = of('splits') > 1 ? of('split_depth') : of('depth');
    const perLine = Math.ceil(range / (depth * turns));
    return {
      label: variantKey(variant),
      workgroups: workgroups.reduce((product, count) => product * count, 1),
      threads,
      steps: Math.ceil((of('kernel_height') * of('taps') * perLine) / slicesOf(kernel)),
      turns,
      depth,
      splits: of('splits'),
      multiplyAdds: flops / 2,
      bytes: dispatchBytes(dispatch),
    };
  });
}

/** The different kernels of programs, in the order of their first use. */
export function kernelsOf(programs: readonly Recorded[], engine: Engine): UsedKernel[] {
  const found = new Map<string, { variant: KernelVariant; programs: Set<string> }>();
  const given = new Set<MatrixKernel>();
  for (const program of programs) {
    const { prologue, main } = dispatchesOfProgram(program, engine, given);
    for (const { kernel } of [...prologue, ...main]) {
      if (kernel === 'copy') continue;
      const key = variantKey(kernel);
      const entry = found.get(key) ?? { variant: kernel, programs: new Set() };
      entry.programs.add(program.name);
      found.set(key, entry);
    }
  }
  return [...found.values()].map(({ variant, programs: names }) => {
    const shape = stepShape(variant, given);
    return { variant, programs: [...names], ...(shape && { shape }) };
  });
}
