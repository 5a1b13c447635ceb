/**
 * What a training step uploads: bytes and the pixels that an anomaly changes; targets that stay on the
 * device; inputs in parts.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RandomStream } from '../src/base/random.ts';
import { pixelWords } from '../src/data/image_input.ts';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import { elements, type Tensor } from '../src/engine/graph/tensor.ts';
import { relu } from '../src/engine/ops/elementwise.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { Program, type RunInputs } from '../src/engine/runtime/program.ts';
import { type Retargeting, retarget } from '../src/engine/runtime/retarget.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import type { Image } from '../src/image/image.ts';
import { normalize } from '../src/image/normalize.ts';
import { backbones } from '../src/model/backbones.ts';
import { methods } from '../src/model/methods.ts';
import { synthesizeAnomaly } from '../src/synthetic/anomaly.ts';
import { proceduralTextures } from '../src/synthetic/procedural_textures.ts';
import { batchesOf } from '../src/train/batches.ts';
import type { CheckedOptions } from '../src/train/check_options.ts';
import { imageRecorder, stageShape } from '../src/train/stage_images.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

const size = 32;
const stage = methods.aand.stages[0];

function photographs(count: number): Image[] {
  return Array.from({ length: count }, (_, i) => {
    const random = new RandomStream('photograph', i);
    const data = Uint8Array.from({ length: size * size * 3 }, () => random.integer(0, 255));
    return { width: size, height: size, channels: 3, data };
  });
}

const images = photographs(6);
const options = {
  engine: undefined as never,
  backbone: backbones.resnet18,
  mode: 'aand',
  images,
  textures: proceduralTextures(),
  imageSize: size,
  seed: 5,
} as unknown as CheckedOptions;

/** The images of a batch as the host would give them: floats, anomalies blended in. */
async function floats(items: Uint32Array, epoch: number): Promise<Float32Array> {
  const samples = await Promise.all(
    [...items].map((item) =>
      synthesizeAnomaly(
        normalize(images[item] as Image),
        size,
        undefined,
        options.textures,
        new RandomStream(options.seed, 'synthetic', epoch, item),
      ),
    ),
  );
  return Float32Array.from(samples.flatMap(({ values }) => [...values]));
}

async function compiled(
  record: (tape: Tape) => Record<string, Tensor>,
  choices: Retargeting = {},
): Promise<Program> {
  const tape = new Tape(new ParameterSet());
  const outputs = record(tape);
  const store = new ParameterStore(engine, tape.parameters);
  return Program.compile(retarget(engine, choices), tape, { outputs, store });
}

function bytesOf(inputs: RunInputs): number {
  const lists = Object.values(inputs).flatMap((value) => (Array.isArray(value) ? value : [value]));
  return lists.reduce((sum, part) => sum + ('byteLength' in part ? part.byteLength : 0), 0);
}

describe('a step of stage I', () => {
  const items = Uint32Array.of(4, 0, 5, 1, 2);

  test('uploads bytes, the changed pixels, and little else', async () => {
    const inputs = await batchesOf(stage, methods.aand, options, undefined as never).inputs(
      items,
      0,
      1,
      1e-3,
    );
    const counts = [...(inputs.changed_counts as Uint32Array)];
    expect(counts.some((count) => count > 0)).toBe(true);
    expect(counts.some((count) => count < size * size)).toBe(true);
    const changed = (inputs.changed as Uint32Array[]).map(({ length }) => length / 4);
    expect(changed).toEqual(counts);
    const pixels = items.length * size * size;
    expect((inputs.pixels as Uint32Array).byteLength).toBe(3 * pixels);
    // Labels and positions are of the feature grids: at most 1/16 of the pixels, at 12 bytes each.
    const most = 3 * pixels + 16 * counts.reduce((a, b) => a + b, 0) + pixels + 64;
    expect(bytesOf(inputs)).toBeLessThan(most);
  });

  test.each([
    ['whole', {}],
    // Two images of 32x32 quads at once.
    ['in parts of the batch', { target: { maxStorageBufferBindingSize: 2 * 32 * 32 * 16 } }],
  ])('gives the bits of normalised floats, %s', async (_, choices) => {
    const record = imageRecorder(stage, { batch: items.length, size });
    const program = await compiled((tape) => ({ images: record(tape) }), choices);
    for (const epoch of [0, 1]) {
      const { pixels, changed, changed_counts } = await batchesOf(
        stage,
        methods.aand,
        options,
        undefined as never,
      ).inputs(items, epoch, 1, 1e-3);
      const inputs = { pixels, changed, changed_counts } as RunInputs;
      expect((await program.run(inputs)).images).toEqual(await floats(items, epoch));
    }
    expect(program.dispatchCount).toBe(Object.keys(choices).length ? 6 : 2);
    program.destroy();
  });

  test('refuses more changed pixels than an image has', async () => {
    const record = imageRecorder(stage, { batch: 1, size });
    const program = await compiled((tape) => ({ images: record(tape) }));
    const inputs = { pixels: pixelWords(images.slice(0, 1)), changed_counts: Uint32Array.of(0) };
    await expect(
      program.run({ ...inputs, changed: [new Uint32Array(4 * (size * size + 1))] }),
    ).rejects.toThrow("input 'changed': 4100 values given, shape [1,1024,4] needs 4096");
    await expect(program.run({ ...inputs, changed: [new Float32Array(4)] })).rejects.toThrow(
      "input 'changed' [1,1024,4] takes a Uint32Array, not Float32Array",
    );
    program.destroy();
  });
});

