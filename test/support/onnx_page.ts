/**
 * Entry of a page: `runModel(file, width, height, bytes)` runs a model of its server on one image in ONNX
 * Runtime's WebGPU provider, and returns every output.
 */
const library = '/ort/ort.webgpu.bundle.min.mjs';

async function runModel(
  file: string,
  width: number,
  height: number,
  text: string,
): Promise<Record<string, number[]>> {
  const runtime = (await import(library)) as typeof import('onnxruntime-web');
  runtime.env.wasm.wasmPaths = '/ort/';
  const model = new Uint8Array(await (await fetch(file)).arrayBuffer());
  const session = await runtime.InferenceSession.create(model, { executionProviders: ['webgpu'] });
  const pixels = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const results = await session.run({ image: new runtime.Tensor('uint8', pixels, [1, height, width, 3]) });
  await session.release();
  return Object.fromEntries(
    Object.entries(results).map(([name, { data }]) => [name, Array.from(data as Float32Array, Number)]),
  );
}

Object.assign(globalThis, { runModel });
