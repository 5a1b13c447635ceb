/**
 * The ONNX file as a reader sees it: decoded with the same schema, then evaluated by hand where that is
 * short.
 */
import * as runtime from 'onnxruntime-web';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import { conv2d } from '../src/engine/ops/conv2d.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import { exportOnnx } from '../src/export/onnx.ts';
import { decodeOnnx } from '../src/export/onnx_schema.ts';
import { resizeForms } from '../src/export/processing.ts';
import { backbones } from '../src/model/backbones.ts';
import { detect, detectorParameters, methods } from '../src/model/methods.ts';
import { picture, pixelDifference, preprocessing, resizedSizes } from './support/onnx_resize.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

test('weights are written OIHW, shapes NCHW', async () => {
  const tape = new Tape(new ParameterSet());
  const x = tape.input('x', [1, 4, 6, 2], 'channels');
  const w = tape.parameter('w', [1, 2, 2, 3], 'filter', 'g');
  const y = conv2d(tape, x, w, undefined, { stride: 1 });
  const store = new ParameterStore(engine, tape.parameters);
  // [kh, kw, Ci, Co] = [1, 2, 2, 3], each value its own index.
  store.write(
    'w',
    Float32Array.from({ length: 12 }, (_, i) => i),
  );
  const model = decodeOnnx(await exportOnnx(tape, store, { name: 'one', version: '1', outputs: { y } }));
  expect(model.inputs).toEqual([{ name: 'x', shape: [1, 2, 4, 6] }]);
  expect(model.outputs).toEqual([{ name: 'y', shape: [1, 3, 4, 5] }]);
  const [weights] = model.initializers;
  expect(weights?.shape).toEqual([3, 2, 1, 2]);
  // O = 0: (i, j) over I and kw: index j * 6 + i * 3.
  expect([...(weights?.values ?? [])].slice(0, 4)).toEqual([0, 6, 3, 9]);
  expect(model.nodes.map(({ type }) => type)).toEqual(['Conv', 'Identity']);
  expect(model.nodes[0]?.attributes).toMatchObject({
    strides: [1, 1],
    pads: [0, 0, 0, 0],
    kernel_shape: [1, 2],
  });
});

test('a whole detector has only nodes whose inputs exist, in order', async () => {
  const backbone = backbones.resnet18;
  const set = detectorParameters(backbone, 'aand');
  const store = new ParameterStore(engine, set);
  const tape = new Tape(set);
  const { map, score } = detect(tape, tape.input('images', [1, 64, 64, 3], 'channels'), backbone, 'aand');
  const model = decodeOnnx(
    await exportOnnx(tape, store, { name: 'aand', version: '1', outputs: { map, score } }),
  );
  const known = new Set([...model.inputs, ...model.initializers].map(({ name }) => name));
  for (const node of model.nodes) {
    for (const name of node.inputs) if (name) expect(known, `${node.type} reads ${name}`).toContain(name);
    for (const name of node.outputs) known.add(name);
  }
  expect(known).toContain('map');
  expect(known).toContain('score');
  const parameterBytes = set.specs.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 4), 0);
  const written = model.initializers.reduce((sum, { values }) => sum + values.byteLength, 0);
  expect(written).toBeGreaterThan(parameterBytes);
  store.destroy();
});

test('a training step is refused, by the name of its operation', async () => {
  const backbone = backbones.resnet18;
  const set = detectorParameters(backbone, 'rd');
  const tape = new Tape(set);
  const { loss } = methods.rd.stages[0].record(tape, { teacher: backbone, size: 64, batch: 1, cached: true });
  const store = new ParameterStore(engine, set);
  await expect(exportOnnx(tape, store, { name: 'step', version: '1', outputs: { loss } })).rejects.toThrow(
    /only inference can be exported/,
  );
});

test.each(
  resizeForms,
)('resizing by %s gives the pixels of Pillow, but for a step in few of them', async (form) => {
  runtime.env.wasm.numThreads = 1;
  const session = await runtime.InferenceSession.create(preprocessing(form));
  let [pixels, differing] = [0, 0];
  for (const [width, height] of resizedSizes) {
    const image = picture(width, height);
    const feed = new runtime.Tensor('uint8', image.data, [1, height, width, 3]);
    const { images } = await session.run({ image: feed });
    const { count, most } = pixelDifference(image, images?.data as Float32Array);
    expect(most, `${width}x${height}`).toBeLessThanOrEqual(1);
    differing += count;
    pixels += images?.size ?? 0;
  }
  expect(differing / pixels).toBeLessThan(1e-3);
  await session.release();
});

test('resizing by products has no operator that providers lack', () => {
  const types = (form: 'products' | 'operator') =>
    decodeOnnx(preprocessing(form)).nodes.map(({ type }) => type);
  expect(types('operator').filter((type) => type === 'Resize')).toHaveLength(2);
  expect(types('products')).not.toContain('Resize');
  expect(types('products').filter((type) => type === 'MatMul')).toHaveLength(2);
});
