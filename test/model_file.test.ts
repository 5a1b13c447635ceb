/**
 * Model files of others: every field of the settings and every tensor is checked, and a detector without a
 * threshold has no verdict.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Detector } from '../src/detector/detector.ts';
import { detectorStore, readDetector, rewriteDetector, writeDetectorTensors } from '../src/detector/file.ts';
import { type DetectorSettings, mostScores } from '../src/detector/settings.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { exportHalf } from '../src/export/half.ts';
import { verifyDigest, writeWithDigest } from '../src/weights/digest.ts';
import { readSafetensors, type TensorToStore, writeSafetensors } from '../src/weights/safetensors.ts';
import { calibration, randomDetector, settings } from './support/model_files.ts';

// Settings are checked before tensors: one tensor is enough for them.
const tiny = new Map([['x', { shape: [1], values: new Float32Array(1) }]]);

type Json = Record<string, unknown>;

/** A file whose settings somebody else wrote, with a digest that fits. */
function written(detector: unknown, format = 'aand-webgpu/2'): Promise<Uint8Array> {
  const text = typeof detector === 'string' ? detector : JSON.stringify(detector);
  return writeWithDigest(tiny, { format, detector: text });
}

async function settingsOf(detector: unknown): Promise<DetectorSettings> {
  return (await readDetector(await written(detector), 'm')).settings;
}

