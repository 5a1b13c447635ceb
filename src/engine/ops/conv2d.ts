/**
 * conv2d and its adjoint conv_transpose2d, any kernel size, stride, padding and dilation.
 *
 * Shapes: x [N, H, W, Ci], weights [kernelHeight, kernelWidth, Ci, Co], y [N, OH, OW, Co]. A transposed convolution takes
 * x [N, H, W, Co] with the weights of the convolution that it is the adjoint of, [kernelHeight, kernelWidth, Ci, Co], and
 * gives [N, (H - 1) * stride + kernelHeight - 2 * padding, ..., Ci]. So three kernels serve both: the forward gather, the
 * data gradient (which is the transposed convolution) and the weight gradient.
 *
 * The epilogue of the gathering kernels adds a bias, a residual or the gated residual, and applies ReLU; `fuse` fills it.
 */
import { chooseGemm, type Dispatch, type GemmConfiguration, groups, type Target, threads } from '../select.ts';
import { type Node, need, type OpDefinition, type Tape, type Tensors } from '../tape.ts';
import { channelQuads, elements, positions, quads, type Tensor, type TensorSpec, type View } from '../tensor.ts';
import { channelSum } from './reduce.ts';
import { type Scratch, scratch } from './scratch.ts';

export type ConvolutionAttributes = {
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
  /** ReLU in the epilogue. */
  readonly relu: boolean;
};

export type TransposedAttributes = ConvolutionAttributes & {
  /** Height and width of the output, fixed by the caller where the shapes leave a choice. */
  readonly outputSize: readonly [number, number];
};

type WeightGradientAttributes = {
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
  readonly kernel: readonly [number, number];
};

function dimension(tensor: Tensor, axis: number): number {
  return tensor.shape[axis] as number;
}

function checkRank(inputs: Tensors): void {
  for (const name of ['x', 'w'])
    if (need(inputs, name).shape.length !== 4) throw new Error(`${name} must have 4 dimensions`);
}

function checkEpilogue(inputs: Tensors, output: TensorSpec): void {
  const channels = output.shape[3];
  if (inputs.b && `${inputs.b.shape}` !== `${[channels]}`) throw new Error(`bias must be [${channels}]`);
  if (inputs.residual && `${inputs.residual.shape}` !== `${output.shape}`)
    throw new Error(`residual must be [${output.shape}]`);
  if (inputs.gate && elements(inputs.gate.shape) !== positions(output))
    throw new Error('gate must have a value per pixel');
}

/** Bindings and conditions of the epilogue. */
function epilogue(inputs: Tensors) {
  const { b, residual, gate } = inputs;
  return {
    conditions: { bias: b !== undefined, add: residual !== undefined && !gate, gate: gate !== undefined },
    bindings: { ...(b && { bias: b }), ...(residual && { residual }), ...(gate && { gate }) },
  };
}

interface Gather {
  readonly source: Tensor;
  readonly weights: Tensor | View;
  readonly weightShape: readonly number[];
  readonly output: Tensor | Scratch;
  readonly inputs: Tensors;
  readonly attributes: ConvolutionAttributes;
  readonly dataGradient: boolean;
  readonly target: Target;
}

/** The dispatch of a gathering convolution; also used by operations that need a matrix product. */
export function gatherDispatch(gather: Gather): Dispatch {
  const { source, output, attributes, dataGradient, target } = gather;
  const [batch, height, width] = output.shape as [number, number, number];
  const { stride, padding, dilation } = attributes;
  const step = dataGradient ? stride : 1;
  const rowHeight = Math.ceil(height / step);
  const rowWidth = Math.ceil(width / step);
  const rows = batch * rowHeight * rowWidth;
  const outputQuads = channelQuads(output);
  const choice = chooseGemm('convolution', target, outputQuads);
  const { grid, columnTiles, module, constants } = gemmGrid(choice, 'conv2d', rows, outputQuads);
  const ending = epilogue(gather.inputs);
  const [kernelHeight, kernelWidth] = gather.weightShape as [number, number];
  return {
    kernel: {
      module,
      entry: 'main',
      conditions: { ...ending.conditions, data_gradient: dataGradient, subgroups: choice.subgroup > 1 },
      constants,
    },
    bindings: { source, weights: gather.weights, output, ...ending.bindings },
    uniforms: {
      source_height: dimension(source, 1),
      source_width: dimension(source, 2),
      source_quads: channelQuads(source),
      rows,
      row_height: rowHeight,
      row_width: rowWidth,
      output_height: height,
      output_width: width,
      output_quads: outputQuads,
      kernel_height: kernelHeight,
      kernel_width: kernelWidth,
      stride,
      padding,
      dilation,
      column_tiles: columnTiles,
      relu: attributes.relu ? 1 : 0,
    },
    workgroups: groups(grid, step * step),
    writes: ['output'],
    flops:
      2 *
      positions(dataGradient ? source : output) *
      kernelHeight *
      kernelWidth *
      dimension(source, 3) *
      (output.shape[3] as number),
  };
}

