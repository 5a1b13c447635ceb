/**
 * ResNet-18 as a TFLite model, the file that LiteRT.js runs: NHWC, batch norm folded. TFLite's padding "same"
 * is not PyTorch's where the stride is 2, so that zeros are written around images by operations of their own.
 *
 * Numbers of fields, operations and types are those of TFLite's schema (version 3).
 */

import { blocks, epsilon, strideOf } from './resnet18_blocks.mjs';

const operations = { add: 0, conv2d: 3, fullyConnected: 9, maxPool2d: 17, pad: 34, mean: 40 };
const optionTypes = { add: 11, conv2d: 1, fullyConnected: 8, maxPool2d: 5, pad: 22, mean: 27 };
const tensorTypes = { float32: 0, int32: 2 };
const valid = 1;
const relu = 1;

/** [o, i, kh, kw] as [o, kh, kw, i]. */
function rowsLast(values, [o, i, kh, kw]) {
  const result = new Float32Array(values.length);
  const area = kh * kw;
  for (let a = 0; a < o; a++)
    for (let b = 0; b < i; b++)
      for (let k = 0; k < area; k++) result[(a * area + k) * i + b] = values[(a * i + b) * area + k];
  return result;
}

/** Tensors and operations in the order in which they run. */
class Graph {
  tensors = [];
  steps = [];

  tensor(shape, data) {
    return this.tensors.push({ shape, data }) - 1;
  }

  add(kind, inputs, shape, options) {
    const output = this.tensor(shape);
    this.steps.push({ kind, inputs, output, options });
    return output;
  }

  shapeOf(tensor) {
    return this.tensors[tensor].shape;
  }
}

/** The network on images of this shape; batch norm's means and gains are those of the weights. */
function record(weights, [n, height, width, channels]) {
  const graph = new Graph();
  const padded = (x, by) => {
    if (!by) return x;
    const [, h, w, c] = graph.shapeOf(x);
    const around = graph.tensor([4, 2], Int32Array.of(0, 0, by, by, by, by, 0, 0));
    return graph.add('pad', [x, around], [n, h + 2 * by, w + 2 * by, c], []);
  };
  const window = (x, kernel, stride) => {
    const [, h, w] = graph.shapeOf(x);
    return [h, w].map((side) => Math.floor((side - kernel) / stride) + 1);
  };
  const convolve = (x, name, norm, { stride = 1, padding = 0, activation = 0 }) => {
    const { values, shape } = weights[`${name}.weight`];
    const [o, i, kernel] = shape;
    const [gain, bias, mean, variance] = ['weight', 'bias', 'running_mean', 'running_var'].map(
      (part) => weights[`${norm}.${part}`].values,
    );
    const scale = gain.map((value, c) => value / Math.sqrt(variance[c] + epsilon));
    const filter = rowsLast(values, shape);
    const row = filter.length / o;
    const scaled = filter.map((value, at) => value * scale[Math.floor(at / row)]);
    const shift = bias.map((value, c) => value - mean[c] * scale[c]);
    const operands = [
      padded(x, padding),
      graph.tensor([o, kernel, kernel, i], scaled),
      graph.tensor([o], shift),
    ];
    const options = [
      ['Int8', valid],
      ['Int32', stride],
      ['Int32', stride],
      ['Int8', activation],
    ];
    return graph.add('conv2d', operands, [n, ...window(operands[0], kernel, stride), o], options);
  };
  const images = graph.tensor([n, height, width, channels]);
  // After a rectifier zeros are as small as what they stand beside.
  const stem = padded(convolve(images, 'conv1', 'bn1', { stride: 2, padding: 3, activation: relu }), 1);
  const pool = [
    ['Int8', valid],
    ['Int32', 2],
    ['Int32', 2],
    ['Int32', 3],
    ['Int32', 3],
  ];
  let x = graph.add('maxPool2d', [stem], [n, ...window(stem, 3, 2), graph.shapeOf(stem)[3]], pool);
  for (const block of blocks) {
    const stride = strideOf(block);
    const first = { stride, padding: 1, activation: relu };
    const inner = convolve(x, `${block}.conv1`, `${block}.bn1`, first);
    const own = convolve(inner, `${block}.conv2`, `${block}.bn2`, { padding: 1 });
    const shortcut = weights[`${block}.downsample.0.weight`]
      ? convolve(x, `${block}.downsample.0`, `${block}.downsample.1`, { stride })
      : x;
    x = graph.add('add', [own, shortcut], graph.shapeOf(own), [['Int8', relu]]);
  }
  const axes = graph.tensor([2], Int32Array.of(1, 2));
  const features = graph.add('mean', [x, axes], [n, graph.shapeOf(x)[3]], []);
  const { values, shape } = weights['fc.weight'];
  const classes = graph.tensor(shape.slice(0, 2), values);
  const bias = graph.tensor([shape[0]], weights['fc.bias'].values);
  const logits = graph.add('fullyConnected', [features, classes, bias], [n, shape[0]], []);
  return { graph, images, logits };
}