test('good images without a cache travel as bytes', async () => {
  const [, second] = methods.aand.stages;
  const uncached = { ...options, cacheBytes: 0 };
  const items = Uint32Array.of(3, 1);
  const inputs = await batchesOf(second, methods.aand, uncached, undefined as never).inputs(
    items,
    0,
    1,
    1e-3,
  );
  expect(Object.keys(inputs).sort()).toEqual(['pixels', 'step']);
  expect(bytesOf(inputs)).toBe(2 * size * size * 3 + 8);
  const tape = new Tape(new ParameterSet());
  second.record(tape, stageShape(uncached, second, 2, false));
  expect(tape.inputs.map(({ name }) => name)).toEqual(['pixels']);
});

describe('inputs in parts', () => {
  const shape = [4, 2, 2, 8];
  const all = Float32Array.from({ length: elements(shape) }, (_, i) => i - 20);
  const expected = all.map((value) => Math.max(value, 0));
  const part = (i: number, of = 4) => all.subarray((i * all.length) / of, ((i + 1) * all.length) / of);
  const positive = (channels = 8) =>
    compiled((tape) => {
      const x = tape.input('x', [4, 2, 2, channels], 'channels');
      return { y: relu(tape, x) };
    });

  test('from the host, from the device and mixed are the whole', async () => {
    const program = await positive();
    expect((await program.run({ x: [0, 1, 2, 3].map((i) => part(i)) })).y).toEqual(expected);
    expect((await program.run({ x: [part(0, 2), part(1, 2)] })).y).toEqual(expected);

    await program.run({ x: all }, []);
    const kept = await program.keep(['y'], 4);
    await program.run({ x: new Float32Array(all.length) }, []);
    const ranges = kept.map(({ ranges: { y } }) => y as NonNullable<typeof y>);
    expect(ranges.map(({ size: bytes }) => bytes)).toEqual(Array(4).fill(2 * 2 * 8 * 4));
    expect((await program.run({ x: ranges })).y).toEqual(expected);
    const mixed = ranges.map((range, i) => (i % 2 ? range : part(i)));
    expect((await program.run({ x: mixed })).y).toEqual(expected);
    // Two runs under way, from different parts.
    const reversed = [...ranges].reverse();
    const [first, second] = await Promise.all([program.run({ x: ranges }), program.run({ x: reversed })]);
    expect(first?.y).toEqual(expected);
    expect(second?.y?.subarray(0, 32)).toEqual(expected.subarray(96));
    for (const each of kept) each.destroy();
    program.destroy();
  });

  test('with padded channels are padded one by one', async () => {
    const program = await positive(3);
    const values = all.subarray(0, 48);
    const parts = [0, 1, 2, 3].map((i) => values.subarray(12 * i, 12 * i + 12));
    expect((await program.run({ x: parts })).y).toEqual(values.map((value) => Math.max(value, 0)));
    program.destroy();
  });

  test('a wrong number or size of parts is told, and the next run works', async () => {
    const program = await positive();
    const buffer = engine.createBuffer('short', 64);
    const short = { buffer, offset: 0, size: 64 };
    for (const [x, message] of [
      [[], "input 'x' [4,2,2,8]: 0 parts, expected a divisor of 4"],
      [[part(0), part(1), part(2)], "input 'x' [4,2,2,8]: 3 parts, expected a divisor of 4"],
      [[part(0), part(1), part(2), part(0, 8)], "input 'x': 16 values given, shape [1,2,2,8] needs 32"],
      [[short, short], "input 'x' [4,2,2,8]: part 1 of 2 has 64 bytes on the device, expected 256"],
    ] as const)
      await expect(program.run({ x })).rejects.toThrow(message);
    expect((await program.run({ x: all })).y).toEqual(expected);
    await expect(program.keep(['z'], 4)).rejects.toThrow("no output 'z' (there are: y)");
    await expect(program.keep(['y'], 3)).rejects.toThrow(
      "output 'y' [4,2,2,8] cannot be cut into 3 equal parts",
    );
    buffer.destroy();
    program.destroy();
  });
});
