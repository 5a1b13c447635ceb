/** Single convolutions and their gradients as cases. */
import { gradients } from '../engine/gradients.ts';
import { ParameterSet } from '../engine/graph/parameter_set.ts';
import type { Tape } from '../engine/graph/tape.ts';
import { elements, type Tensor } from '../engine/graph/tensor.ts';
import { conv2d, convTranspose2d } from '../engine/ops/conv2d.ts';
import type { BenchCase, ConvolutionCase, Direction } from './case.ts';
import { randomValues } from './values.ts';

export type ConvolutionShape = Omit<ConvolutionCase, 'direction'>;

/** The shape of a convolution's output. */
export function convolutionOutput({ x, w, stride, padding }: ConvolutionShape): number[] {
  const size = (extent: number, kernel: number) => Math.floor((extent + 2 * padding - kernel) / stride) + 1;
  return [x[0], size(x[1], w[0]), size(x[2], w[1]), w[3]];
}

/** Number of values of a convolution's output. */
export function outputElements(c: ConvolutionShape): number {
  return elements(convolutionOutput(c));
}

/** A parameter is fixed in a program that trains nothing: the form that inference uses. */
function fixedWeights(tape: Tape, shape: readonly number[]): Tensor {
  return tape.constant('w', shape, 'filter', randomValues('bench/w', elements(shape)));
}

/** A convolution, or a gradient of it, alone. */
export function convolutionCase(
  label: string,
  c: ConvolutionShape,
  direction: Direction,
  quick: boolean,
  winograd = false,
): BenchCase {
  const [n, h, w, ci] = c.x;
  const size = `${n}x${ci}x${h}x${w}`;
  return {
    ...directionCase(`${label}/${direction}${winograd ? '-winograd' : ''}/${size}`, c, direction),
    quick,
    choices: { force: { rewrites: { winograd } } },
  };
}

/** A convolution, or a gradient of it, alone, in the form that the device's profile chooses. */
export function directionCase(name: string, c: ConvolutionShape, direction: Direction): BenchCase {
  return {
    name,
    kind: 'kernel',
    quick: false,
    convolution: { ...c, direction },
    parameters: () => new ParameterSet(),
    record(tape) {
      const x = tape.input('x', c.x, 'channels');
      const weights =
        direction === 'weight-gradient' ? tape.input('w', c.w, 'filter') : fixedWeights(tape, c.w);
      const y = conv2d(tape, x, weights, undefined, c);
      if (direction === 'forward') return { y };
      const dy = tape.input('dy', y.shape, 'channels');
      const of = direction === 'data-gradient' ? x : weights;
      const gradient = gradients(tape, new Map([[y, dy]]), [of]).get(of) as Tensor;
      return { y: gradient };
    },
  };
}

/** A convolution forward with weights and activations in 16 bits. */
export function halfConvolutionCase(name: string, c: ConvolutionShape): BenchCase {
  return {
    name,
    kind: 'kernel',
    quick: false,
    half: true,
    parameters: (options) => {
      const set = new ParameterSet(options);
      set.define({
        name: 'w',
        shape: c.w,
        layout: 'filter',
        group: 'weights',
        initial: { kind: 'constant', value: 0 },
      });
      return set;
    },
    record(tape) {
      const x = tape.input('x', c.x, 'channels');
      return { y: conv2d(tape, x, tape.parameter('w', c.w, 'filter', 'weights'), undefined, c) };
    },
  };
}

/** A transposed convolution: x [N, H, W, Co], w [kernelHeight, kernelWidth, Ci, Co]. */
export function transposedCase(name: string, c: Omit<ConvolutionShape, 'padding'>): BenchCase {
  return {
    name,
    kind: 'kernel',
    quick: false,
    parameters: () => new ParameterSet(),
    record(tape) {
      const x = tape.input('x', c.x, 'channels');
      return { y: convTranspose2d(tape, x, fixedWeights(tape, c.w), { stride: c.stride }) };
    },
  };
}
