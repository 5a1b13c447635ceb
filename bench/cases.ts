/** What the bench measures: matrix kernels at the shapes of the real models, whole models, training steps. */

import { RandomStream } from '../src/base/random.ts';
import { imageInput } from '../src/data/image_input.ts';
import { gradients } from '../src/engine/gradients.ts';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import type { Tape } from '../src/engine/graph/tape.ts';
import { elements, type Tensor } from '../src/engine/graph/tensor.ts';
import { conv2d, convTranspose2d } from '../src/engine/ops/conv2d.ts';
import type { RunInputs } from '../src/engine/runtime/program.ts';
import type { Retargeting } from '../src/engine/runtime/retarget.ts';
import { backbones } from '../src/model/backbones.ts';
import { classifierGroup, classifierLoss, classifierParameters, classify } from '../src/model/classifier.ts';
import { groups, teacherFeatures } from '../src/model/groups.ts';
import { detect, detectorParameters, methods } from '../src/model/methods.ts';
import type { ResNet } from '../src/model/resnet.ts';
import type { DrawnAnomaly } from '../src/synthetic/anomaly.ts';
import { amplificationInputs } from '../src/train/amplification_inputs.ts';
import { stepInput } from '../src/train/schedule.ts';
import { changedPixels, stageShape } from '../src/train/stage_images.ts';
import { recordStep } from '../src/train/step_programs.ts';

export interface BenchCase {
  readonly name: string;
  readonly kind: 'kernel' | 'model' | 'training';
  /** Part of `--quick`. */
  readonly quick: boolean;
  /** Left out unless `--filter` names it. */
  readonly long?: boolean;
  readonly parameters: (options?: { readonly half: boolean }) => ParameterSet;
  /** Weights and activations in 16 bits. */
  readonly half?: boolean;
  /** Records the work; returns what is read. */
  readonly record: (tape: Tape) => Record<string, Tensor>;
  /** A convolution's own shapes, so that samples of its result can be checked in float64. */
  readonly convolution?: ConvolutionCase;
  /** Inputs that must not be random numbers. */
  readonly inputs?: () => RunInputs;
  /** Inputs that lie on the device, one part per image, and are copied from there. */
  readonly onDevice?: readonly string[];
  /** Choices in the place of the profile's, to measure forms side by side. */
  readonly choices?: Retargeting;
}

export type Direction = 'forward' | 'data-gradient' | 'weight-gradient';

export interface ConvolutionCase {
  readonly direction: Direction;
  readonly x: readonly [number, number, number, number];
  readonly w: readonly [number, number, number, number];
  readonly stride: number;
  readonly padding: number;
}

/** A convolution, or a gradient of it, alone. */
export function convolutionCase(
  label: string,
  c: Omit<ConvolutionCase, 'direction'>,
  direction: Direction,
  quick: boolean,
  winograd = false,
): BenchCase {
  const [n, h, w, ci] = c.x;
  const size = `${n}x${ci}x${h}x${w}`;
  return {
    name: `${label}/${direction}${winograd ? '-winograd' : ''}/${size}`,
    kind: 'kernel',
    quick,
    convolution: { ...c, direction },
    choices: { force: { rewrites: { winograd } } },
    parameters: () => new ParameterSet(),
    record(tape) {
      const x = tape.input('x', c.x, 'channels');
      // A parameter is fixed in a program that trains nothing: the form that inference uses.
      const weights =
        direction === 'weight-gradient'
          ? tape.input('w', c.w, 'filter')
          : tape.constant('w', c.w, 'filter', randomValues(`bench/w`, elements(c.w)));
      const y = conv2d(tape, x, weights, undefined, c);
      if (direction === 'forward') return { y };
      const dy = tape.input('dy', y.shape, 'channels');
      const of = direction === 'data-gradient' ? x : weights;
      const gradient = gradients(tape, new Map([[y, dy]]), [of]).get(of) as Tensor;
      return { y: gradient };
    },
  };
}

/** Random bytes, four to a word. */
export function randomPixels(count: number): Uint32Array {
  const random = new RandomStream('bench/pixels');
  return Uint32Array.from({ length: count / 4 }, () => Math.floor(random.next() * 2 ** 32));
}

const drawn = new Map<string, Float32Array>();

