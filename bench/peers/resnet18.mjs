/**
 * ResNet-18 in tfjs, as its users write it: folded batch norm and fused convolutions for inference, plain
 * operations to train.
 */

import { blocks, epsilon, strideOf } from './resnet18_blocks.mjs';

const pads = (padding) => [
  [0, 0],
  [padding, padding],
  [padding, padding],
  [0, 0],
];

const filter = (tf, { values, shape }) => tf.transpose(tf.tensor4d(values, shape), [2, 3, 1, 0]);
const fullyConnected = (tf, { values, shape }) => tf.transpose(tf.tensor2d(values, shape.slice(0, 2)));

/** images NHWC -> logits. */
export function inference(tf, weights) {
  const fold = (convolution, norm) =>
    tf.tidy(() => {
      const [gain, bias, mean, variance] = ['weight', 'bias', 'running_mean', 'running_var'].map((part) =>
        tf.tensor1d(weights[`${norm}.${part}`].values),
      );
      const scale = tf.div(gain, tf.sqrt(tf.add(variance, epsilon)));
      return {
        w: tf.keep(tf.mul(filter(tf, weights[`${convolution}.weight`]), scale)),
        b: tf.keep(tf.sub(bias, tf.mul(mean, scale))),
      };
    });
  const folded = { stem: fold('conv1', 'bn1') };
  for (const block of blocks) {
    folded[`${block}.1`] = fold(`${block}.conv1`, `${block}.bn1`);
    folded[`${block}.2`] = fold(`${block}.conv2`, `${block}.bn2`);
    if (weights[`${block}.downsample.0.weight`])
      folded[`${block}.down`] = fold(`${block}.downsample.0`, `${block}.downsample.1`);
  }
  const fcWeight = fullyConnected(tf, weights['fc.weight']);
  const fcBias = tf.tensor1d(weights['fc.bias'].values);
  const convolve = (x, { w, b }, strides, padding, activation) =>
    tf.fused.conv2d({ x, filter: w, strides, pad: pads(padding), bias: b, activation });
  return (images) =>
    tf.tidy(() => {
      const stem = convolve(images, folded.stem, 2, 3, 'relu');
      let x = tf.maxPool(stem, 3, 2, 1, 'floor');
      for (const block of blocks) {
        const stride = strideOf(block);
        const inner = convolve(x, folded[`${block}.1`], stride, 1, 'relu');
        const down = folded[`${block}.down`];
        const shortcut = down ? convolve(x, down, stride, 0, 'linear') : x;
        x = tf.relu(tf.add(convolve(inner, folded[`${block}.2`], 1, 1, 'linear'), shortcut));
      }
      return tf.add(tf.matMul(tf.mean(x, [1, 2]), fcWeight), fcBias);
    });
}

/** One Adam step per call, batch norm in batch mode; resolves with the loss before the step. */
export function trainingStep(tf, weights, learningRate) {
  const variables = {};
  for (const [name, tensor] of Object.entries(weights)) {
    if (/running_(mean|var)$/.test(name)) continue;
    const value =
      name === 'fc.weight'
        ? fullyConnected(tf, tensor)
        : tensor.shape.length === 4
          ? filter(tf, tensor)
          : tf.tensor1d(tensor.values);
    variables[name] = tf.variable(value, true, name.replaceAll('.', '_'));
  }
  const optimizer = tf.train.adam(learningRate, 0.5, 0.999, 1e-8);
  const norm = (x, name) => {
    const { mean, variance } = tf.moments(x, [0, 1, 2]);
    return tf.batchNorm(x, mean, variance, variables[`${name}.bias`], variables[`${name}.weight`], epsilon);
  };
  const convolve = (x, name, stride, padding) =>
    tf.conv2d(x, variables[`${name}.weight`], stride, pads(padding));
  const forward = (images) => {
    let x = tf.maxPool(tf.relu(norm(convolve(images, 'conv1', 2, 3), 'bn1')), 3, 2, 1, 'floor');
    for (const block of blocks) {
      const stride = strideOf(block);
      const inner = tf.relu(norm(convolve(x, `${block}.conv1`, stride, 1), `${block}.bn1`));
      const shortcut = variables[`${block}.downsample.0.weight`]
        ? norm(convolve(x, `${block}.downsample.0`, stride, 0), `${block}.downsample.1`)
        : x;
      x = tf.relu(tf.add(norm(convolve(inner, `${block}.conv2`, 1, 1), `${block}.bn2`), shortcut));
    }
    return tf.add(tf.matMul(tf.mean(x, [1, 2]), variables['fc.weight']), variables['fc.bias']);
  };
  return async (images, labels) => {
    const loss = optimizer.minimize(() => tf.losses.softmaxCrossEntropy(labels, forward(images)), true);
    const value = await loss.data();
    loss.dispose();
    return value;
  };
}
