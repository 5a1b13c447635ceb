/**
 * ResNet-18 in jax-js, as its users write it: folded batch norm for inference, plain operations to train.
 * Arrays are counted: `x.ref` keeps an array that is used again.
 */

import { blocks, epsilon, strideOf } from './resnet18_blocks.mjs';

const convolve = (jax, x, w, stride, padding) =>
  jax.lax.convGeneralDilated(
    x,
    w,
    [stride, stride],
    [
      [padding, padding],
      [padding, padding],
    ],
  );

/** What comes out of a rectifier is never below the zeros of the padding. */
function maxPool(jax, x) {
  const { numpy: np, lax } = jax;
  const padded = np.pad(x, [
    [0, 0],
    [0, 0],
    [1, 1],
    [1, 1],
  ]);
  return lax.reduceWindow(padded, (values) => np.max(values), [3, 3], [2, 2]);
}

/** Per channel, for NCHW. */
const perChannel = (v) => v.reshape([1, -1, 1, 1]);

function network(jax, x, layer, weights) {
  const { nn, numpy: np } = jax;
  let y = maxPool(jax, nn.relu(layer(x, 'conv1', 'bn1', 2, 3)));
  for (const block of blocks) {
    const stride = strideOf(block);
    const down = `${block}.downsample`;
    const inner = nn.relu(layer(y.ref, `${block}.conv1`, `${block}.bn1`, stride, 1));
    const shortcut = `${down}.0.weight` in weights ? layer(y, `${down}.0`, `${down}.1`, stride, 0) : y;
    y = nn.relu(layer(inner, `${block}.conv2`, `${block}.bn2`, 1, 1).add(shortcut));
  }
  return np.matmul(y.mean([2, 3]), np.transpose(weights['fc.weight'].ref)).add(weights['fc.bias'].ref);
}

const arrayOf = (jax, { values, shape }, name) =>
  jax.numpy.array(values).reshape(name === 'fc.weight' ? shape.slice(0, 2) : shape);

/** images NCHW -> logits; convolutions with the batch norm's scale inside. */
export function inference(jax, weights) {
  const folded = { 'fc.weight': weights['fc.weight'], 'fc.bias': weights['fc.bias'] };
  const norms = [
    ['conv1', 'bn1'],
    ...blocks.flatMap((block) => [
      [`${block}.conv1`, `${block}.bn1`],
      [`${block}.conv2`, `${block}.bn2`],
      [`${block}.downsample.0`, `${block}.downsample.1`],
    ]),
  ].filter(([convolution]) => weights[`${convolution}.weight`]);
  for (const [convolution, norm] of norms) {
    const { values, shape } = weights[`${convolution}.weight`];
    const part = (name) => weights[`${norm}.${name}`].values;
    const scale = part('weight').map((gain, i) => gain / Math.sqrt(part('running_var')[i] + epsilon));
    const each = values.length / scale.length;
    folded[`${convolution}.weight`] = {
      shape,
      values: values.map((w, i) => w * scale[Math.floor(i / each)]),
    };
    folded[`${convolution}.bias`] = {
      shape: [scale.length],
      values: part('bias').map((bias, i) => bias - part('running_mean')[i] * scale[i]),
    };
  }
  const arrays = Object.fromEntries(
    Object.entries(folded).map(([name, tensor]) => [name, arrayOf(jax, tensor, name)]),
  );
  const classify = jax.jit((given, images) =>
    network(
      jax,
      images,
      (x, convolution, _, stride, padding) =>
        convolve(jax, x, given[`${convolution}.weight`].ref, stride, padding).add(
          perChannel(given[`${convolution}.bias`].ref),
        ),
      given,
    ),
  );
  return (images) => classify(jax.tree.ref(arrays), images);
}

/** One Adam step per call, batch norm in batch mode; resolves with the loss before the step. */
export function trainingStep(jax, weights, learningRate) {
  const { numpy: np, nn } = jax;
  const [beta1, beta2] = [0.5, 0.999];
  const names = Object.keys(weights).filter((name) => !/running_(mean|var)$/.test(name));
  const make = (form) => Object.fromEntries(names.map((name) => [name, form(weights[name], name)]));
  const zeros = () =>
    make(({ values, shape }, name) => arrayOf(jax, { values: new Float32Array(values.length), shape }, name));
  let state = {
    parameters: make((tensor, name) => arrayOf(jax, tensor, name)),
    first: zeros(),
    second: zeros(),
  };
  const loss = (parameters, images, labels) => {
    const layer = (x, convolution, norm, stride, padding) => {
      const y = convolve(jax, x, parameters[`${convolution}.weight`].ref, stride, padding);
      const centred = y.ref.sub(y.mean([0, 2, 3], { keepdims: true }));
      const variance = np.square(centred.ref).mean([0, 2, 3], { keepdims: true });
      const normal = centred.div(np.sqrt(variance.add(epsilon)));
      const [gain, bias] = [parameters[`${norm}.weight`].ref, parameters[`${norm}.bias`].ref];
      return normal.mul(perChannel(gain)).add(perChannel(bias));
    };
    const logits = network(jax, images, layer, parameters);
    return nn
      .logSoftmax(logits, -1)
      .mul(labels)
      .sum()
      .mul(-1 / labels.shape[0]);
  };
  const step = jax.jit(({ parameters, first, second }, images, labels, rate) => {
    const [value, gradients] = jax.valueAndGrad(loss)(jax.tree.ref(parameters), images, labels);
    const next = { parameters: {}, first: {}, second: {} };
    for (const name of names) {
      const g = gradients[name];
      const m = first[name].mul(beta1).add(g.ref.mul(1 - beta1));
      const v = second[name].mul(beta2).add(np.square(g).mul(1 - beta2));
      next.first[name] = m.ref;
      next.second[name] = v.ref;
      // The rate and the second moment's correction come as numbers of the step.
      const scaled = np.sqrt(v.mul(rate.ref.slice(1))).add(1e-8);
      next.parameters[name] = parameters[name].sub(m.mul(rate.ref.slice(0)).div(scaled));
    }
    rate.dispose();
    return [value, next];
  });
  let count = 0;
  return async (images, labels) => {
    count++;
    const rate = np.array(new Float32Array([learningRate / (1 - beta1 ** count), 1 / (1 - beta2 ** count)]));
    const [value, next] = step(state, images.ref, labels.ref, rate);
    state = next;
    return value.data();
  };
}
