/** tfjs in Node; config.provider is 'webgpu' (on Dawn) or 'wasm', config.work 'forward' or 'train'. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { inference, trainingStep } from './resnet18.mjs';
import { config, floats, readWeights, serve } from './worker.mjs';

const require = createRequire(import.meta.url);
if (config.provider === 'webgpu') {
  const { create, globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  Object.defineProperty(globalThis, 'navigator', {
    value: { gpu: create([]), userAgent: 'node' },
    configurable: true,
  });
}
const tf = require('@tensorflow/tfjs');
if (config.provider === 'webgpu') require('@tensorflow/tfjs-backend-webgpu');
else {
  const wasm = require('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(`${dirname(require.resolve('@tensorflow/tfjs-backend-wasm'))}/`);
  wasm.setThreadsCount(2);
}
await tf.setBackend(config.provider);
await tf.ready();
const [n, c, h, w] = config.shape;
const images = tf.transpose(
  tf.tensor4d(floats(join(config.folder, 'images.bin')), [n, c, h, w]),
  [0, 2, 3, 1],
);
const weights = readWeights(config.folder);
let run;
if (config.work === 'forward') {
  const classify = inference(tf, weights);
  run = async () => {
    const logits = classify(images);
    const values = await logits.data();
    logits.dispose();
    return values;
  };
} else {
  const labels = tf.oneHot(tf.tensor1d(config.labels, 'int32'), 1000);
  const step = trainingStep(tf, weights, config.learningRate);
  run = () => step(images, labels);
}
await serve({ version: tf.version.tfjs, adapter: tf.getBackend(), run });
