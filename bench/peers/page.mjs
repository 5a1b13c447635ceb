/** A peer in a page; the query names engine and provider. Sets globalThis.peer = { ready(), run() }. */
const { engine, provider } = Object.fromEntries(new URLSearchParams(location.search));
const config = await (await fetch('/data/config.json')).json();
const floats = async (path) => new Float32Array(await (await fetch(path)).arrayBuffer());

async function onnxruntime() {
  const ort = await import(
    provider === 'webgpu' ? '/onnxruntime/ort.webgpu.bundle.min.mjs' : '/onnxruntime/ort.wasm.bundle.min.mjs'
  );
  ort.env.wasm.wasmPaths = '/onnxruntime/';
  ort.env.logLevel = 'error';
  const model = new Uint8Array(await (await fetch('/data/model.onnx')).arrayBuffer());
  const session = await ort.InferenceSession.create(model, { executionProviders: [provider] });
  const images = new ort.Tensor('float32', await floats('/data/images.bin'), config.shape);
  return { version: ort.env.versions.web, run: async () => (await session.run({ images })).logits.data };
}

/** Weights by torchvision name: { shape, values }. */
async function readWeights() {
  const values = await floats('/data/weights.bin');
  const index = await (await fetch('/data/weights.json')).json();
  return Object.fromEntries(
    Object.entries(index).map(([name, { shape, offset, length }]) => [
      name,
      { shape, values: values.subarray(offset, offset + length) },
    ]),
  );
}

/** The images, NHWC. */
async function pixels() {
  const values = await floats('/data/images.bin');
  const [, c, h, w] = config.shape;
  const area = h * w;
  return values.map((_, at) => {
    const [image, pixel, channel] = [Math.floor(at / (area * c)), Math.floor(at / c) % area, at % c];
    return values[(image * c + channel) * area + pixel];
  });
}

async function jax() {
  const library = await import('/jax/index.js');
  await library.init('webgpu');
  library.defaultDevice('webgpu');
  const { inference, trainingStep } = await import('/resnet18_jax.mjs');
  const { numpy: np, nn } = library;
  const weights = await readWeights();
  const images = np.array(await floats('/data/images.bin')).reshape(config.shape);
  const { version } = await (await fetch('/jax_package.json')).json();
  if (config.work === 'forward') {
    const classify = inference(library, weights);
    return { version, run: async () => (await classify(images.ref)).data() };
  }
  const labels = nn.oneHot(np.array(config.labels, { dtype: np.int32 }), 1000);
  const step = trainingStep(library, weights, config.learningRate);
  return { version, run: () => step(images, labels) };
}

async function tensorflow() {
  const script = (src) =>
    new Promise((resolve, reject) => {
      document.head.append(
        Object.assign(document.createElement('script'), { src, onload: resolve, onerror: reject }),
      );
    });
  await script('/tfjs/tf.min.js');
  await script('/tfjs-webgpu/tf-backend-webgpu.min.js');
  const tf = globalThis.tf;
  await tf.setBackend('webgpu');
  await tf.ready();
  const { inference } = await import('/resnet18.mjs');
  const weights = await readWeights();
  const classify = inference(tf, weights);
  const images = tf.transpose(tf.tensor4d(await floats('/data/images.bin'), config.shape), [0, 2, 3, 1]);
  return {
    version: tf.version.tfjs,
    run: async () => {
      const logits = classify(images);
      const result = await logits.data();
      logits.dispose();
      return result;
    },
  };
}

async function litert() {
  // Its modules name each other by package.
  const imports = { '@litertjs/wasm-utils': '/litert-utils/index.js' };
  document.head.append(
    Object.assign(document.createElement('script'), {
      type: 'importmap',
      textContent: JSON.stringify({ imports }),
    }),
  );
  const { loadLiteRt, loadAndCompile, Tensor } = await import('/litert/index.js');
  const { tfliteModel } = await import('/resnet18_tflite.mjs');
  const [n, c, h, w] = config.shape;
  const shape = [n, h, w, c];
  const model = tfliteModel(await import('/flatbuffers/flatbuffers.js'), await readWeights(), shape);
  const images = await pixels();
  await loadLiteRt('/litert-wasm/');
  const compiled = await loadAndCompile(model, { accelerator: provider, gpuOptions: { precision: 'fp32' } });
  const { version } = await (await fetch('/litert_package.json')).json();
  return {
    version,
    run: async () => {
      const input = Tensor.fromTypedArray(images, shape);
      const [logits] = await compiled.run(input);
      const result = Float32Array.from(await logits.data());
      input.delete();
      logits.delete();
      return result;
    },
  };
}

async function ours() {
  const { openPeer } = await import('/ours.js');
  return openPeer(config);
}

globalThis.peer = await { onnxruntime, tensorflow, jax, litert, ours }[engine]();
globalThis.timed = async () => {
  const started = performance.now();
  await globalThis.peer.run();
  return performance.now() - started;
};