function gemmGrid(choice: GemmConfiguration, family: 'conv2d' | 'weight_gradient', rows: number, columnQuads: number) {
  if (choice.shape === 'lane') {
    const columnTiles = Math.ceil(columnQuads / (choice.subgroup * choice.columns));
    return {
      module: `${family}_lane` as const,
      constants: {
        SUBGROUP: choice.subgroup,
        SUBGROUPS: choice.subgroups,
        ROWS: choice.rows,
        COLUMNS: choice.columns,
      },
      columnTiles,
      grid: Math.ceil((Math.ceil(rows / choice.rows) * columnTiles) / choice.subgroups),
    };
  }
  const columnTiles = Math.ceil(columnQuads / (8 * choice.columns));
  return {
    module: `${family}_tile` as const,
    constants: { ROWS: choice.rows, COLUMNS: choice.columns, DEPTH: choice.depth },
    columnTiles,
    grid: Math.ceil(rows / (8 * choice.rows)) * columnTiles,
  };
}

function lowerConvolution(node: Node<ConvolutionAttributes>, target: Target, dataGradient: boolean): Dispatch {
  const w = need(node.inputs, 'w');
  return gatherDispatch({
    source: need(node.inputs, 'x'),
    weights: w,
    weightShape: w.shape,
    output: need(node.outputs, 'y'),
    inputs: node.inputs,
    attributes: node.attributes,
    dataGradient,
    target,
  });
}

const noEpilogue = (attributes: { stride: number; padding: number; dilation: number }): ConvolutionAttributes => ({
  stride: attributes.stride,
  padding: attributes.padding,
  dilation: attributes.dilation,
  relu: false,
});

export const conv2dDefinition: OpDefinition<ConvolutionAttributes> = {
  name: 'conv2d',
  infer(inputs, { stride, padding, dilation }) {
    checkRank(inputs);
    const [n, h, w, channels] = need(inputs, 'x').shape as [number, number, number, number];
    const [kh, kw, ci, co] = need(inputs, 'w').shape as [number, number, number, number];
    if (ci !== channels) throw new Error(`the weights take ${ci} channels, x has ${channels}`);
    const oh = Math.floor((h + 2 * padding - dilation * (kh - 1) - 1) / stride) + 1;
    const ow = Math.floor((w + 2 * padding - dilation * (kw - 1) - 1) / stride) + 1;
    if (oh < 1 || ow < 1) throw new Error(`the kernel is larger than the padded image ${h}x${w}`);
    const y = { shape: [n, oh, ow, co], layout: 'channels' } as const;
    checkEpilogue(inputs, y);
    return { y };
  },
  backward({ tape, node, gradient, needs }) {
    if (node.attributes.relu || node.inputs.residual) throw new Error('gradients are taken before fusion');
    const dy = gradient('y') as Tensor;
    const x = need(node.inputs, 'x');
    const w = need(node.inputs, 'w');
    const attributes = noEpilogue(node.attributes);
    const [kh, kw] = w.shape as [number, number];
    return {
      x: needs('x')
        ? tape.record(
            convTranspose2dDefinition,
            { x: dy, w },
            { ...attributes, outputSize: [dimension(x, 1), dimension(x, 2)] },
          ).y
        : undefined,
      w: needs('w') ? weightGradient(tape, x, dy, w, { ...node.attributes, kernel: [kh, kw] }) : undefined,
      b: needs('b') ? channelSum(tape, dy) : undefined,
    };
  },
  lower: (node, target) => [lowerConvolution(node, target, false)],
};

export const convTranspose2dDefinition: OpDefinition<TransposedAttributes> = {
  name: 'conv_transpose2d',
  infer(inputs, { outputSize }) {
    checkRank(inputs);
    const [n, , , channels] = need(inputs, 'x').shape as [number, number, number, number];
    const [, , ci, co] = need(inputs, 'w').shape as [number, number, number, number];
    if (co !== channels) throw new Error(`the weights take ${co} channels, x has ${channels}`);
    const y = { shape: [n, ...outputSize, ci], layout: 'channels' } as const;
    checkEpilogue(inputs, y);
    return { y };
  },
  backward({ tape, node, gradient, needs }) {
    if (node.attributes.relu || node.inputs.residual) throw new Error('gradients are taken before fusion');
    const dy = gradient('y') as Tensor;
    const x = need(node.inputs, 'x');
    const w = need(node.inputs, 'w');
    const [kh, kw] = w.shape as [number, number];
    return {
      x: needs('x') ? tape.record(conv2dDefinition, { x: dy, w }, noEpilogue(node.attributes)).y : undefined,
      w: needs('w') ? weightGradient(tape, dy, x, w, { ...node.attributes, kernel: [kh, kw] }) : undefined,
      b: needs('b') ? channelSum(tape, dy) : undefined,
    };
  },
  lower: (node, target) => [lowerConvolution(node, target, true)],
};