/**
 * The model's file.
 *
 * @param flatbuffers the package of that name
 * @param weights by torchvision name: { shape, values }
 * @param shape of the images, NHWC
 */
export function tfliteModel(flatbuffers, weights, shape) {
  const { graph, images, logits } = record(weights, shape);
  const builder = new flatbuffers.Builder(1 << 26);
  const table = (fields) => {
    builder.startObject(fields.length);
    fields.forEach(([type, value], i) => {
      if (value) builder[`addField${type}`](i, value, 0);
    });
    return builder.endObject();
  };
  const vector = (offsets) => {
    builder.startVector(4, offsets.length, 4);
    for (const offset of offsets.toReversed()) builder.addOffset(offset);
    return builder.endVector();
  };
  const integers = (values) => {
    builder.startVector(4, values.length, 4);
    for (const value of values.toReversed()) builder.addInt32(value);
    return builder.endVector();
  };
  const bytes = (data) => {
    // Their content begins at a multiple of 16 bytes.
    builder.startVector(1, data.byteLength, 16);
    builder.space -= data.byteLength;
    const content = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    builder.bb.bytes().set(content, builder.space);
    return builder.endVector();
  };
  const constants = graph.tensors.filter(({ data }) => data);
  // The first buffer is the empty one, of tensors that are computed.
  const buffers = [table([]), ...constants.map(({ data }) => table([['Offset', bytes(data)]]))];
  const tensors = graph.tensors.map((tensor, i) => {
    const { shape: own, data } = tensor;
    const type = data instanceof Int32Array ? tensorTypes.int32 : tensorTypes.float32;
    return table([
      ['Offset', integers(own)],
      ['Int8', type],
      ['Int32', constants.indexOf(tensor) + 1],
      ['Offset', builder.createString(`tensor${i}`)],
    ]);
  });
  const kinds = Object.keys(operations);
  const codes = kinds.map((kind) =>
    table([
      ['Int8', operations[kind]],
      ['Offset', 0],
      ['Int32', 1],
      ['Int32', operations[kind]],
    ]),
  );
  const steps = graph.steps.map(({ kind, inputs, output, options }) => {
    const operands = [integers(inputs), integers([output]), table(options)];
    return table([
      ['Int32', kinds.indexOf(kind)],
      ['Offset', operands[0]],
      ['Offset', operands[1]],
      ['Int8', optionTypes[kind]],
      ['Offset', operands[2]],
    ]);
  });
  const subgraph = table([
    ['Offset', vector(tensors)],
    ['Offset', integers([images])],
    ['Offset', integers([logits])],
    ['Offset', vector(steps)],
    ['Offset', builder.createString('main')],
  ]);
  const model = table([
    ['Int32', 3],
    ['Offset', vector(codes)],
    ['Offset', vector([subgraph])],
    ['Offset', builder.createString('resnet18')],
    ['Offset', vector(buffers)],
  ]);
  builder.finish(model, 'TFL3');
  return builder.asUint8Array();
}
