/**
 * Whole models and the first training steps of both stages against models.safetensors. Shared by Node and the
 * browsers.
 */

import { RandomStream } from '../../src/base/random.ts';
import { ruleParameters } from '../../src/bench/rule.ts';
import { Tape } from '../../src/engine/graph/tape.ts';
import type { Tensor } from '../../src/engine/graph/tensor.ts';
import type { Engine } from '../../src/engine/runtime/engine.ts';
import { Program, type RunInputs } from '../../src/engine/runtime/program.ts';
import { ParameterStore } from '../../src/engine/runtime/store.ts';
import { recordAmplification } from '../../src/model/amplification.ts';
import { backboneNamed } from '../../src/model/backbones.ts';
import { groups } from '../../src/model/groups.ts';
import { detect, detectorParameters, methods } from '../../src/model/methods.ts';
import { amplificationInputs } from '../../src/train/amplification_inputs.ts';
import { stepInput } from '../../src/train/schedule.ts';
import { StepPrograms } from '../../src/train/step_programs.ts';
import { type Comparison, compare, type GoldenSet } from './golden.ts';
import { nchwToNhwc, nhwcToNchw } from './permute.ts';

const modelTolerance = { absolute: 1e-4, relative: 1e-3 };

function thinned(values: Float32Array, stride: number): Float32Array {
  return stride === 1 ? values : values.filter((_, i) => i % stride === 0);
}

interface Sizes {
  readonly [backbone: string]: [number, number];
}

export function goldenSizes(golden: GoldenSet): Sizes {
  return JSON.parse(golden.file.metadata.sizes ?? '{}') as Sizes;
}

/** Inference of one backbone: every stored tensor by golden name. */
export async function runGoldenModel(
  engine: Engine,
  golden: GoldenSet,
  name: string,
): Promise<Record<string, Float32Array>> {
  const [batch, size] = goldenSizes(golden)[name] as [number, number];
  const strides = JSON.parse(golden.file.metadata.stride ?? '{}') as Record<string, number>;
  const stride = strides[name] ?? strides.others ?? 1;
  const backbone = backboneNamed(name);
  const set = detectorParameters(backbone, 'aand');
  const store = new ParameterStore(engine, set);
  ruleParameters(golden, store);
  const tape = new Tape(set);
  const detected = detect(tape, tape.input('images', [batch, size, size, 3], 'channels'), backbone, 'aand');
  const outputs: Record<string, Tensor> = {
    score_map: detected.map,
    embedding: detected.embedding,
    score: detected.score,
  };
  detected.features.forEach((tensor, i) => {
    outputs[`feature${i}`] = tensor;
    outputs[`amplified${i}`] = detected.amplified[i] as Tensor;
    outputs[`gate${i}`] = detected.gates[i] as Tensor;
    outputs[`student${i}`] = detected.students[i] as Tensor;
  });
  const program = await Program.compile(engine, tape, { outputs, store });
  const values = await program.run({ images: goldenImages(golden, batch, size) });
  const results: Record<string, Float32Array> = {};
  for (const [key, tensor] of Object.entries(outputs)) {
    const flat = values[key] as Float32Array;
    const featureLike = tensor.layout === 'channels';
    results[`${name}/${key}`] = featureLike ? thinned(nhwcToNchw(flat, tensor.shape), stride) : flat;
  }
  program.destroy();
  store.destroy();
  return results;
}

function goldenImages(golden: GoldenSet, batch: number, size: number): Float32Array {
  const shape = [batch, 3, size, size];
  return nchwToNhwc(golden.rule('image', shape), shape);
}

function norm(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return Math.sqrt(sum);
}

/** The golden steps sample nothing: every position takes part. */
const everyRow = { normal: Number.POSITIVE_INFINITY, abnormal: Number.POSITIVE_INFINITY };

/**
 * Five steps of each stage for a backbone that has them in the set: losses and first gradient norms by golden
 * name.
 *
 * @param stages the second alone begins with the parameters that the first began with: no golden, but the
 *   same for all targets
 */
