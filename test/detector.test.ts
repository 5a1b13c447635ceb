/**
 * The library's detector in the hands of a caller: what it refuses, what it survives, and results that depend
 * on nothing else.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { ClosedError, DeviceLostError } from '../src/base/errors.ts';
import type { Prediction } from '../src/detector/detector.ts';
import { Detector } from '../src/detector/detector.ts';
import { writeDetector } from '../src/detector/file.ts';
import { MapRunner, type WarmupProgress } from '../src/detector/map_runner.ts';
import { newSettings } from '../src/detector/settings.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { initialize } from '../src/engine/runtime/initialize.ts';
import { Program } from '../src/engine/runtime/program.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import { checkImage, type Image, type ImageInput } from '../src/image/image.ts';
import { encodePng, preprocess, type TrainDetectorOptions, train } from '../src/index.ts';
import { backbones } from '../src/model/backbones.ts';
import { groups } from '../src/model/groups.ts';
import { detectorParameters } from '../src/model/methods.ts';
import { proceduralTextures } from '../src/synthetic/procedural_textures.ts';
import { stripes as picture } from './support/pictures.ts';

const side = 32;
let engine: Engine;
let file: Uint8Array;
let detector: Detector;

const pictures = Array.from({ length: 17 }, (_, i) => picture(i));
/** Of each picture, predicted alone. */
const alone: Prediction[] = [];

beforeAll(async () => {
  engine = await Engine.open();
  const store = new ParameterStore(engine, detectorParameters(backbones.resnet18, 'rd'));
  initialize(store, Object.values(groups), 5);
  const calibration = { threshold: 1, min: 0.5, max: 1.5, rule: 'a test' };
  const settings = newSettings({
    backbone: 'resnet18',
    mode: 'rd',
    imageSize: side,
    image: calibration,
    pixel: calibration,
    calibrationScores: [],
    training: {},
    version: '0',
  });
  file = await writeDetector(store, settings);
  store.destroy();
  detector = await Detector.open(engine, file);
  for (const one of pictures) alone.push(...(await detector.predict([one])));
  expect(new Set(alone.map(({ score }) => score)).size).toBe(pictures.length);
});
afterAll(() => engine.close());
afterEach(() => {
  vi.restoreAllMocks();
});

const first = () => alone[0] as Prediction;
const expectWorks = async (own = detector) =>
  expect(await own.predict([pictures[0] as Image])).toEqual([first()]);
const rejection = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error) => error,
  );

describe('lists of any length', () => {
  test('none give none', async () => {
    expect(await detector.predict([])).toEqual([]);
    await expectWorks();
  });

  test.each([2, 7, 8, 9, 17])('%i give the bits of each alone', async (count) => {
    expect(await detector.predict(pictures.slice(0, count))).toEqual(alone.slice(0, count));
  });

  test('need two programs, whatever the lengths, also after a compilation that failed', async () => {
    const compile = vi.spyOn(Program, 'compile');
    compile.mockRejectedValueOnce(new Error('played by a test'));
    const own = await Detector.open(engine, file);
    await expect(own.predict(pictures.slice(0, 2))).rejects.toThrow('played by a test');
    for (const count of [3, 1, 12, 5, 8, 2, 9])
      expect(await own.predict(pictures.slice(0, count))).toHaveLength(count);
    expect(compile).toHaveBeenCalledTimes(3);
    await own.close();
  });

  test.each([
    [1, 1],
    [1, 3000],
    [3000, 1],
  ])('an image of %i x %i pixels is predicted as it is resized', async (width, height) => {
    const odd = picture(3, width, height);
    const expected = await detector.predict([preprocess(odd, side).image]);
    expect(await detector.predict([odd])).toEqual(expected);
    expect(Number.isFinite(expected[0]?.score)).toBe(true);
  });
});

