/** 1 - cosine per position (map) and per flattened image (flat), out of one pass over the features. */
import type { LoweringContext } from '../device/context.ts';
import { variantOf, workgroupsFor } from '../device/families.ts';
import type { Dispatch } from '../dispatch.ts';
import { type Node, need, type Tape } from '../graph/tape.ts';
import { channelQuads, positions, quads, type Tensor } from '../graph/tensor.ts';
import { type BatchRange, type Operation, wholeBatch } from './operation.ts';

type CosineAttributes = { readonly epsilon: number };

/** Uniforms of a range of images; `first` positions come before it. */
function uniforms(a: Tensor, { first, images }: BatchRange, { epsilon }: CosineAttributes) {
  const perImage = positions(a) / (a.shape[0] as number);
  return {
    positions: images * perImage,
    first: first * perImage,
    quads: channelQuads(a),
    per_image: perImage,
    epsilon,
  };
}

const cosineDistanceDefinition: Operation<CosineAttributes> = {
  name: 'cosine_distance',
  infer(inputs) {
    const a = need(inputs, 'a');
    if (`${a.shape}` !== `${need(inputs, 'b').shape}`) throw new Error('the shapes differ');
    const [n, h, w] = a.shape as [number, number, number];
    return {
      map: { shape: [n, h, w], layout: 'dense' },
      flat: { shape: [n], layout: 'dense' },
      products: { shape: [n, h, w, 4], layout: 'dense' },
      sums: { shape: [n, 4], layout: 'dense' },
    };
  },
  backward({ tape, node, gradient, needs }) {
    const { products, sums } = node.outputs;
    const { da, db } = tape.record(
      cosineGradient,
      { ...node.inputs, products, sums, d_map: gradient('map'), d_flat: gradient('flat') },
      { ...node.attributes, da: needs('a'), db: needs('b') },
    );
    return { a: da, b: db };
  },
  batch: { does: 'phases', operands: ['a', 'b'], lower: lowerForward },
  lower: (node, context) => lowerForward(node, [wholeBatch(need(node.inputs, 'a'))], context),
};

function lowerForward(
  { inputs, outputs, attributes }: Node<CosineAttributes>,
  ranges: readonly BatchRange[],
  { profile, target }: LoweringContext,
): Dispatch[] {
  const { cosineDistance: kernels } = profile.kernels;
  const a = need(inputs, 'a');
  const flattened = { rows: a.shape[0] as number, rowsPerImage: 1, channelQuads: 1 };
  const flatten = kernels.flatten(flattened, target);
  const products = need(outputs, 'products');
  return [
    ...ranges.map((range): Dispatch => {
      const values = uniforms(a, range, attributes);
      const kernel = kernels.positions(problemOf(values), target);
      return {
        kernel: variantOf(kernel),
        bindings: { a: range.of(a), b: range.of(need(inputs, 'b')), products, map: need(outputs, 'map') },
        uniforms: values,
        workgroups: workgroupsFor(kernel, values.positions),
        writes: ['products', 'map'],
        flops: 24 * quads(a) * range.share,
      };
    }),
    {
      kernel: variantOf(flatten),
      bindings: { products, sums: need(outputs, 'sums'), flat_distance: need(outputs, 'flat') },
      uniforms: uniforms(a, wholeBatch(a), attributes),
      workgroups: workgroupsFor(flatten, flattened.rows),
      writes: ['sums', 'flat_distance'],
    },
  ];
}

/** What the kernels over the positions of a range are chosen by. */
function problemOf(values: ReturnType<typeof uniforms>) {
  const { positions: rows, per_image: rowsPerImage, quads: channelQuads } = values;
  return { rows, rowsPerImage, channelQuads };
}

type GradientAttributes = CosineAttributes & { readonly da: boolean; readonly db: boolean };

const cosineGradient: Operation<GradientAttributes> = {
  name: 'cosine_distance_gradient',
  infer(inputs, { da, db }) {
    const a = need(inputs, 'a');
    return { ...(da && { da: a }), ...(db && { db: a }) };
  },
  batch: { does: 'phases', operands: ['a', 'b', 'da', 'db'], lower: lowerGradient },
  lower: (node, context) => lowerGradient(node, [wholeBatch(need(node.inputs, 'a'))], context),
};

function lowerGradient(
  { inputs, outputs, attributes }: Node<GradientAttributes>,
  ranges: readonly BatchRange[],
  { profile, target }: LoweringContext,
): Dispatch[] {
  const a = need(inputs, 'a');
  const { d_map, d_flat } = inputs;
  const { da, db } = outputs;
  return ranges.map((range): Dispatch => {
    const values = uniforms(a, range, attributes);
    const kernel = profile.kernels.cosineDistance.gradient(problemOf(values), target);
    return {
      kernel: variantOf(kernel, {
        map: d_map !== undefined,
        flat: d_flat !== undefined,
        da: da !== undefined,
        db: db !== undefined,
      }),
      bindings: {
        a: range.of(a),
        b: range.of(need(inputs, 'b')),
        ...(d_map && { d_map, products: need(inputs, 'products') }),
        ...(d_flat && { d_flat, sums: need(inputs, 'sums') }),
        ...(da && { da: range.of(da) }),
        ...(db && { db: range.of(db) }),
      },
      uniforms: values,
      workgroups: workgroupsFor(kernel, values.positions * values.quads),
      writes: [...(da ? ['da'] : []), ...(db ? ['db'] : [])],
      flops: 40 * quads(a) * range.share,
    };
  });
}

/**
 * Cosine distances, 1 - a·b / (|a| |b|), in 0..2.
 *
 * @param a [N,H,W,C]
 * @param b of a's shape
 * @param epsilon the least that a norm counts
 * @returns map [N,H,W], one value per position; flat [N], one per image over all of its values
 */
export function cosineDistance(
  tape: Tape,
  a: Tensor,
  b: Tensor,
  epsilon = 1e-8,
): { map: Tensor; flat: Tensor } {
  const { map, flat } = tape.record(cosineDistanceDefinition, { a, b }, { epsilon });
  return { map: map as Tensor, flat: flat as Tensor };
}
