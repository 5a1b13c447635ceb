/** Trains a classifier on the engine alone: which way stripes run in noise. npx tsx examples/classifier.ts */
import { pathToFileURL } from 'node:url';
import * as gpu from 'aand-webgpu/engine';

const [side, classes, batch] = [16, 4, 32];
const options = { learningRate: 0.01, betas: [0.9, 0.999], epsilon: 1e-8 } as const;

/** New pictures of stripes, [batch, side, side, 1], and the direction of each. */
function samples(random: gpu.RandomStream) {
  const labels = Float32Array.from({ length: batch }, () => random.integer(0, classes - 1));
  const images = Float32Array.from({ length: batch * side ** 2 }, (_, i) => {
    const angle = (Math.PI * (labels[Math.floor(i / side ** 2)] as number)) / classes;
    const position = (i % side) * Math.cos(angle) + (Math.floor(i / side) % side) * Math.sin(angle);
    return Math.sin(position) + random.normal();
  });
  return { images, labels };
}

/** Images [N, side, side, 1] to logits [N, 1, 1, classes]. */
function classify(tape: gpu.Tape, images: gpu.Tensor): gpu.Tensor {
  const layer = (x: gpu.Tensor, name: string, size: number, outputs: number, stride = 1) => {
    const shape = [size, size, x.shape[3] as number, outputs];
    const initial = { kind: 'normal', deviation: (size * size * (x.shape[3] as number)) ** -0.5 } as const;
    const weights = tape.parameter(`${name}.weight`, shape, 'filter', 'model', initial);
    const bias = tape.parameter(`${name}.bias`, [outputs], 'channels', 'model');
    return gpu.conv2d(tape, x, weights, bias, { stride, padding: (size - 1) / 2 });
  };
  const fine = gpu.relu(tape, layer(images, 'fine', 3, 16));
  const coarse = gpu.relu(tape, layer(fine, 'coarse', 3, 32, 2));
  return layer(gpu.globalAveragePool(tape, coarse), 'linear', 1, classes);
}

/** Loss of every step, and the share of right answers: on pictures that no step before has seen. */
export async function trainClassifier(engine: gpu.Engine, steps: number, seed = 0) {
  const tape = new gpu.Tape(new gpu.ParameterSet());
  const logits = classify(tape, tape.input('images', [batch, side, side, 1], 'channels'));
  const loss = gpu.mean(tape, gpu.crossEntropy(tape, logits, tape.input('labels', [batch], 'dense')));
  const gradients = gpu.gradients(tape, new Map([[loss, gpu.one(tape)]]), tape.parametersOf('model'));
  gpu.adam(tape, 'model', gradients, tape.input('step', [2], 'dense'), options);

  const store = new gpu.ParameterStore(engine, tape.parameters);
  gpu.initialize(store, ['model'], seed);
  const program = await gpu.Program.compile(engine, tape, { outputs: { loss, logits }, store });
  const random = new gpu.RandomStream(seed, 'stripes');
  const history: { loss: number; accuracy: number }[] = [];
  for (let t = 1; t <= steps; t++) {
    const { images, labels } = samples(random);
    const results = await program.run({ images, labels, step: gpu.adamStep(t, options) });
    const isRight = (label: number, i: number) => {
      const own = [...(results.logits as Float32Array).subarray(i * classes, (i + 1) * classes)];
      return own.indexOf(Math.max(...own)) === label;
    };
    history.push({ loss: results.loss?.[0] as number, accuracy: labels.filter(isRight).length / batch });
  }
  program.destroy();
  store.destroy();
  return history;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await using engine = await gpu.Engine.open();
  for (const [i, { loss, accuracy }] of (await trainClassifier(engine, 60)).entries())
    if (i % 5 === 4) console.log(`step ${i + 1}: loss ${loss.toFixed(3)}, accuracy ${100 * accuracy} %`);
}
