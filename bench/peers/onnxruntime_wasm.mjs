/** onnxruntime-web in Node: WebAssembly with SIMD and two threads. */
import { readFileSync } from 'node:fs';
import * as ort from 'onnxruntime-web';
import { config, floats, serve } from './worker.mjs';

ort.env.wasm.numThreads = 2;
ort.env.logLevel = 'error';
const session = await ort.InferenceSession.create(
  new Uint8Array(readFileSync(`${config.folder}/model.onnx`)),
  {
    executionProviders: ['wasm'],
  },
);
const images = new ort.Tensor('float32', floats(`${config.folder}/images.bin`), config.shape);
await serve({
  version: ort.env.versions.web,
  adapter: 'wasm, 2 threads',
  run: async () => (await session.run({ images })).logits.data,
});
