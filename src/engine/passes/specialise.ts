/**
 * Rewrites that depend on the target: which convolutions take Winograd's form or sum up a batch norm's
 * statistics, and which operands are read from storage textures. Run by `fuse` between the fusions
 * and the split into prologue and run.
 */

import type { Target } from '../device/target.ts';
import {
  type HalfOperands,
  type Node,
  need,
  type OpDefinition,
  type Tape,
  type Tensors,
} from '../graph/tape.ts';
import { byteLength, type Tensor } from '../graph/tensor.ts';
import { type BatchNormFoldAttributes, isBatchNorm, isBatchNormFold } from '../ops/batch_norm.ts';
import { isConvolution, withStatistics } from '../ops/conv2d.ts';
import { runsInParts } from '../ops/operation.ts';
import { fillsTexture, fitsTexture, toTextureDefinition } from '../ops/texture.ts';
import { isWeightGradient } from '../ops/weight_gradient.ts';
import {
  transformedWeights,
  type WinogradTile,
  winogradDefinition,
  winogradWeightsDefinition,
} from '../ops/winograd.ts';

/** Records a node outside of the tape's own list. */
function detached<A extends Node['attributes']>(
  tape: Tape,
  definition: OpDefinition<A>,
  inputs: Record<string, Tensor>,
  attributes: A,
): Node {
  const before = tape.nodes.length;
  tape.record(definition, inputs, attributes);
  return tape.nodes.splice(before)[0] as Node;
}

// Channels from which Winograd's form pays for its transforms: where operands come from textures,
// multiplications are cheap.
const winogradChannels = { textures: 256, memory: 32 };
// Pixels of an output from which it pays in a compact program, where a direct convolution is nearly as fast:
// its weights take two to four times the memory, and making them is most of a start.
const compactPixels = 1024;

/**
 * The tile that suits an output, if any: enough tiles to fill the rows of a kernel, and channels to pay for
 * the transforms.
 */
function winogradTile(node: Node, target: Target, compact: boolean): WinogradTile | undefined {
  if (node.definition.name !== 'conv2d') return undefined;
  const { stride, dilation } = node.attributes;
  const w = need(node.inputs, 'w');
  const y = need(node.outputs, 'y');
  const [kernelHeight, kernelWidth, ci, co] = w.shape as [number, number, number, number];
  if (kernelHeight !== 3 || kernelWidth !== 3 || stride !== 1 || dilation !== 1) return undefined;
  const [batch, height, width] = y.shape as [number, number, number];
  if (compact && target.textures && target.subgroupSize >= 16 && height * width < compactPixels)
    return undefined;
  const limit = target.maxStorageBufferBindingSize;
  if (byteLength(need(node.inputs, 'x')) > limit || byteLength(y) > limit) return undefined;
  if (Math.min(ci, co) < (target.textures ? winogradChannels.textures : winogradChannels.memory))
    return undefined;
  // The choice goes by one image, so that a result does not depend on the batch that it was computed in.
  const tiles = (side: number) => Math.ceil(height / side) * Math.ceil(width / side);
  // The transformed tensors are larger than weights and activations, and each is bound whole.
  const fits = (side: WinogradTile) =>
    tiles(side) >= 16 &&
    (side + 2) ** 2 * 4 * Math.max(ci * co, batch * tiles(side) * Math.max(ci, co)) <= limit;
  return fits(4) ? 4 : fits(2) ? 2 : undefined;
}

/** 3x3 convolutions with stride 1 and fixed weights in Winograd's form. */
export function useWinograd(
  tape: Tape,
  nodes: readonly Node[],
  target: Target,
  isFixed: (tensor: Tensor) => boolean,
): Node[] {
  if (!target.winograd) return [...nodes];
  return nodes.flatMap((node) => {
    const tile = winogradTile(node, target, tape.compact);
    const w = node.inputs.w;
    if (!tile || !w || !isFixed(w) || isFixed(need(node.inputs, 'x'))) return [node];
    const u = transformedWeights(w, tile);
    const stored = target.textures && fitsTexture(u, target) && fillsTexture(u);
    const transform = detached(tape, winogradWeightsDefinition, { w }, { tile, stored });
    const transformed = need(transform.outputs, 'u');
    const texture = transform.outputs.texture;
    return [
      transform,
      {
        ...node,
        // The attributes are those of conv2d and the tile.
        definition: winogradDefinition as unknown as OpDefinition,
        inputs: { ...node.inputs, w: transformed, ...(texture && { w_texture: texture }) },
        attributes: { ...node.attributes, tile },
      },
    ];
  });
}

/**
 * Batch norms in training take their statistics from the convolution before, whose kernel has every value in
 * its registers.
 */
export function useStatistics(nodes: readonly Node[], target: Target): Node[] {
  if (!target.epilogueStatistics || target.textures) return [...nodes];
  const producers = new Map(nodes.map((node) => [node.outputs.y, node]));
  const replaced = new Map<Node, Node>();
  for (const norm of nodes) {
    if (!isBatchNorm(norm) || !norm.attributes.training) continue;
    const convolution = producers.get(need(norm.inputs, 'x'));
    if (!convolution || !isConvolution(convolution) || replaced.has(convolution)) continue;
    if (runsInParts(convolution, target) || runsInParts(norm, target)) continue;
    const summed = withStatistics(convolution, target);
    if (!summed) continue;
    replaced.set(convolution, summed.node);
    replaced.set(norm, {
      ...norm,
      inputs: { ...norm.inputs, statistics: need(summed.node.outputs, 'statistics') },
      attributes: { ...norm.attributes, chunk: summed.chunk },
    });
  }
  return nodes.map((node) => replaced.get(node) ?? node);
}

