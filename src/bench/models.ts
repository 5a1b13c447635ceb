/** Whole networks and training steps as cases. */
import { RandomStream } from '../base/random.ts';
import { imageInput } from '../data/image_input.ts';
import type { Tape } from '../engine/graph/tape.ts';
import { classifierGroup, classifierLoss, classifierParameters, classify } from '../model/classifier.ts';
import { groups, teacherFeatures } from '../model/groups.ts';
import { detect, detectorParameters, methods } from '../model/methods.ts';
import type { ResNet } from '../model/resnet.ts';
import type { DrawnAnomaly } from '../synthetic/anomaly.ts';
import { amplificationInputs } from '../train/amplification_inputs.ts';
import { stepInput } from '../train/schedule.ts';
import { changedPixels, stageShape } from '../train/stage_images.ts';
import { recordStep } from '../train/step_programs.ts';
import type { BenchCase } from './case.ts';
import { randomPixels, randomValues } from './values.ts';

const images = (tape: Tape, batch: number, size: number) =>
  tape.input('images', [batch, size, size, 3], 'channels');

/** Forward passes: the classifier, the teacher, the whole detector. */
export function modelCases(backbone: ResNet, quick: boolean, batch = 1, size = 256): BenchCase[] {
  const { name } = backbone;
  return [
    {
      name: `${name}/forward/${batch}x3x${size}x${size}`,
      kind: 'model',
      quick,
      parameters: (options) => classifierParameters(backbone, options),
      record: (tape) => ({ logits: classify(tape, images(tape, batch, size), backbone) }),
    },
    {
      name: `${name}-teacher/forward/${batch}x3x${size}x${size}`,
      kind: 'model',
      quick: false,
      parameters: (options) => detectorParameters(backbone, 'aand', options),
      record: (tape) => {
        const features = teacherFeatures(tape, images(tape, batch, size), backbone);
        return Object.fromEntries(features.map((tensor, i) => [`feature${i}`, tensor]));
      },
    },
    {
      name: `aand-${name}/infer/${batch}x3x${size}x${size}`,
      kind: 'model',
      quick,
      parameters: (options) => detectorParameters(backbone, 'aand', options),
      record: (tape) => {
        const { map, score } = detect(tape, imageInput(tape, batch, size), backbone, 'aand');
        return { map, score };
      },
      inputs: () => ({ pixels: randomPixels(batch * size * size * 3) }),
    },
  ];
}

/** An anomaly on the left tenth of an image. */
function tenthOf(size: number): Omit<DrawnAnomaly, 'mask'> {
  const places = Uint32Array.from({ length: size * size }, (_, i) => i).filter((i) => i % size < size / 10);
  return { places, values: randomValues('bench/anomaly', 3 * places.length).slice() };
}

/** Classes of images, of a thousand. */
function classesOf(count: number): Float32Array {
  const first = [1, 20, 300, 999];
  return Float32Array.from({ length: count }, (_, i) => first[i] ?? (37 * i) % 1000);
}

/**
 * Steps of a classifier and of both stages of a detector.
 *
 * @param batch of the detector's steps
 * @param classified images of the classifier's step
 */
export function trainingCases(backbone: ResNet, size: number, batch = 16, classified = 4): BenchCase[] {
  const detector = () => detectorParameters(backbone, 'aand');
  return [
    {
      name: `${backbone.name}/train-step/${classified}x3x${size}x${size}`,
      kind: 'training',
      quick: true,
      parameters: () => classifierParameters(backbone),
      record: (tape) => {
        const labels = tape.input('labels', [classified], 'dense');
        const loss = classifierLoss(tape, images(tape, classified, size), labels, backbone);
        recordStep(tape, loss, classifierGroup);
        return { loss };
      },
      inputs: () => ({ ...stepInput(1, 1e-3), labels: classesOf(classified) }),
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
