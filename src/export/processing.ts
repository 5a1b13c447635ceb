/**
 * What surrounds a detector's network in its ONNX file: from an 8-bit image of any size to the network's
 * input (method, 3.2), and from map and score to the prediction fields of the field's tools.
 */
import { scaleOf } from '../detector/scale.ts';
import type { DetectorSettings } from '../detector/settings.ts';
import type { Calibration } from '../eval/thresholds.ts';
import type { GraphBuilder } from './onnx.ts';
import type { OnnxValue } from './onnx_schema.ts';

/**
 * How the graph resizes. `products`: matrix products with Pillow's weights, which the graph computes from the
 * image's size; every provider has what they need. `operator`: one node per axis, Resize with antialias,
 * which ONNX Runtime's WebGPU provider lacks; on a processor it takes less time for large images.
 */
export const resizeForms = ['products', 'operator'] as const;

/** One of {@link resizeForms}. */
export type ResizeForm = (typeof resizeForms)[number];

function resizeByOperator(graph: GraphBuilder, x: string, axis: 2 | 3, size: number): string {
  return graph.emit('Resize', [x, '', '', graph.integers([size])], {
    mode: 'cubic',
    cubic_coeff_a: { float: -0.5 },
    antialias: 1,
    exclude_outside: 1,
    coordinate_transformation_mode: 'half_pixel',
    axes: [axis],
  });
}

/** max(of - t, 0) */
function below(graph: GraphBuilder, t: string, of: number): string {
  return graph.emit('Relu', [graph.emit('Sub', [graph.floats([of]), t])]);
}

/**
 * The weights from `n` samples of an axis to `size`: [n, size] for the last axis, [size, n] for the one
 * before it. A sample's distance from an output's centre is |(2 j + 1) size - (2 i + 1) n| / (2 max(n, size))
 * in steps of the wider grid: whole numbers that floats hold, divided once. Keys' cubic with a = -0.5 at
 * distance t is (p - 1) p^2 / 2 + (1 - 2 q) q^2 with p = max(2 - t, 0), q = max(1 - t, 0). Rows are divided
 * by their sums.
 */
function resizeWeights(graph: GraphBuilder, x: string, axis: 2 | 3, size: number): string {
  const [samples, outputs] =
    axis === 3
      ? [
          [-1, 1],
          [1, size],
        ]
      : [
          [1, -1],
          [size, 1],
        ];
  const extent = graph.emit('Shape', [x], { start: axis, end: axis + 1 });
  const n = graph.emit('Cast', [extent], { to: 1 });
  const scalar = graph.emit('Squeeze', [n, graph.integers([0])]);
  const indices = graph.emit('Range', [graph.floats([0], []), scalar, graph.floats([1], [])]);
  const j = graph.emit('Reshape', [indices, graph.integers(samples as number[])]);
  const odd = Array.from({ length: size }, (_, i) => 2 * i + 1);
  const left = graph.emit('Add', [graph.emit('Mul', [j, graph.floats([2 * size])]), graph.floats([size])]);
  const right = graph.emit('Mul', [graph.floats(odd, outputs as number[]), n]);
  const wider = graph.emit('Mul', [graph.emit('Max', [n, graph.floats([size])]), graph.floats([2])]);
  const t = graph.emit('Div', [graph.emit('Abs', [graph.emit('Sub', [left, right])]), wider]);
  const [p, q] = [below(graph, t, 2), below(graph, t, 1)];
  const outer = graph.emit('Mul', [
    graph.emit('Mul', [p, p]),
    graph.emit('Mul', [graph.emit('Sub', [p, graph.floats([1])]), graph.floats([0.5])]),
  ]);
  const inner = graph.emit('Mul', [
    graph.emit('Mul', [q, q]),
    graph.emit('Sub', [graph.floats([1]), graph.emit('Mul', [q, graph.floats([2])])]),
  ]);
  const weights = graph.emit('Add', [outer, inner]);
  const sums = graph.emit('ReduceSum', [weights, graph.integers([axis === 3 ? 0 : 1])], { keepdims: 1 });
  return graph.emit('Div', [weights, sums]);
}