describe('formats', () => {
  test('what is written comes back; files of earlier versions open without a digest', async () => {
    const bytes = await writeDetectorTensors(tiny, settings);
    const file = await readDetector(bytes, 'm');
    expect(file.settings).toEqual(settings);
    expect(await verifyDigest(bytes, file.metadata, 'm')).toBe(true);
    const old = writeSafetensors(tiny, { format: 'aand-webgpu/1', detector: JSON.stringify(settings) });
    expect((await readDetector(old, 'm')).settings).toEqual(settings);
    const again = await rewriteDetector(await readDetector(old, 'm'), { ...settings, version: '2' });
    const rewritten = await readDetector(again, 'm');
    expect(rewritten.metadata.format).toBe('aand-webgpu/2');
    expect(rewritten.settings.version).toBe('2');
    expect(await verifyDigest(again, rewritten.metadata, 'm')).toBe(true);
  });

  test('newer versions, other files and removed digests are refused with what to do', async () => {
    const text = JSON.stringify(settings);
    const open = (metadata: Record<string, string>) => readDetector(writeSafetensors(tiny, metadata), 'm');
    await expect(open({ format: 'aand-webgpu/4', detector: text })).rejects.toThrow(
      /^m: its format 'aand-webgpu\/4' is newer than this program.*Install a current version/,
    );
    await expect(open({})).rejects.toThrow(
      /^m: not a detector of this program \(format 'none'.*aand train makes one/,
    );
    await expect(open({ format: 'pt', detector: text })).rejects.toThrow(
      "not a detector of this program (format 'pt'",
    );
    await expect(open({ format: 'aand-webgpu/2', detector: text })).rejects.toThrow(
      'm: the file has no SHA-256 digest',
    );
    // The settings of a current file in a file that says that it is an old one.
    const { metadata } = readSafetensors(await writeDetectorTensors(tiny, settings));
    await expect(open({ format: 'aand-webgpu/1', detector: metadata.detector as string })).rejects.toThrow(
      "m: its settings were written as 'aand-webgpu/2', the file says 'aand-webgpu/1'",
    );
  });

  test('a model in 16 bits has a digest of its own', async () => {
    const half = await exportHalf(await writeDetectorTensors(tiny, settings), 'm');
    expect((await readDetector(half, 'm')).settings).toEqual(settings);
    half[half.length - 1] = (half.at(-1) as number) ^ 1;
    await expect(readDetector(half, 'm')).rejects.toThrow('m: the file is damaged');
  });
});

describe('settings', () => {
  const { image: _, ...withoutThreshold } = settings;
  const cases: readonly (readonly [string, unknown])[] = [
    ['image', withoutThreshold],
    ['image.threshold', { ...settings, image: { ...calibration, threshold: '1.5' } }],
    ['image.threshold', { ...settings, image: { min: 0, max: 3, rule: '' } }],
    ['image.threshold', { ...settings, image: { ...calibration, threshold: null } }],
    ['image.threshold', JSON.stringify(settings).replace('"threshold":1.5', '"threshold":1e999')],
    ['image.threshold', JSON.stringify(settings).replace('"threshold":1.5', '"threshold":-1e39')],
    ['pixel.threshold', { ...settings, pixel: { ...calibration, threshold: {} } }],
    ['image', { ...settings, image: { ...calibration, min: 4 } }],
    ['pixel.max', { ...settings, pixel: { ...calibration, max: '3' } }],
    ['image.rule', { ...settings, image: { ...calibration, rule: 'x'.repeat(1000) } }],
    ['image', { ...settings, image: 1.5 }],
    ['image', { ...settings, image: [1.5] }],
    ['all', { ...settings, image: null }],
    ['all', { ...settings, pixel: null }],
    ['mode', { ...settings, mode: 'evil' }],
    ['mode', { ...settings, mode: 'constructor' }],
    ['mode', { ...settings, mode: ['rd'] }],
    ['backbone', { ...settings, backbone: 'constructor' }],
    ['backbone', { ...settings, backbone: '__proto__' }],
    ['backbone', { ...settings, backbone: 'toString' }],
    ['backbone', { ...settings, backbone: { name: 'resnet18' } }],
    ['imageSize', { ...settings, imageSize: 1e9 }],
    ['imageSize', { ...settings, imageSize: 2 ** 40 }],
    ['imageSize', { ...settings, imageSize: 0 }],
    ['imageSize', { ...settings, imageSize: -32 }],
    ['imageSize', { ...settings, imageSize: 33 }],
    ['imageSize', { ...settings, imageSize: '32' }],
    ['mean', { ...settings, mean: [0, 0, 0] }],
    ['mean', { ...settings, mean: [] }],
    ['deviation', { ...settings, deviation: [1, 1, 1] }],
    ['deviation.0', { ...settings, deviation: ['0.229', 0.224, 0.225] }],
    ['tiling', { ...settings, tiling: { size: 0, overlap: 0 } }],
    ['tiling', { ...settings, tiling: { size: 64, overlap: 64 } }],
    ['tiling', { ...settings, tiling: { size: 1e9, overlap: 0 } }],
    ['tiling', { ...settings, tiling: null }],
    ['tiling.size', { ...settings, tiling: { size: '64', overlap: 0 } }],
    [
      'calibrationScores',
      { ...settings, calibrationScores: Array(1_000_000).fill({ score: 1, anomalous: false }) },
    ],
    ['calibrationScores', { ...settings, calibrationScores: {} }],
    ['calibrationScores.0.score', { ...settings, calibrationScores: [{ score: '1', anomalous: false }] }],
    ['calibrationScores.0.score', { ...settings, calibrationScores: [{ score: null, anomalous: false }] }],
    ['calibrationScores.0.anomalous', { ...settings, calibrationScores: [{ score: 1, anomalous: 'no' }] }],
    [
      'calibrationScores.0.path',
      { ...settings, calibrationScores: [{ score: 1, anomalous: true, path: 7 }] },
    ],
    ['training', { ...settings, training: [] }],
    ['training.history.<script>', { ...settings, training: { history: { '<script>': [{ loss: 1 }] } } }],
    ['training.history.stage2.0.<b>', { ...settings, training: { history: { stage2: [{ '<b>': 1 }] } } }],
    ['training.history.stage2.0.loss', { ...settings, training: { history: { stage2: [{ loss: '1' }] } } }],
    ['training.history', { ...settings, training: { history: [] } }],
    ['training.history.stage2.0', { ...settings, training: { history: { stage2: [[]] } } }],
    ['training.history.stage2', { ...settings, training: { history: { stage2: 'evil' } } }],
    ['training', { ...settings, training: { a: { b: { c: { d: { e: { f: { g: 1 } } } } } } } }],
    ['training', { ...settings, training: { note: 'x'.repeat(10_000) } }],
    ['training', { ...settings, training: { list: Array(30_000).fill(1) } }],
    ['version', { ...settings, version: 7 }],
    ['all', null],
    ['all', []],
    ['all', '"text"'],
  ];
  test.each(cases)('%s is checked (%#)', async (field, detector) => {
    const error = await readDetector(await written(detector), 'm').catch((reason: Error) => reason.message);
    expect(error).toMatch(/^m: /);
    expect(error).toContain(`setting '${field}' is not valid`);
    expect((error as string).length).toBeLessThan(700);
  });

  test('JSON that is none, is nested without end, or names a field twice', async () => {
    for (const [text, message] of [
      ['{', 'JSON'],
      [`{"training":${'['.repeat(1e6)}`, 'nested more than 12 deep'],
      [`${JSON.stringify(settings).slice(0, -1)},"mode":"aand"}`, "'mode' is there twice"],
      [JSON.stringify(settings).replace('"seed":0', '"__proto__":{}'), "'__proto__' is no name"],
    ] as const)
      await expect(readDetector(await written(text), 'm'), text.slice(0, 40)).rejects.toThrow(message);
  });

  test('fields that are not known are dropped, those of the training kept', async () => {
    const training = { ...settings.training, note: 'ours', nested: { list: [1, null, true] } };
    expect(await settingsOf({ ...settings, training, future: 1 })).toEqual({ ...settings, training });
  });

  test('an import of an earlier version has no threshold, whatever it says', async () => {
    const madeUp = {
      threshold: 1.5,
      min: 0,
      max: 3,
      rule: 'not calibrated: aand calibrate draws the threshold',
    };
    expect(await settingsOf({ ...settings, image: madeUp, pixel: madeUp })).toMatchObject({
      image: null,
      pixel: null,
    });
    expect(await settingsOf({ ...settings, image: null, pixel: null })).toMatchObject({
      image: null,
      pixel: null,
    });
  });

  test('of too many scores as many are written as can be read, spread evenly', async () => {
    const calibrationScores = Array.from({ length: 2.5 * mostScores }, (_, i) => ({
      score: i,
      anomalous: i % 2 > 0,
    }));
    const bytes = await writeDetectorTensors(tiny, { ...settings, calibrationScores });
    const { calibrationScores: kept } = (await readDetector(bytes, 'm')).settings;
    expect(kept).toHaveLength(mostScores);
    expect(kept.slice(0, 3).map(({ score }) => score)).toEqual([0, 2, 5]);
  });
});

describe('tensors', () => {
  let engine: Engine;
  const tensors = randomDetector();
  const image = {
    width: 32,
    height: 32,
    channels: 3,
    data: new Uint8Array(32 * 32 * 3).map((_, i) => i * 7),
  } as const;

  beforeAll(async () => {
    engine = await Engine.open();
  });
  afterAll(() => engine?.close());

  /** The error of opening a file with a digest that fits. */
  async function refusal(changed: ReadonlyMap<string, TensorToStore>, detector: Json = {}): Promise<string> {
    const bytes = await writeDetectorTensors(changed, { ...settings, ...detector });
    const detectorOrError = await Detector.open(engine, bytes, 'm').catch((error: Error) => error.message);
    if (typeof detectorOrError === 'string') return detectorOrError;
    await detectorOrError.close();
    return 'opened';
  }

  test('missing, surplus, swapped and impossible tensors are named', async () => {
    const name = 'teacher.layer1.0.conv1.weight';
    const change = (edit: (copy: Map<string, TensorToStore>) => void) => {
      const copy = new Map(tensors);
      edit(copy);
      return refusal(copy);
    };
    const spoilt = (which: string, value: number) =>
      change((copy) => {
        const tensor = copy.get(which) as TensorToStore;
        copy.set(which, { ...tensor, values: tensor.values.with(3, value) });
      });
    expect(await change((copy) => copy.delete(name))).toBe(
      `m: 1 tensors are missing, the first is '${name}'; is it the right backbone?`,
    );
    expect(await change((copy) => copy.set('evil', { shape: [1], values: new Float32Array(1) }))).toBe(
      "m: 1 tensors are no part of a resnet18 in mode rd, the first is 'evil'",
    );
    expect(await refusal(tensors, { backbone: 'resnet34' })).toMatch(/tensors are missing/);
    expect(
      await change((copy) => {
        copy.set(name, tensors.get('teacher.layer2.0.conv1.weight') as TensorToStore);
      }),
    ).toBe(`m: tensor '${name}' is [128,64,3,3], the model needs [64,64,3,3]; is it the right backbone?`);
    expect(await spoilt(name, Number.NaN)).toBe(`m: tensor '${name}' [64,64,3,3] holds NaN at index 3`);
    expect(await spoilt(name, Number.NEGATIVE_INFINITY)).toContain(
      `tensor '${name}' [64,64,3,3] holds -Infinity`,
    );
    expect(await spoilt('teacher.bn1.running_var', -1)).toBe(
      "m: tensor 'teacher.bn1.running_var' holds -1 at index 3: a variance cannot be negative",
    );
  });

  test('a refused file leaves nothing on the device', async () => {
    const bytes = await writeDetectorTensors(new Map([...tensors].slice(0, -1)), settings);
    const file = await readDetector(bytes, 'm');
    expect(() => detectorStore(engine, file, 'm')).toThrow('1 tensors are missing');
  });

  test('a detector without a threshold has raw scores and no verdict', async () => {
    const bytes = await writeDetectorTensors(tensors, { ...settings, image: null, pixel: null });
    await using detector = await Detector.open(engine, bytes);
    const [prediction] = await detector.predict([image]);
    expect(prediction).toMatchObject({ normalizedScore: null, anomalous: null, mask: null });
    expect(prediction?.score).toBe(prediction?.map.reduce((a, b) => Math.max(a, b)));
    await using calibrated = await Detector.open(engine, await writeDetectorTensors(tensors, settings));
    const [same] = await calibrated.predict([image]);
    expect(same?.score).toBe(prediction?.score);
    expect(same?.anomalous).toBe((same?.score as number) >= 1.5);
  });
});