describe('one image', () => {
  test('has the prediction of a list of one', async () => {
    expect(await detector.predict(pictures[0] as Image)).toEqual(first());
  });

  test('in files of every kind has the bits of its pixels', async () => {
    const png = await encodePng(pictures[0] as Image);
    const folder = mkdtempSync(join(tmpdir(), 'aand-detector-'));
    const path = join(folder, 'a.png');
    writeFileSync(path, png);
    const sources = [path, pathToFileURL(path), png, new Blob([new Uint8Array(png)])];
    try {
      expect(await detector.predict(sources)).toEqual(sources.map(first));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('what is kept on the device', () => {
  test('is two programs, whatever the numbers of images; release frees them, and results stay', async () => {
    const own = await Detector.open(engine, file);
    const { parameters } = own.memory;
    expect(parameters).toBeGreaterThan(1e6);
    expect(own.memory.programs).toBe(0);
    await own.predict(pictures.slice(0, 9));
    const both = own.memory;
    expect(both.programs).toBeGreaterThan(1e6);
    for (const count of [2, 3, 5, 8, 16, 17]) await own.predict(pictures.slice(0, count));
    expect(own.memory).toEqual(both);
    await own.release();
    expect(own.memory).toEqual({ parameters, programs: 0 });
    expect(await own.predict(pictures.slice(0, 3))).toEqual(alone.slice(0, 3));
    await own.close();
  });

  test('is not taken from under calls, whenever it is released', async () => {
    const own = await Detector.open(engine, file);
    const before = own.predict(pictures);
    const released = own.release();
    const after = own.predict(pictures.slice(0, 9));
    const again = own.release();
    expect(await before).toEqual(alone);
    expect(await after).toEqual(alone.slice(0, 9));
    await Promise.all([released, again]);
    const last = own.predict(pictures.slice(0, 1));
    const closing = Promise.all([own.release(), own.close()]);
    expect(await last).toEqual(alone.slice(0, 1));
    await closing;
    await expect(own.predict(pictures.slice(0, 1))).rejects.toThrow(ClosedError);
  });
});

describe('warming up', () => {
  test('compiles both programs with a share that never falls; then nothing is compiled', async () => {
    const own = await Detector.open(engine, file);
    const told: WarmupProgress[] = [];
    await own.warmup((progress) => told.push(progress));
    expect([...new Set(told.map(({ stage, images }) => `${stage} ${images}`))]).toEqual([
      'compiling 8',
      'first run 8',
      'compiling 1',
      'first run 1',
    ]);
    expect(told.every(({ fraction }, i) => fraction >= (told[i - 1]?.fraction ?? 0))).toBe(true);
    expect(told.at(-1)?.fraction).toBe(1);
    const compile = vi.spyOn(Program, 'compile');
    expect(await own.predict(pictures)).toEqual(alone);
    await own.warmup();
    expect(compile).not.toHaveBeenCalled();
    await own.close();
  });

  test('for single images compiles one program', async () => {
    const own = await Detector.open(engine, file);
    const compile = vi.spyOn(Program, 'compile');
    await own.warmup(undefined, [1]);
    expect(compile).toHaveBeenCalledTimes(1);
    await own.close();
    await expect(own.warmup()).rejects.toThrow(ClosedError);
  });
});

const good = picture(0);
const opaque = Uint8ClampedArray.from({ length: side * side * 4 }, (_, i) =>
  i % 4 === 3 ? 255 : (good.data[Math.floor(i / 4) * 3 + (i % 4)] as number),
);

/** What is no image, and what is said of it. */
const wrong: [string, unknown, RegExp][] = [
  ['null', null, / is null, not an image: expected \{ width, height, channels, data \}/],
  ['undefined', undefined, / is undefined, not an image/],
  ['an empty object', {}, / is an object, not an image/],
  [
    '16 bits',
    { ...good, data: new Uint16Array(3072) },
    /of type Uint16Array, expected 8-bit values \(0 to 255\) as Uint8Array/,
  ],
  ['floats', { ...good, data: new Float32Array(3072) }, /of type Float32Array, expected/],
  ['64 bits', { ...good, data: new Float64Array(3072) }, /of type Float64Array, expected/],
  ['signed values', { ...good, data: new Int8Array(3072) }, /of type Int8Array, expected/],
  ['a list of numbers', { ...good, data: Array.from(good.data) }, /of type Array, expected/],
  ['a buffer without a type', { ...good, data: good.data.buffer }, /of type ArrayBuffer, expected/],
  ['no data', { ...good, data: undefined }, /of type undefined, expected/],
  [
    'half of the data',
    { ...good, data: good.data.slice(1536) },
    /1536 values, expected 3072 \(32 x 32 pixels x 3 channels\)/,
  ],
  ['four values a pixel called three', { ...good, data: opaque }, /4096 values, expected 3072/],
  ['one value too many', { ...good, data: new Uint8Array(3073) }, /3073 values, expected 3072/],
  [
    'no pixels',
    { width: 0, height: 0, channels: 3, data: new Uint8Array(0) },
    /width is 0, expected a whole number of at least 1/,
  ],
  ['a negative size', { ...good, width: -32, height: -32 }, /width is -32, expected/],
  ['half a pixel', { ...good, height: 32.5 }, /height is 32\.5, expected/],
  ['no size', { channels: 3, data: good.data }, /width is undefined, expected/],
  ['a size as text', { ...good, width: '32' }, /width is 32, expected a whole number/],
  [
    'grey',
    { width: side, height: side, channels: 1, data: new Uint8Array(1024) },
    /it has 1 channels, expected 3/,
  ],
  ['two channels', { ...good, channels: 2 }, /it has 2 channels, expected 3/],
];

describe('what is no image', () => {
  test.each(wrong)('%s is refused, and the next image is predicted', async (_, value, message) => {
    expect(() => checkImage(value, 'photograph 7')).toThrow(message);
    expect(() => checkImage(value, 'photograph 7')).toThrow(/^photograph 7\b/);
    const error = await rejection(detector.predict([good, value as Image, good]));
    expect(error).toBeInstanceOf(Error);
    expect((error as Error).message).toMatch(/^image 2 of 3\b/);
    expect((error as Error).message).toMatch(message);
  });

  test('leaves the detector as it was', () => expectWorks());

  test.each([
    ['a path', '/photographs/1.png', /^image 1 of 1: \/photographs\/1\.png: no such file/],
    [
      'the bytes of no image',
      new Uint8Array(100),
      /^image 1 of 1 \(Uint8Array of 100 bytes\): cannot be read/,
    ],
    ['nothing', undefined, /^image 1 of 1 is undefined, not an image/],
    ['a list in a list', [[good]], /^image 1 of 1 is Array, not an image/],
  ])('%s is refused', async (_, value, message) => {
    await expect(detector.predict(value as never)).rejects.toThrow(message);
  });

  test('an empty place in a list is refused', async () => {
    await expect(detector.predict(new Array(2))).rejects.toThrow(/^image 1 of 2 is undefined/);
  });
});

describe('8-bit values of other kinds', () => {
  test.each<[string, ImageInput]>([
    ['a Buffer', { ...good, data: Buffer.from(good.data) }],
    ['clamped RGB', { ...good, data: new Uint8ClampedArray(good.data) }],
    ['a part of a larger array', { ...good, data: Uint8Array.of(9, 9, ...good.data, 9).subarray(2, 3074) }],
    ['the pixels of a canvas', { width: side, height: side, data: opaque }],
    ['RGBA', { width: side, height: side, channels: 4, data: new Uint8Array(opaque) }],
  ])('%s has the same prediction', async (_, image) => {
    expect(checkImage(image)).toEqual({ ...good, data: new Uint8Array(good.data) });
    expect(await detector.predict([image])).toEqual([first()]);
  });

  test('a canvas with a pixel that is not opaque is refused with advice', () => {
    const data = opaque.slice();
    data[4 * 70 + 3] = 254;
    expect(() => checkImage({ width: side, height: side, data })).toThrow(
      'the image: pixel 70 is not opaque (alpha 254), so its colours are not known exactly: draw it on an opaque background',
    );
  });

  test('RGBA is no grey image', () => {
    expect(() => checkImage({ width: side, height: side, channels: 4, data: opaque }, 'a mask', [1])).toThrow(
      'a mask: it has 4 channels, expected 1',
    );
  });

  test('preprocess and encodePng check alike', async () => {
    for (const [, value, message] of wrong) {
      expect(() => preprocess(value as Image, side)).toThrow(message);
      if (!/channels, expected/.test(message.source))
        await expect(encodePng(value as Image)).rejects.toThrow(message);
    }
    expect(() => preprocess(good, 0)).toThrow('the size is 0, expected a whole number of at least 1');
    expect(
      (await encodePng({ width: 2, height: 1, channels: 1, data: Uint8Array.of(0, 255) })).length,
    ).toBeGreaterThan(50);
    await expect(encodePng({ ...good, channels: 2 } as never)).rejects.toThrow(
      /it has 2 channels, expected 1 or 3/,
    );
  });
});

describe('train of the library refuses before it takes memory', () => {
  const options = (): TrainDetectorOptions => ({
    engine,
    backbone: backbones.resnet18,
    mode: 'rd',
    teacher: { tensors: new Map(), metadata: {} },
    teacherName: 'no teacher',
    images: [good, good],
    textures: proceduralTextures(),
    imageSize: side,
    batch: 2,
    epochs: [1, 1],
    seed: 0,
  });
  test.each<[string, Record<string, unknown>, RegExp]>([
    [
      'an image of another type',
      { images: [good, { ...good, data: new Float32Array(3072) }] },
      /^training image 2 of 2: .*Float32Array/,
    ],
    [
      'an image of another size',
      { images: [picture(1, 64, 32)] },
      /^training image 1 of 1 has 64 x 32 pixels, expected 32 x 32/,
    ],
    ['no images', { images: [] }, /^there are no good images/],
    ['no list', { images: good }, /^expected a list of images/],
    ['too few foregrounds', { foregrounds: [new Uint8Array(1024)] }, /^1 foregrounds for 2 images/],
    [
      'a foreground of another size',
      { foregrounds: [new Uint8Array(1024), new Uint8Array(9)] },
      /^foreground 2 of 2: .* 1024 values .* it has 9/,
    ],
    [
      'a foreground of floats',
      { foregrounds: [new Uint8Array(1024), new Float32Array(1024)] },
      /^foreground 2 of 2: expected a Uint8Array/,
    ],
    ['an empty batch', { batch: 0 }, /^the batch is 0, expected a whole number of at least 1/],
    ['half an image', { batch: 1.5 }, /^the batch is 1\.5/],
    [
      'a negative number of epochs',
      { epochs: [1, -1] },
      /^the number of epochs of stage II is -1, expected a whole number of at least 0/,
    ],
    ['one number of epochs', { epochs: [1] }, /^the epochs: expected two numbers/],
    ['no textures', { textures: undefined }, /^there are no textures/],
    [
      'an empty source of textures',
      { textures: { ...proceduralTextures(), count: 0 } },
      /^there are no textures/,
    ],
    ['a rate that is no number', { baseRate: Number.NaN }, /^the learning rate is NaN/],
    ['a size of no image', { imageSize: 33 }, /^image size 33 is not a multiple of 32/],
  ])('%s', async (_, change, message) => {
    const createBuffer = vi.spyOn(engine, 'createBuffer');
    await expect(train({ ...options(), ...change } as TrainDetectorOptions)).rejects.toThrow(message);
    expect(createBuffer).not.toHaveBeenCalled();
  });
});

describe('many calls at once', () => {
  test('on several detectors and engines give what they give alone', async () => {
    await using other = await Engine.open();
    const [twin, ...rest] = await Promise.all([
      Detector.open(engine, file),
      Detector.open(engine, file),
      Detector.open(other, file),
    ]);
    const all = [detector, twin, ...rest];
    const calls = Array.from({ length: 24 }, (_, i) => {
      const part = pictures.slice(i % 5, (i % 5) + 1 + (i % 3) * 4);
      return { part, result: (all[i % all.length] as Detector).predict(part) };
    });
    for (const [i, { part, result }] of calls.entries())
      expect(await result).toEqual(alone.slice(i % 5, (i % 5) + part.length));
    for (const own of [twin, ...rest]) await own.close();
    await expectWorks();
  });

  test('explanations among predictions change neither', async () => {
    const store = new ParameterStore(engine, detectorParameters(backbones.resnet18, 'rd'));
    initialize(store, Object.values(groups), 5);
    const runner = new MapRunner(engine, store, backbones.resnet18, 'rd', side);
    const expected = await runner.explain(good);
    expect(expected.map((level) => level.side)).toEqual([8, 4, 2]);
    const mixed = await Promise.all([
      runner.explain(good),
      runner.predict(pictures.slice(0, 9)),
      runner.explain(good),
    ]);
    expect(mixed[0]).toEqual(expected);
    expect(mixed[2]).toEqual(expected);
    expect(mixed[1].map(({ score }) => score)).toEqual(alone.slice(0, 9).map(({ score }) => score));
    await expect(runner.explain({ ...good, data: new Uint8Array(1) })).rejects.toThrow(
      /1 values, expected 3072/,
    );
    const under = runner.explain(good);
    await runner.destroy();
    expect(await under).toEqual(expected);
    await expect(runner.explain(good)).rejects.toThrow(new ClosedError('the detector is closed'));
    await expect(runner.refresh()).rejects.toThrow(ClosedError);
    store.destroy();
  });
});

describe('after its end a detector refuses', () => {
  const closed = new ClosedError('the detector is closed');

  test('closed: calls under way end, later ones reject', async () => {
    const own = await Detector.open(engine, file);
    const calls = [own.predict(pictures), own.predict([good])];
    const closing = [own.close(), own.close()];
    await expect(own.predict([good])).rejects.toThrow(closed);
    expect(await Promise.all(calls)).toEqual([alone, [first()]]);
    await Promise.all(closing);
    for (const late of [own.predict([good]), own.predict([]), own.predict(null as never)])
      await expect(late).rejects.toThrow(closed);
    await expect(own.dispatchCount()).rejects.toThrow(ClosedError);
    await own.close();
    await expectWorks();
  });

  test.each<[string, new (message: string) => Error, RegExp, (own: Engine) => unknown]>([
    ['closed', ClosedError, /^the engine is closed$/, (own) => own.close()],
    ['lost', DeviceLostError, /^the GPU device was lost/, (own) => own.device.destroy()],
  ])('its engine %s: all reject with that', async (_, kind, message, end) => {
    const own = await Engine.open();
    const opened = await Detector.open(own, file);
    expect(await opened.predict([good])).toEqual([first()]);
    const under = [opened.predict(pictures), opened.predict([good]), Detector.open(own, file)].map(rejection);
    await end(own);
    for (const error of await Promise.all(under)) {
      expect(error).toBeInstanceOf(kind);
      expect((error as Error).message).toMatch(message);
    }
    for (const late of [opened.predict([good]), opened.predict([]), Detector.open(own, file)])
      await expect(late).rejects.toThrow(message);
    await opened.close();
    await own.close();
    await expectWorks();
  });

  test.each([
    [
      'a promise of an engine',
      Promise.resolve({}),
      /^the first argument is no engine: give what `await Engine\.open\(\)`/,
    ],
    ['nothing', undefined, /^the first argument is no engine/],
  ])('%s opens nothing', async (_, value, message) => {
    await expect(Detector.open(value as never, file)).rejects.toThrow(message);
  });

  test('a Blob is opened; a missing path and what is no file are refused', async () => {
    const own = await Detector.open(engine, new Blob([new Uint8Array(file)]));
    await expectWorks(own);
    await own.close();
    await expect(Detector.open(engine, 'no/model.safetensors', 'part 7')).rejects.toThrow(
      /^part 7: no\/model\.safetensors: no such file/,
    );
    await expect(Detector.open(engine, good as never, 'part 7')).rejects.toThrow(
      /^part 7: expected the bytes of a file as Uint8Array, ArrayBuffer or Blob, or its path or URL, not an object/,
    );
  });
});
