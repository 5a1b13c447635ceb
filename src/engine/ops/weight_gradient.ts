/**
 * The gradient of a convolution with respect to its weights: a matrix product over pixels, split and summed
 * in fixed order.
 */
import { chooseMatrixKernel, chooseSplits } from '../device/choose.ts';
import type { LoweringContext } from '../device/context.ts';
import { type MatrixProblem, matrixGrid, variantOf } from '../device/families.ts';
import { type Dispatch, groups } from '../dispatch.ts';
import { need, type Tape, type Tensors } from '../graph/tape.ts';
import { channelQuads, positions, quads, type Tensor } from '../graph/tensor.ts';
import { blockQuads, dimension } from './gemm.ts';
import type { Operation } from './operation.ts';
import { sumPartials } from './partials.ts';
import { scratch } from './scratch.ts';

type WeightGradientAttributes = {
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
  readonly kernel: readonly [number, number];
};

const weightGradientDefinition: Operation<WeightGradientAttributes> = {
  name: 'conv2d_weight_gradient',
  infer: (inputs, { kernel }) => ({
    dw: {
      shape: [...kernel, dimension(need(inputs, 'x'), 3), dimension(need(inputs, 'dy'), 3)],
      layout: 'filter',
    },
  }),
  batch: { does: 'sum', operands: ['x', 'dy'] },
  matrixProduct: ({ inputs, attributes }) =>
    weightGradientProblem(need(inputs, 'x'), need(inputs, 'dy'), attributes),
  fusion: {
    textures: [
      { input: 'x', isWeights: false },
      { input: 'dy', isWeights: false },
    ],
  },
  lower(node, context) {
    return weightGradientDispatches(node.inputs, need(node.outputs, 'dw'), node.attributes, context);
  },
};

/** The size of a weight gradient. */
export function weightGradientProblem(
  x: Tensor,
  dy: Tensor,
  { kernel }: WeightGradientAttributes,
): MatrixProblem {
  return {
    family: 'weight_gradient',
    rows: kernel[0] * kernel[1] * channelQuads(x) * 4,
    columnQuads: channelQuads(dy),
    depth: positions(dy),
  };
}

function weightGradientDispatches(
  inputs: Tensors,
  dw: Tensor,
  attributes: WeightGradientAttributes,
  context: LoweringContext,
): Dispatch[] {
  const x = need(inputs, 'x');
  const dy = need(inputs, 'dy');
  const { x_texture, dy_texture } = inputs;
  const [kh, kw] = attributes.kernel;
  const rowQuads = kh * kw * channelQuads(x);
  const columnQuads = channelQuads(dy);
  const lines = dimension(dy, 0) * dimension(dy, 1);
  const problem = weightGradientProblem(x, dy, attributes);
  const kernel = chooseMatrixKernel(problem, context);
  const { columnTiles, workgroups } = matrixGrid(kernel, rowQuads, columnQuads);
  const product = { kernel, depth: problem.depth };
  const ranges = chooseSplits('weight_gradient', workgroups, lines, context, product);
  const linesPerSplit = Math.ceil(lines / ranges);
  const splits = Math.ceil(lines / linesPerSplit);
  const partial = splits > 1 ? scratch('weight_gradient.partial', [splits, quads(dw) * 4]) : dw;
  const dispatches: Dispatch[] = [
    {
      kernel: variantOf(kernel, {
        source_texture: !!x_texture,
        gradient_texture: !!dy_texture,
        ...(kernel.blocks &&
          columnQuads % blockQuads === 0 &&
          dimension(dy, 2) % blockQuads === 0 && { blocks: true }),
      }),
      bindings: {
        ...(x_texture ? { x_texture } : { x }),
        ...(dy_texture ? { dy_texture } : { dy }),
        partial,
      },
      uniforms: {
        input_height: dimension(x, 1),
        input_width: dimension(x, 2),
        input_quads: channelQuads(x),
        output_height: dimension(dy, 1),
        output_width: dimension(dy, 2),
        output_quads: columnQuads,
        kernel_width: kw,
        stride: attributes.stride,
        padding: attributes.padding,
        dilation: attributes.dilation,
        row_quads: rowQuads,
        column_tiles: columnTiles,
        lines,
        lines_per_split: linesPerSplit,
      },
      workgroups: groups(workgroups, splits),
      writes: ['partial'],
      flops: 2 * positions(dy) * kh * kw * dimension(x, 3) * dimension(dy, 3),
    },
  ];
  if (splits > 1) dispatches.push(sumPartials(partial, dw, splits, context));
  return dispatches;
}

export function weightGradient(
  tape: Tape,
  x: Tensor,
  dy: Tensor,
  w: Tensor,
  attributes: WeightGradientAttributes,
): Tensor {
  const { stride, padding, dilation, kernel } = attributes;
  const { dw } = tape.record(weightGradientDefinition, { x, dy }, { stride, padding, dilation, kernel });
  if (`${dw?.shape}` !== `${w.shape}`)
    throw new Error(`weight gradient [${dw?.shape}] does not match [${w.shape}]`);
  return dw as Tensor;
}
