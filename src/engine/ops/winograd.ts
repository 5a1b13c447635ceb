/**
 * Winograd's form of 3x3 convolutions with stride 1 (kernels winograd_f4, winograd_f2), for weights that do
 * not change between runs: their transform moves to the program's prologue. Rounding errors are up to ten
 * times those of the direct form, so training does not use it for what it trains.
 */

import { type LoweringContext, rewritesOf } from '../device/context.ts';
import type { WinogradTile } from '../device/families.ts';
import { type Dispatch, threads } from '../dispatch.ts';
import { need } from '../graph/tape.ts';
import { channelQuads, type Tensor, type TensorSpec } from '../graph/tensor.ts';
import {
  type ConvolutionAttributes,
  dimension,
  epilogue,
  gatherDispatches,
  halves,
  productTextures,
} from './gemm.ts';
import type { Operation } from './operation.ts';
import { scratch } from './scratch.ts';
import { copyToTexture, fitsTexture, textureShape } from './texture.ts';

type WinogradAttributes = ConvolutionAttributes & { readonly tile: WinogradTile };

const positionCount = (tile: WinogradTile) => (tile + 2) ** 2;

/** The transform of 3x3 weights [3, 3, Ci, Co]: [positions, 1, Ci, Co]. */
export function transformedWeights(w: TensorSpec, tile: WinogradTile): TensorSpec {
  const [, , ci, co] = w.shape as [number, number, number, number];
  return { shape: [positionCount(tile), 1, ci, co], layout: 'filter' };
}

type WinogradWeightsAttributes = {
  readonly tile: WinogradTile;
  /**
   * Written into the texture alone: the target reads weights from textures, and their output quads fill its
   * lines.
   */
  readonly stored: boolean;
};

/**
 * Input is 3x3 weights [3, 3, Ci, Co], multiplied by `scale` [Co] where it is given; output is their
 * transform `u` [positions, 1, Ci, Co]. Where it is `stored`, `texture` is u's texture, and u itself only
 * names the shape.
 */
export const winogradWeightsDefinition: Operation<WinogradWeightsAttributes> = {
  name: 'winograd_weights',
  infer(inputs, { tile, stored }) {
    const w = need(inputs, 'w');
    const [height, width] = w.shape;
    if (height !== 3 || width !== 3) throw new Error(`the kernel is ${height}x${width}, not 3x3`);
    const u = transformedWeights(w, tile);
    const outputs: Record<string, TensorSpec> = { u };
    if (stored) outputs.texture = { shape: textureShape(u), layout: 'texture' };
    return outputs;
  },
  half: () => ({ inputs: ['w'], outputs: [] }),
  fusion: { scales: 'w' },
  lower(node, { profile, target }) {
    const w = need(node.inputs, 'w');
    const { scale } = node.inputs;
    const { tile, stored } = node.attributes;
    const sourceQuads = Math.ceil((w.shape[2] as number) / 4);
    const written = stored ? 'packed_weights' : 'transformed_weights';
    const plane = sourceQuads * 4 * channelQuads(w);
    return [
      {
        kernel: {
          module: profile.kernels.winograd.module(tile, target),
          entry: 'weights_transform',
          conditions: { stored, scaled: scale !== undefined, ...halves({ weights: w }) },
        },
        bindings: {
          weights: w,
          ...(scale && { scale }),
          [written]: need(node.outputs, stored ? 'texture' : 'u'),
        },
        uniforms: { source_quads: sourceQuads, output_quads: channelQuads(w) },
        workgroups: threads(plane),
        writes: [written],
      },
    ];
  },
};

/** x [N, H, W, Ci], u [positions, 1, Ci, Co] -> y [N, OH, OW, Co], with the epilogue of conv2d. */
export const winogradDefinition: Operation<WinogradAttributes> = {
  name: 'winograd_conv2d',
  infer(inputs, { padding }) {
    const [n, h, w] = need(inputs, 'x').shape as [number, number, number];
    const co = need(inputs, 'w').shape[3] as number;
    return { y: { shape: [n, h + 2 * padding - 2, w + 2 * padding - 2, co], layout: 'channels' } };
  },
  // The transformed tensors stay in 32 bits: their values are sums that a half would round ten times more.
  half: () => ({ inputs: ['x', 'x_texture', 'residual'], outputs: ['y'] }),
  fusion: { textures: productTextures },
  lower: (node, context) => lowerWinograd(node.inputs, need(node.outputs, 'y'), node.attributes, context),
};

function lowerWinograd(
  inputs: Readonly<Record<string, Tensor>>,
  y: Tensor,
  attributes: WinogradAttributes,
  context: LoweringContext,
): Dispatch[] {
  const { target } = context;
  const { textures } = rewritesOf(context);
  const x = need(inputs, 'x');
  const u = need(inputs, 'w');
  const { tile } = attributes;
  const module = context.profile.kernels.winograd.module(tile, target);
  const positions = positionCount(tile);
  const [batch, height, width] = y.shape as [number, number, number];
  const rowHeight = Math.ceil(height / tile);
  const rowWidth = Math.ceil(width / tile);
  const lines = batch * rowHeight;
  const channels = (tensor: Tensor) => channelQuads(tensor) * 4;
  const transformed = (name: string, like: Tensor) =>
    scratch(`winograd.${name}`, [positions, lines, rowWidth, channels(like)], 'channels');
  const v = transformed('input', x);
  const m = transformed('product', y);
  const textureOf = (tensor: Tensor) =>
    textures && fitsTexture(tensor, target)
      ? scratch('winograd.texture', textureShape(tensor), 'texture')
      : undefined;
  const texture = textureOf(v);
  const product = textureOf(m);
  const tiles = { rows: lines * rowWidth, row_height: rowHeight, row_width: rowWidth };
  const ending = epilogue(inputs);
  return [
    {
      kernel: {
        module,
        entry: 'input_transform',
        conditions: { source_texture: !!inputs.x_texture, ...halves({ source: inputs.x_texture ?? x }) },
      },
      bindings: { ...(inputs.x_texture ? { source_texture: inputs.x_texture } : { source: x }), output: v },
      uniforms: {
        ...tiles,
        source_height: dimension(x, 1),
        source_width: dimension(x, 2),
        source_quads: channelQuads(x),
        padding: attributes.padding,
      },
      workgroups: threads(tiles.rows * channelQuads(x)),
      writes: ['output'],
    },
    ...(texture ? [copyToTexture(v, texture)] : []),
    ...gatherDispatches({
      source: v,
      sourceTexture: texture,
      weights: inputs.w_texture ?? u,
      weightShape: [1, 1],
      output: m,
      inputs: {},
      attributes: { stride: 1, padding: 0, dilation: 1, relu: false },
      dataGradient: false,
      context,
      batches: positions,
    }),
    ...(product ? [copyToTexture(m, product)] : []),
    {
      kernel: {
        module,
        entry: 'output_transform',
        conditions: {
          ...ending.conditions,
          source_texture: product !== undefined,
          ...halves({ output: y, residual: inputs.residual }),
        },
      },
      bindings: { ...(product ? { source_texture: product } : { source: m }), output: y, ...ending.bindings },
      uniforms: {
        ...tiles,
        source_height: lines,
        source_width: rowWidth,
        source_quads: channelQuads(y),
        output_height: height,
        output_width: width,
        output_quads: channelQuads(y),
        relu: attributes.relu ? 1 : 0,
        ...ending.uniforms,
      },
      workgroups: threads(tiles.rows * channelQuads(y)),
      writes: ['output'],
    },
  ];
}
