/**
 * What surrounds a detector's network in its ONNX file: from an 8-bit image of any size to the network's
 * input (method, 3.2), and from map and score to the prediction fields of the field's tools.
 */
import type { DetectorSettings } from '../detector/settings.ts';
import type { Calibration } from '../eval/thresholds.ts';
import type { GraphBuilder } from './onnx.ts';
import type { OnnxValue } from './onnx_schema.ts';

/**
 * Pillow's bicubic in two nodes: along x first, rounded to 8 bits before y. The runtime's weights are floats
 * and Pillow's have 22 bits, so a rounding can fall to the other side: one step of 255 in a few pixels.
 */
function resizeAxis(graph: GraphBuilder, x: string, axis: 2 | 3, size: number): string {
  const resized = graph.emit('Resize', [x, '', '', graph.integers([size])], {
    mode: 'cubic',
    cubic_coeff_a: { float: -0.5 },
    antialias: 1,
    exclude_outside: 1,
    coordinate_transformation_mode: 'half_pixel',
    axes: [axis],
  });
  const rounded = graph.emit('Floor', [graph.emit('Add', [resized, graph.floats([0.5])])]);
  return graph.emit('Clip', [rounded, graph.floats([0], []), graph.floats([255], [])]);
}

/** Input `image`: uint8 [batch, height, width, 3], RGB, any size. Ends in `images`, the network's input. */
export function preprocess(graph: GraphBuilder, batch: number, settings: DetectorSettings): OnnxValue[] {
  const planes = graph.emit('Transpose', ['image'], { perm: [0, 3, 1, 2] });
  let x = graph.emit('Cast', [planes], { to: 1 });
  for (const axis of [3, 2] as const) x = resizeAxis(graph, x, axis, settings.imageSize);
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
 * From `anomaly_map` and `raw_score`: pred_score (0.5 = at the threshold), pred_label, pred_mask; none of
 * them for a detector without a threshold.
 */
export function postprocess(graph: GraphBuilder, batch: number, settings: DetectorSettings): OnnxValue[] {
  const { imageSize: size, image, pixel } = settings;
  const raw: OnnxValue[] = [
    { name: 'anomaly_map', shape: [batch, size, size] },
    { name: 'raw_score', shape: [batch] },
  ];
  if (!image || !pixel) return raw;
  normalized(graph, 'raw_score', image, 'pred_score');
  graph.emit('GreaterOrEqual', ['raw_score', graph.floats([image.threshold])], {}, 'pred_label');
  graph.emit('GreaterOrEqual', ['anomaly_map', graph.floats([pixel.threshold])], {}, 'pred_mask');
  return [
    ...raw,
    { name: 'pred_score', shape: [batch] },
    { name: 'pred_label', shape: [batch], type: 'bool' },
    { name: 'pred_mask', shape: [batch, size, size], type: 'bool' },
  ];
}