export async function runGoldenTraining(
  engine: Engine,
  golden: GoldenSet,
  name: string,
  stages: readonly (1 | 2)[] = [1, 2],
): Promise<Record<string, Float32Array>> {
  const [batch, size] = goldenSizes(golden)[name] as [number, number];
  const backbone = backboneNamed(name);
  const store = new ParameterStore(engine, detectorParameters(backbone, 'aand'));
  ruleParameters(golden, store);
  const run: GoldenRun = { golden, name, batch, size, store, images: goldenImages(golden, batch, size) };
  const results: Record<string, Float32Array> = {};
  for (const stage of stages)
    Object.assign(results, await takeSteps(run, (stage === 1 ? amplification : distillation)(run)));
  store.destroy();
  return results;
}

interface GoldenRun {
  readonly golden: GoldenSet;
  readonly name: string;
  readonly batch: number;
  readonly size: number;
  readonly store: ParameterStore;
  readonly images: Float32Array;
}

interface GoldenStage {
  /** As golden names have it. */
  readonly title: string;
  readonly programs: StepPrograms;
  inputs(step: number): RunInputs;
  /** Scalar outputs, in the order in which the set has them. */
  readonly losses: readonly string[];
  /** What golden names leave out of a gradient's. */
  readonly prefix: string;
}

const rate = 0.005;

function amplification({ golden, name, batch, size, store, images }: GoldenRun): GoldenStage {
  const teacher = backboneNamed(name);
  return {
    title: 'stage1',
    programs: new StepPrograms(
      store.engine,
      store,
      groups.amplification,
      (tape, count) => recordAmplification(tape, teacher, size, count, everyRow),
      { gradients: true },
    ),
    inputs: (step) =>
      amplificationInputs({
        teacher,
        images: { images },
        masks: golden.get(`${name}/stage1/mask`),
        batch,
        size,
        step,
        learningRate: rate,
        random: new RandomStream('golden', step),
        limits: everyRow,
      }),
    losses: ['focal', 'amplification'],
    prefix: 'gradient/teacher.',
  };
}

function distillation({ name, size, store, images }: GoldenRun): GoldenStage {
  const teacher = backboneNamed(name);
  return {
    title: 'stage2',
    programs: new StepPrograms(
      store.engine,
      store,
      groups.student,
      (tape, batch) => methods.aand.stages[1].record(tape, { teacher, size, batch }),
      { gradients: true },
    ),
    inputs: (step) => ({ images, ...stepInput(step, rate) }),
    losses: ['loss'],
    prefix: 'gradient/',
  };
}

/** The losses of every step that the set has, and the lengths of the first step's gradients. */
async function takeSteps(
  { golden, name, batch }: GoldenRun,
  { title, programs, inputs, losses, prefix }: GoldenStage,
): Promise<Record<string, Float32Array>> {
  const results: Record<string, Float32Array> = {};
  const key = `${name}/${title}/losses`;
  const steps = golden.shape(key)[0] as number;
  const found = new Float32Array(steps * losses.length);
  for (let step = 1; step <= steps; step++) {
    const values = await (await programs.submit(batch, inputs(step))).outputs;
    losses.forEach((loss, i) => {
      found[(step - 1) * losses.length + i] = (values[loss] as Float32Array)[0] as number;
    });
    if (step > 1) continue;
    for (const [output, gradient] of Object.entries(values))
      if (output.startsWith(prefix))
        results[`${name}/${title}/grad_norm/${output.slice(prefix.length)}`] = Float32Array.of(
          norm(gradient),
        );
  }
  await programs.destroy();
  return { ...results, [key]: found };
}

/** Compares everything that the set holds for these results' models; stored inputs (masks) are left out. */
export function compareGoldenModels(golden: GoldenSet, results: Record<string, Float32Array>): Comparison[] {
  return [...golden.file.tensors].flatMap(([name, { values, shape }]) => {
    if (name.endsWith('/mask')) return [];
    const actual = results[name] ?? new Float32Array(0);
    if (name.includes('/grad_norm/')) return [compare(name, actual, values, { absolute: 0, relative: 1e-3 })];
    if (name.endsWith('/losses')) {
      const width = shape.length > 1 ? (shape[1] as number) : 1;
      return [...values].map((value, i) =>
        compare(`${name}[${i}]`, actual.subarray(i, i + 1), [value], {
          absolute: 0,
          relative: i < width ? 1e-3 : 1e-2,
        }),
      );
    }
    return [compare(name, actual, values, modelTolerance)];
  });
}