/**
 * Values of a stream of that name in [-1, 1). The longest array of a name is kept, and shorter ones are its
 * beginning: nobody may change it.
 */
export function randomValues(name: string, count: number): Float32Array {
  let values = drawn.get(name);
  if (!values || values.length < count) {
    const random = new RandomStream(name);
    values = Float32Array.from({ length: count }, () => random.uniform(-1, 1));
    drawn.set(name, values);
  }
  return values.subarray(0, count);
}

const convolutionShapes: readonly [label: string, c: Omit<ConvolutionCase, 'direction'>, quick: boolean][] = [
  ['conv7x7-stride2-64', { x: [1, 256, 256, 3], w: [7, 7, 3, 64], stride: 2, padding: 3 }, true],
  ['conv3x3-64', { x: [1, 64, 64, 64], w: [3, 3, 64, 64], stride: 1, padding: 1 }, true],
  ['conv3x3-128', { x: [1, 32, 32, 128], w: [3, 3, 128, 128], stride: 1, padding: 1 }, true],
  ['conv3x3-256', { x: [1, 16, 16, 256], w: [3, 3, 256, 256], stride: 1, padding: 1 }, true],
  ['conv3x3-512', { x: [1, 8, 8, 512], w: [3, 3, 512, 512], stride: 1, padding: 1 }, false],
  ['conv3x3-stride2-128', { x: [1, 64, 64, 64], w: [3, 3, 64, 128], stride: 2, padding: 1 }, false],
  ['conv1x1-64', { x: [1, 64, 64, 256], w: [1, 1, 256, 64], stride: 1, padding: 0 }, false],
  ['conv1x1-256', { x: [1, 64, 64, 64], w: [1, 1, 64, 256], stride: 1, padding: 0 }, false],
  ['conv1x1-stride2-128', { x: [1, 64, 64, 64], w: [1, 1, 64, 128], stride: 2, padding: 0 }, false],
  ['conv3x3-128', { x: [16, 16, 16, 128], w: [3, 3, 128, 128], stride: 1, padding: 1 }, false],
];

function kernelCases(): BenchCase[] {
  const directions: Direction[] = ['forward', 'data-gradient', 'weight-gradient'];
  const list = convolutionShapes.flatMap(([label, c, quick]) => {
    const winograd = c.w[0] === 3 && c.stride === 1 && c.w[2] >= 256;
    return [
      ...directions.map((direction) =>
        convolutionCase(label, c, direction, quick && direction !== 'data-gradient'),
      ),
      ...(winograd ? [convolutionCase(label, c, 'forward', quick, true)] : []),
    ];
  });
  const transposed: BenchCase = {
    name: 'conv_transpose2x2-128/forward/1x256x16x16',
    kind: 'kernel',
    quick: false,
    parameters: () => new ParameterSet(),
    record(tape) {
      const x = tape.input('x', [1, 16, 16, 256], 'channels');
      const w = tape.constant('w', [2, 2, 128, 256], 'filter', randomValues('bench/w', 4 * 128 * 256));
      return { y: convTranspose2d(tape, x, w, { stride: 2 }) };
    },
  };
  return [...list, transposed];
}

const images = (tape: Tape, batch: number, size: number) =>
  tape.input('images', [batch, size, size, 3], 'channels');

function modelCases(backbone: ResNet, quick: boolean): BenchCase[] {
  const size = 256;
  const { name } = backbone;
  return [
    {
      name: `${name}/forward/1x3x${size}x${size}`,
      kind: 'model',
      quick,
      parameters: (options) => classifierParameters(backbone, options),
      record: (tape) => ({ logits: classify(tape, images(tape, 1, size), backbone) }),
    },
    {
      name: `${name}-teacher/forward/1x3x${size}x${size}`,
      kind: 'model',
      quick: false,
      parameters: (options) => detectorParameters(backbone, 'aand', options),
      record: (tape) => {
        const features = teacherFeatures(tape, images(tape, 1, size), backbone);
        return Object.fromEntries(features.map((tensor, i) => [`feature${i}`, tensor]));
      },
    },
    {
      name: `aand-${name}/infer/1x3x${size}x${size}`,
      kind: 'model',
      quick,
      parameters: (options) => detectorParameters(backbone, 'aand', options),
      record: (tape) => {
        const { map, score } = detect(tape, imageInput(tape, 1, size), backbone, 'aand');
        return { map, score };
      },
      inputs: () => ({ pixels: randomPixels(size * size * 3) }),
    },
  ];
}