const weightGradientDefinition: OpDefinition<WeightGradientAttributes> = {
  name: 'conv2d_weight_gradient',
  infer: (inputs, { kernel }) => ({
    dw: {
      shape: [...kernel, dimension(need(inputs, 'x'), 3), dimension(need(inputs, 'dy'), 3)],
      layout: 'filter',
    },
  }),
  lower(node, target) {
    return weightGradientDispatches(
      need(node.inputs, 'x'),
      need(node.inputs, 'dy'),
      need(node.outputs, 'dw'),
      node.attributes,
      target,
    );
  },
};

function weightGradientDispatches(
  x: Tensor,
  dy: Tensor,
  dw: Tensor,
  attributes: WeightGradientAttributes,
  target: Target,
): Dispatch[] {
  const [kh, kw] = attributes.kernel;
  const rowQuads = kh * kw * channelQuads(x);
  const columnQuads = channelQuads(dy);
  const lines = dimension(dy, 0) * dimension(dy, 1);
  const choice = chooseGemm('weight_gradient', target, columnQuads);
  const { grid, columnTiles, module, constants } = gemmGrid(choice, 'weight_gradient', rowQuads, columnQuads);
  const wanted = Math.min(Math.ceil((2 * target.parallelism) / grid), Math.ceil(lines / 4), 64);
  const linesPerSplit = Math.ceil(lines / Math.max(wanted, 1));
  const splits = Math.ceil(lines / linesPerSplit);
  const partial = splits > 1 ? scratch('weight_gradient.partial', [splits, quads(dw) * 4]) : dw;
  const dispatches: Dispatch[] = [
    {
      kernel: { module, entry: 'main', conditions: { subgroups: choice.subgroup > 1 }, constants },
      bindings: { x, dy, partial },
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
      workgroups: groups(grid, splits),
      writes: ['partial'],
      flops: 2 * positions(dy) * kh * kw * dimension(x, 3) * dimension(dy, 3),
    },
  ];
  if (splits > 1) dispatches.push(sumPartials(partial, dw, splits));
  return dispatches;
}

/** Adds `splits` partial results in fixed order. */
export function sumPartials(partial: Tensor, output: Tensor, splits: number): Dispatch {
  return {
    kernel: { module: 'sum_partials', entry: 'main' },
    bindings: { partial, output },
    uniforms: { count: quads(output), splits },
    workgroups: threads(quads(output)),
    writes: ['output'],
  };
}

function weightGradient(tape: Tape, x: Tensor, dy: Tensor, w: Tensor, attributes: WeightGradientAttributes): Tensor {
  const { stride, padding, dilation, kernel } = attributes;
  const { dw } = tape.record(weightGradientDefinition, { x, dy }, { stride, padding, dilation, kernel });
  if (`${dw?.shape}` !== `${w.shape}`) throw new Error(`weight gradient [${dw?.shape}] does not match [${w.shape}]`);
  return dw as Tensor;
}

export interface ConvolutionOptions {
  readonly stride?: number;
  readonly padding?: number;
  readonly dilation?: number;
}

/** x [N,H,W,Ci] * w [kh,kw,Ci,Co] (+ b [Co]) -> [N,OH,OW,Co]. */
export function conv2d(tape: Tape, x: Tensor, w: Tensor, b?: Tensor, options: ConvolutionOptions = {}): Tensor {
  const { stride = 1, padding = 0, dilation = 1 } = options;
  return tape.record(conv2dDefinition, { x, w, b }, { stride, padding, dilation, relu: false }).y as Tensor;
}

/** x [N,H,W,Co], w [kh,kw,Ci,Co] -> [N,(H-1)*stride+kh,(W-1)*stride+kw,Ci]: the adjoint of conv2d with the same weights. */
export function convTranspose2d(tape: Tape, x: Tensor, w: Tensor, options: { stride?: number } = {}): Tensor {
  const stride = options.stride ?? 1;
  const size = (axis: number) => (dimension(x, axis) - 1) * stride + (w.shape[axis - 1] as number);
  const attributes = { stride, padding: 0, dilation: 1, relu: false, outputSize: [size(1), size(2)] as const };
  return tape.record(convTranspose2dDefinition, { x, w }, attributes).y as Tensor;
}

/** Whether a node is a convolution of either direction, whose epilogue `fuse` may fill. */
export function isConvolution(node: Node): node is Node & { attributes: ConvolutionAttributes } {
  return node.definition.name === 'conv2d' || node.definition.name === 'conv_transpose2d';
}