/** Whether an operation can scale the weights that it reads. */
function readsScaled({ definition }: Node): boolean {
  return definition.name === toTextureDefinition.name || definition.name === winogradWeightsDefinition.name;
}

// Within this many operations a copy of activations is used again. In a training it is made anew further on
// rather than kept alive until the backward pass. Weights are small beside them and slow to pack: theirs
// serves the forward and the backward pass.
const reach = { training: 6, inference: 100 };

/**
 * Operands that matrix kernels can read from textures, by input name. One rule for all sizes keeps the
 * pipelines few.
 */
function textureOperands(node: Node): string[] {
  if (isConvolution(node) || node.definition.name === winogradDefinition.name) return ['x', 'w'];
  return isWeightGradient(node) ? ['x', 'dy'] : [];
}

/** Gives matrix products their operands as textures. */
export function useTextures(
  tape: Tape,
  nodes: readonly Node[],
  target: Target,
  does: keyof typeof reach,
): Node[] {
  if (!target.textures) return [...nodes];
  const textures = new Map<Tensor, { texture: Tensor; at: number }>();
  const result: Node[] = [];
  for (const node of nodes) {
    const inputs: Record<string, Tensor> = { ...node.inputs };
    // A range of images cannot be bound of a texture.
    const names = runsInParts(node, target) ? ['w'] : textureOperands(node);
    for (const name of names.filter((name) => node.inputs[name] && !node.inputs[`${name}_texture`])) {
      const tensor = need(node.inputs, name);
      if (!fitsTexture(tensor, target)) continue;
      let known = textures.get(tensor);
      if (!known || (name !== 'w' && result.length - known.at > reach[does])) {
        const copy = detached(tape, toTextureDefinition, { x: tensor }, {});
        result.push(copy);
        known = { texture: need(copy.outputs, 'texture'), at: result.length };
      }
      textures.set(tensor, { ...known, at: result.length });
      inputs[`${name}_texture`] = known.texture;
    }
    result.push({ ...node, inputs });
  }
  return result;
}

/**
 * Folded weights that are only packed or transformed are not written down: whoever reads them scales them.
 */
export function scaleWhereRead(nodes: readonly Node[]): Node[] {
  const scales = new Map<Tensor, { fold: Node<BatchNormFoldAttributes>; readers: Node[] }>();
  for (const fold of nodes.filter(isBatchNormFold)) {
    const w = need(fold.outputs, 'w');
    // A convolution that reads its weights from a texture takes only their shape from `w`.
    const readers = nodes.filter(
      ({ inputs }) => Object.values(inputs).includes(w) && !(inputs.w === w && inputs.w_texture),
    );
    if (readers.length && readers.every(readsScaled)) scales.set(w, { fold, readers });
  }
  const scaled = new Map<Node, Node>();
  for (const { fold, readers } of scales.values()) {
    const { epsilon, transposed } = fold.attributes;
    scaled.set(fold, { ...fold, attributes: { epsilon, transposed, scaledByReaders: true } });
    for (const reader of readers) {
      const name = reader.inputs.x ? 'x' : 'w';
      const inputs = { ...reader.inputs, [name]: need(fold.inputs, 'w'), scale: need(fold.outputs, 'scale') };
      scaled.set(reader, { ...reader, inputs, attributes: { ...reader.attributes, transposed } });
    }
  }
  return nodes.map((node) => scaled.get(node) ?? node);
}

/**
 * Keeps values as 16-bit floats wherever every operation that touches them can; what the program reads,
 * vectors over channels and everything between zero and one (gates, cosines, maps) stay in 32 bits.
 *
 * @throws Error naming an operation that would read a 16-bit parameter and cannot
 */
export function useHalves(nodes: readonly Node[], outputs: readonly Tensor[]): Node[] {
  const chosen = new Set<Tensor>();
  const operands = nodes.map((node) => node.definition.half?.(node) ?? { inputs: [], outputs: [] });
  nodes.forEach((node, i) => {
    for (const name of operands[i]?.outputs ?? []) {
      const tensor = need(node.outputs, name);
      const large = tensor.layout === 'texture' || tensor.shape.length === 4;
      if (large && !outputs.includes(tensor)) chosen.add(tensor);
    }
  });
  const isHalf = (tensor: Tensor) => tensor.half || chosen.has(tensor);
  for (let before = -1; before !== chosen.size; ) {
    before = chosen.size;
    nodes.forEach((node, i) => {
      const able = operands[i] as HalfOperands;
      for (const [name, tensor] of Object.entries(node.inputs)) {
        if (able.inputs.includes(name)) continue;
        if (tensor.half)
          throw new Error(`${node.definition.name} cannot read 16-bit floats (${name}, ${tensor.name})`);
        chosen.delete(tensor);
      }
      const list = [
        ...able.inputs.map((name) => node.inputs[name]),
        ...able.outputs.map((name) => node.outputs[name]),
      ].filter((tensor) => tensor !== undefined);
      if (able.alike && !list.every(isHalf)) for (const tensor of list) chosen.delete(tensor);
    });
  }
  const halved = new Map([...chosen].map((tensor) => [tensor, { ...tensor, half: true }]));
  const renamed = (tensors: Tensors) =>
    Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, halved.get(tensor) ?? tensor]));
  return nodes.map((node) => ({ ...node, inputs: renamed(node.inputs), outputs: renamed(node.outputs) }));
}
