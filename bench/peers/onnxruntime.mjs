/** onnxruntime-node; config.provider is 'cpu' or 'webgpu'. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import ort from 'onnxruntime-node';
import { config, floats, serve } from './worker.mjs';

const { version } = JSON.parse(
  readFileSync(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'), 'utf8'),
);
const session = await ort.InferenceSession.create(`${config.folder}/model.onnx`, {
  executionProviders: [config.provider],
  logSeverityLevel: 3,
});
const images = new ort.Tensor('float32', floats(`${config.folder}/images.bin`), config.shape);
await serve({
  version,
  adapter: config.provider,
  run: async () => (await session.run({ images })).logits.data,
});
