/** 1 - cosine per position (map) and per flattened image (flat), out of one pass over the features. */
import { type Dispatch, threads } from '../select.ts';
import { need, type OpDefinition, type Tape } from '../tape.ts';
import { channelQuads, positions, quads, type Tensor } from '../tensor.ts';

type CosineAttributes = { readonly epsilon: number };

function uniforms(a: Tensor, { epsilon }: CosineAttributes): Record<string, number> {
  const count = positions(a);
  return { positions: count, quads: channelQuads(a), per_image: count / (a.shape[0] as number), epsilon };
}

const cosineDistanceDefinition: OpDefinition<CosineAttributes> = {
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
  lower(node): Dispatch[] {
    const { inputs, outputs, attributes } = node;
    const a = need(inputs, 'a');
    const products = need(outputs, 'products');
    return [
      {
        kernel: { module: 'cosine_distance', entry: 'positions' },
        bindings: { a, b: need(inputs, 'b'), products, map: need(outputs, 'map') },
        uniforms: uniforms(a, attributes),
        workgroups: threads(positions(a)),
        writes: ['products', 'map'],
        flops: 24 * quads(a),
      },
      {
        kernel: { module: 'cosine_distance', entry: 'flatten' },
        bindings: { products, sums: need(outputs, 'sums'), flat_distance: need(outputs, 'flat') },
        uniforms: uniforms(a, attributes),
        workgroups: [a.shape[0] as number, 1, 1],
        writes: ['sums', 'flat_distance'],
      },
    ];
  },
};

const cosineGradient: OpDefinition<CosineAttributes & { da: boolean; db: boolean }> = {
  name: 'cosine_distance_gradient',
  infer(inputs, { da, db }) {
    const a = need(inputs, 'a');
    return { ...(da && { da: a }), ...(db && { db: a }) };
  },
  lower(node) {
    const { inputs, outputs, attributes } = node;
    const a = need(inputs, 'a');
    const { d_map, d_flat } = inputs;
    const { da, db } = outputs;
    return [
      {
        kernel: {
          module: 'cosine_distance',
          entry: 'gradient',
          conditions: {
            map: d_map !== undefined,
            flat: d_flat !== undefined,
            da: da !== undefined,
            db: db !== undefined,
          },
        },
        bindings: {
          a,
          b: need(inputs, 'b'),
          ...(d_map && { d_map, products: need(inputs, 'products') }),
          ...(d_flat && { d_flat, sums: need(inputs, 'sums') }),
          ...(da && { da }),
          ...(db && { db }),
        },
        uniforms: uniforms(a, attributes),
        workgroups: threads(quads(a)),
        writes: [...(da ? ['da'] : []), ...(db ? ['db'] : [])],
        flops: 40 * quads(a),
      },
    ];
  },
};

/**
 * Cosine distances of a and b [N,H,W,C]; each norm clamped at epsilon.
 *
 * @returns map [N,H,W], one value per position; flat [N], one per image over all of its values
 */
export function cosineDistance(tape: Tape, a: Tensor, b: Tensor, epsilon = 1e-8): { map: Tensor; flat: Tensor } {
  const { map, flat } = tape.record(cosineDistanceDefinition, { a, b }, { epsilon });
  return { map: map as Tensor, flat: flat as Tensor };
}