/** An anomaly on the left tenth of an image. */
function tenthOf(size: number): Omit<DrawnAnomaly, 'mask'> {
  const places = Uint32Array.from({ length: size * size }, (_, i) => i).filter((i) => i % size < size / 10);
  return { places, values: randomValues('bench/anomaly', 3 * places.length).slice() };
}

/** Steps of a classifier and of both stages of a detector. */
export function trainingCases(backbone: ResNet, size: number, batch = 16): BenchCase[] {
  const detector = () => detectorParameters(backbone, 'aand');
  return [
    {
      name: `${backbone.name}/train-step/4x3x${size}x${size}`,
      kind: 'training',
      quick: true,
      parameters: () => classifierParameters(backbone),
      record: (tape) => {
        const labels = tape.input('labels', [4], 'dense');
        const loss = classifierLoss(tape, images(tape, 4, size), labels, backbone);
        recordStep(tape, loss, classifierGroup);
        return { loss };
      },
      inputs: () => ({ ...stepInput(1, 1e-3), labels: Float32Array.of(1, 20, 300, 999) }),
    },
    {
      name: `aand-${backbone.name}/stage1-step/${batch}x3x${size}x${size}`,
      kind: 'training',
      quick: false,
      parameters: detector,
      record: (tape) => {
        const [stage] = methods.aand.stages;
        const shape = stageShape({ backbone, imageSize: size }, stage, batch, false);
        const { loss, outputs } = stage.record(tape, shape);
        recordStep(tape, loss, groups.amplification);
        return outputs;
      },
      inputs: () =>
        amplificationInputs({
          teacher: backbone,
          images: {
            pixels: randomPixels(batch * size * size * 3),
            ...changedPixels(Array.from({ length: batch }, () => tenthOf(size))),
          },
          // A defect on a tenth of every image.
          masks: Float32Array.from({ length: batch * size * size }, (_, i) => (i % size < size / 10 ? 1 : 0)),
          batch,
          size,
          step: 1,
          learningRate: 1e-3,
          random: new RandomStream('bench/rows'),
        }),
    },
    {
      name: `aand-${backbone.name}/stage2-step/${batch}x3x${size}x${size}`,
      kind: 'training',
      quick: false,
      parameters: detector,
      record: (tape) => {
        const { loss, outputs } = methods.aand.stages[1].record(tape, {
          teacher: backbone,
          size,
          batch,
          cached: true,
        });
        recordStep(tape, loss, groups.student);
        return outputs;
      },
      inputs: () => stepInput(1, 1e-3),
      // As in a training, whose targets stay on the device.
      onDevice: ['target0', 'target1', 'target2'],
    },
  ];
}

/** Every case, in the order of the report; with `half` the models alone, in 16 bits. */
export function benchCases(half = false): BenchCase[] {
  if (half)
    return [...modelCases(backbones.resnet18, true), ...modelCases(backbones.wide_resnet50_2, false)].map(
      (benchCase) => ({ ...benchCase, name: `${benchCase.name}/f16`, half }),
    );
  return [
    ...kernelCases(),
    ...modelCases(backbones.resnet18_half, false),
    ...modelCases(backbones.resnet18, true),
    ...modelCases(backbones.resnet50, false),
    ...modelCases(backbones.wide_resnet50_2, false),
    ...trainingCases(backbones.resnet18, 128),
    // Steps of the detector alone: the classifier's step is measured with resnet18.
    ...trainingCases(backbones.resnet18_half, 128)
      .slice(1)
      .map((benchCase) => ({ ...benchCase, quick: false })),
    // At the size of the paper, and with tensors larger than a binding: half an hour on a CPU driver, so only
    // by name.
    ...[16, 32, 64]
      .flatMap((batch) => trainingCases(backbones.wide_resnet50_2, 256, batch))
      // The classifier's step does not go by this batch.
      .filter(({ name }, i, all) => all.findIndex((other) => other.name === name) === i)
      .map((benchCase) => ({ ...benchCase, quick: false, long: true })),
  ];
}
