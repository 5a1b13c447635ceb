/** What the bench measures: matrix kernels at the shapes of the real models, whole models, training steps. */
import { backbones } from '../model/backbones.ts';
import { type BenchCase, directions } from './case.ts';
import { type ConvolutionShape, convolutionCase, transposedCase } from './convolutions.ts';
import { modelCases, trainingCases } from './models.ts';

const convolutionShapes: readonly [label: string, c: ConvolutionShape, quick: boolean][] = [
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
  const list = convolutionShapes.flatMap(([label, c, quick]) => {
    const winograd = c.w[0] === 3 && c.stride === 1 && c.w[2] >= 256;
    return [
      ...directions.map((direction) =>
        convolutionCase(label, c, direction, quick && direction !== 'data-gradient'),
      ),
      ...(winograd ? [convolutionCase(label, c, 'forward', quick, true)] : []),
    ];
  });
  return [
    ...list,
    transposedCase('conv_transpose2x2-128/forward/1x256x16x16', {
      x: [1, 16, 16, 256],
      w: [2, 2, 128, 256],
      stride: 2,
    }),
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
    // The large backbones at the size that the smaller ones are compared at: minutes, so only by name.
    ...[backbones.resnet50, backbones.wide_resnet50_2].flatMap((backbone) =>
      trainingCases(backbone, 128)
        .slice(1)
        .map((benchCase) => ({ ...benchCase, long: true })),
    ),
    // At the size of the paper, and with tensors larger than a binding: half an hour on a CPU driver, so only
    // by name.
    ...[16, 32, 64]
      .flatMap((batch) => trainingCases(backbones.wide_resnet50_2, 256, batch))
      // The classifier's step does not go by this batch.
      .filter(({ name }, i, all) => all.findIndex((other) => other.name === name) === i)
      .map((benchCase) => ({ ...benchCase, quick: false, long: true })),
  ];
}
