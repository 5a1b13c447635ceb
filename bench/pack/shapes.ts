/** The convolutions of a model, each shape once: what the share of the peak is measured on. */

import type { ConvolutionCase } from '../../src/bench/case.ts';
import { Tape } from '../../src/engine/graph/tape.ts';
import type { Tensor } from '../../src/engine/graph/tensor.ts';
import { detect, detectorParameters } from '../../src/model/methods.ts';
import type { Teacher } from '../../src/model/teacher.ts';

type Shape = Omit<ConvolutionCase, 'direction'>;

export interface ModelConvolution extends Shape {
  readonly label: string;
  /** How often a detector has it. */
  readonly count: number;
  readonly flops: number;
}

function flopsOf({ x, w, stride, padding }: Shape): number {
  const side = (extent: number, kernel: number) => Math.floor((extent + 2 * padding - kernel) / stride) + 1;
  return 2 * x[0] * side(x[1], w[0]) * side(x[2], w[1]) * w[0] * w[1] * w[2] * w[3];
}

/** Those of a detector, the ones with the most work in all first. */
export function modelConvolutions(teacher: Teacher, batch: number, size: number): ModelConvolution[] {
  const tape = new Tape(detectorParameters(teacher, 'aand'));
  detect(tape, tape.input('images', [batch, size, size, 3], 'channels'), teacher, 'aand');
  const found = new Map<string, ModelConvolution>();
  for (const { definition, inputs, attributes } of tape.nodes) {
    if (definition.name !== 'conv2d' || attributes.dilation !== 1) continue;
    const { x, w } = inputs as { x: Tensor; w: Tensor };
    const shape: Shape = {
      x: x.shape as ConvolutionCase['x'],
      w: w.shape as ConvolutionCase['w'],
      stride: attributes.stride as number,
      padding: attributes.padding as number,
    };
    const [kernel, , ci, co] = shape.w;
    const label = `${kernel}x${kernel}/${shape.stride} ${ci}>${co} ${shape.x[1]}x${shape.x[2]}`;
    const known = found.get(label);
    found.set(label, { ...shape, label, flops: flopsOf(shape), count: (known?.count ?? 0) + 1 });
  }
  return [...found.values()].sort((a, b) => b.flops * b.count - a.flops * a.count);
}