function resizeByProduct(graph: GraphBuilder, x: string, axis: 2 | 3, size: number): string {
  const weights = resizeWeights(graph, x, axis, size);
  return graph.emit('MatMul', axis === 3 ? [x, weights] : [weights, x]);
}

/**
 * Pillow's bicubic along one axis: along x first, rounded to 8 bits before y. The graph's weights are floats
 * and Pillow's have 22 bits, so a rounding can fall to the other side: one step of 255 in a few pixels.
 */
function resizeAxis(graph: GraphBuilder, x: string, axis: 2 | 3, size: number, form: ResizeForm): string {
  const resize = form === 'operator' ? resizeByOperator : resizeByProduct;
  const resized = resize(graph, x, axis, size);
  const rounded = graph.emit('Floor', [graph.emit('Add', [resized, graph.floats([0.5])])]);
  return graph.emit('Clip', [rounded, graph.floats([0], []), graph.floats([255], [])]);
}

/** Input `image`: uint8 [batch, height, width, 3], RGB, any size. Ends in `images`, the network's input. */
export function preprocess(
  graph: GraphBuilder,
  batch: number,
  settings: DetectorSettings,
  form: ResizeForm,
): OnnxValue[] {
  const planes = graph.emit('Transpose', ['image'], { perm: [0, 3, 1, 2] });
  let x = graph.emit('Cast', [planes], { to: 1 });
  for (const axis of [3, 2] as const) x = resizeAxis(graph, x, axis, settings.imageSize, form);
  const perChannel = (values: readonly number[]) =>
    graph.floats(
      values.map((value) => 255 * value),
      [1, 3, 1, 1],
    );
  const centred = graph.emit('Sub', [x, perChannel(settings.mean)]);
  graph.emit('Div', [centred, perChannel(settings.deviation)], {}, 'images');
  return [{ name: 'image', shape: [batch, 'height', 'width', 3], type: 'uint8' }];
}

/** clamp((x - threshold) / (max - min) + 0.5, 0, 1) */
function normalized(
  graph: GraphBuilder,
  x: string,
  { threshold, min, max }: Calibration,
  output: string,
): void {
  const range = Math.max(max - min, 1e-12);
  const scaled = graph.emit('Div', [
    graph.emit('Sub', [x, graph.floats([threshold])]),
    graph.floats([range]),
  ]);
  const shifted = graph.emit('Add', [scaled, graph.floats([0.5])]);
  graph.emit('Clip', [shifted, graph.floats([0], []), graph.floats([1], [])], {}, output);
}

/**
 * From `anomaly_map` and `raw_score`: pred_score (0.5 = at the limit), pred_label, pred_mask; none of them
 * for a detector without a threshold. The score is the largest value of the map, so by the limit of the
 * verdict the mask of an image that is called good is empty by itself.
 */
export function postprocess(graph: GraphBuilder, batch: number, settings: DetectorSettings): OnnxValue[] {
  const { imageSize: size } = settings;
  const scale = scaleOf(settings);
  const raw: OnnxValue[] = [
    { name: 'anomaly_map', shape: [batch, size, size] },
    { name: 'raw_score', shape: [batch] },
  ];
  if (!scale) return raw;
  normalized(graph, 'raw_score', scale.score, 'pred_score');
  graph.emit('GreaterOrEqual', ['raw_score', graph.floats([scale.score.threshold])], {}, 'pred_label');
  graph.emit('GreaterOrEqual', ['anomaly_map', graph.floats([scale.map.threshold])], {}, 'pred_mask');
  return [
    ...raw,
    { name: 'pred_score', shape: [batch] },
    { name: 'pred_label', shape: [batch], type: 'bool' },
    { name: 'pred_mask', shape: [batch, size, size], type: 'bool' },
  ];
}
