/**
 * PyTorch's files: both containers, what they may hold, hostile and broken ones; import of every kind, export
 * back.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RandomStream } from '../src/base/random.ts';
import { newSettings } from '../src/detector/settings.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { Program } from '../src/engine/runtime/program.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import { exportTorch } from '../src/export/torch.ts';
import { backboneNamed, backbones } from '../src/model/backbones.ts';
import { groups, teacherFeatures } from '../src/model/groups.ts';
import { detectorParameters } from '../src/model/methods.ts';
import { importedName, importStateDicts } from '../src/weights/import.ts';
import { storedShape } from '../src/weights/names.ts';
import { loadParameters } from '../src/weights/parameters.ts';
import {
  readSafetensors,
  type StoredTensor,
  storable,
  writeSafetensors,
} from '../src/weights/safetensors.ts';
import { isTorchFile, readTorchFile } from '../src/weights/torch_file.ts';
import { writeTorchFile } from '../src/weights/torch_writer.ts';

const fixture = (name: string) => readFileSync(resolve('test/fixtures', name));
const script = resolve('test/support/make_torch_files.py');
const folder = mkdtempSync(join(tmpdir(), 'aand-torch-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A Python with PyTorch, if this machine has one. */
const python = ['/usr/bin/python3', 'python3'].find((path) => {
  try {
    execFileSync(path, ['-c', 'import torch'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
});
if (!python)
  console.warn(
    'skipped: no Python with PyTorch (Debian: python3-torch), so nothing is compared with PyTorch itself',
  );

describe('reading', () => {
  for (const [name, prefix] of [
    ['torch_zip.pth', ''],
    ['torch_legacy.pth', 'encoder_AT.'],
  ] as const)
    test(`${name}: every element type, strides, offsets, shared storages`, () => {
      const bytes = fixture(name);
      expect(isTorchFile(bytes)).toBe(true);
      const tensors = readTorchFile(bytes, name);
      const get = (key: string) => tensors.get(prefix + key) as StoredTensor;
      expect(tensors.size).toBe(12);
      expect(get('conv.weight').shape).toEqual([2, 3, 4]);
      expect([...get('conv.weight').values]).toEqual(Array.from({ length: 24 }, (_, i) => i));
      expect(get('permuted').shape).toEqual([4, 2, 3]);
      expect([...get('permuted').values.slice(0, 7)]).toEqual([0, 4, 8, 12, 16, 20, 1]);
      expect([...get('channels_last').values]).toEqual(Array.from({ length: 48 }, (_, i) => i));
      expect([...get('half').values]).toEqual([1.5, -2.25]);
      expect([...get('bf16').values]).toEqual([1.5, -3]);
      expect(get('double').values[0]).toBe(Math.fround(1e-3));
      expect(get('num_batches_tracked')).toMatchObject({ shape: [], type: 'I64' });
      expect([...get('num_batches_tracked').values]).toEqual([7]);
      expect([...get('view').values]).toEqual([3, 4, 5, 6]);
      expect([...get('int').values, ...get('flag').values]).toEqual([-5, 1, 0]);
      expect(get('empty').values).toHaveLength(0);
    });

  test('what is not plain data is refused by name, and nothing is run', () => {
    expect(() => readTorchFile(fixture('torch_hostile.pth'), 'x.pth')).toThrow(
      /x\.pth: .*'posix\.system', which is not on the list.*nothing was run/,
    );
    expect(() => readTorchFile(fixture('torch_module.pth'), 'x.pth')).toThrow(
      /torch\.nn\.modules\.linear\.Linear.*Save the state dict alone/,
    );
  });

  test('truncated files say so', () => {
    for (const name of ['torch_zip.pth', 'torch_legacy.pth'])
      for (const share of [0, 0.01, 0.3, 0.6, 0.95])
        expect(() => readTorchFile(fixture(name).subarray(0, fixture(name).length * share), name)).toThrow(
          `${name}: cannot be read as a PyTorch file`,
        );
  });

  test('a tensor that repeats its storage to fill memory is refused', () => {
    const bytes = Buffer.from(
      writeTorchFile(new Map([['', new Map([['w', { shape: [77, 3], values: new Float32Array(231) }]])]])),
    );
    // Sizes 77 and 3 (BININT) become a million each, strides 0: a terabyte out of 231 values.
    const sizes = bytes.indexOf(Buffer.from([0x4a, 77, 0, 0, 0]));
    bytes.writeInt32LE(1_000_000, sizes + 1);
    bytes.writeInt32LE(1_000_000, sizes + 6);
    const strides = bytes.indexOf(Buffer.from([0x4a, 3, 0, 0, 0]), sizes + 10);
    bytes.writeInt32LE(0, strides + 1);
    bytes.writeInt32LE(0, strides + 6);
    expect(() => readTorchFile(bytes, 'w')).toThrow(/reaches beyond its storage of 231 values/);
  });
});

describe('broken input', () => {
  const files: Record<string, { bytes: Uint8Array; read: (bytes: Uint8Array) => unknown }> = {
    'zip .pth': { bytes: fixture('torch_zip.pth'), read: readTorchFile },
    'legacy .pth': { bytes: fixture('torch_legacy.pth'), read: readTorchFile },
    safetensors: {
      bytes: writeSafetensors(new Map([['w', { shape: [4, 5], values: new Float32Array(20) }]]), { a: 'b' }),
      read: readSafetensors,
    },
  };
  for (const [name, { bytes, read }] of Object.entries(files))
    test(`10,000 mutated ${name} files: a value or an error, quickly, in little memory`, () => {
      const random = new RandomStream('mutations', name);
      const before = process.memoryUsage().rss;
      let refused = 0;
      let slowest = 0;
      for (let round = 0; round < 10_000; round++) {
        let mutated: Uint8Array = Uint8Array.from(bytes);
        const changes = random.integer(1, 8);
        for (let i = 0; i < changes; i++) {
          const at = random.integer(0, mutated.length - 1);
          const kind = random.integer(0, 4);
          if (kind === 0) mutated[at] = random.integer(0, 255);
          else if (kind === 1) mutated[at] = (mutated[at] as number) ^ (1 << random.integer(0, 7));
          else if (kind === 2) mutated.fill(random.next() < 0.5 ? 0xff : 0, at, at + random.integer(1, 8));
          else if (kind === 3) mutated = mutated.subarray(0, Math.max(at, 1));
          else
            mutated.copyWithin(at, random.integer(0, mutated.length - 1), random.integer(0, mutated.length));
        }
        const started = performance.now();
        try {
          read(mutated);
        } catch (error) {
          refused++;
          expect(error).toBeInstanceOf(Error);
        }
        slowest = Math.max(slowest, performance.now() - started);
      }
      const grown = (process.memoryUsage().rss - before) / 2 ** 20;
      console.log(
        `${name}: ${refused} of 10000 refused, slowest ${slowest.toFixed(1)} ms, memory +${grown.toFixed(0)} MiB`,
      );
      expect(refused).toBeGreaterThan(1000);
      expect(slowest).toBeLessThan(1000);
      expect(grown).toBeLessThan(600);
    });
});

/** Random tensors of a detector by this program's names. */
function detectorTensors(backbone: string, mode: 'aand' | 'rd'): Map<string, StoredTensor> {
  return new Map(
    detectorParameters(backboneNamed(backbone), mode).specs.map((spec) => {
      const shape = storedShape(spec);
      const random = new RandomStream('detector', spec.name);
      const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.next());
      return [spec.name, { shape, values, type: 'F32' }];
    }),
  );
}

/** Tensors under another program's names. */
function renamed(
  tensors: ReadonlyMap<string, StoredTensor>,
  from: string,
  to: string,
): [string, StoredTensor][] {
  return [...tensors]
    .filter(([name]) => name.startsWith(from))
    .map(([name, tensor]) => [to + name.slice(from.length), tensor]);
}

describe('importing', () => {
  const aand = detectorTensors('resnet18', 'aand');
  const stage1 = { path: 'stage1.pth', tensors: new Map(renamed(aand, 'teacher.', 'encoder_AT.')) };
  const stage2 = {
    path: 'stage2.pth',
    tensors: new Map([...renamed(aand, 'bottleneck.', 'bn.'), ...renamed(aand, 'student.', 'decoder_ss.')]),
  };

  test('names of every kind of file', () => {
    expect(importedName('conv1.weight')).toBe('teacher.conv1.weight');
    expect(importedName('bn1.weight')).toBe('teacher.bn1.weight');
    expect(importedName('state_dict.module.layer1.0.conv1.weight')).toBe('teacher.layer1.0.conv1.weight');
    expect(importedName('encoder_AT.feat_recons_a.K_list.0')).toBe('teacher.feat_recons_a.K_list.0');
    expect(importedName('bn.bn_layer.0.conv1.weight')).toBe('bottleneck.bn_layer.0.conv1.weight');
    expect(importedName('bn.bn1.running_mean')).toBe('bottleneck.bn1.running_mean');
    expect(importedName('decoder_ss.layer1.0.upsample.0.weight')).toBe('student.layer1.0.upsample.0.weight');
    expect(importedName('decoder.layer1.0.conv1.weight')).toBe('student.layer1.0.conv1.weight');
    for (const prefix of [
      '_orig_mod.',
      'backbone.',
      'model.net._orig_mod.',
      'module.encoder.',
      'encoder.module.',
      'teacher.model.',
    ])
      expect(importedName(`${prefix}layer1.0.bn1.bias`), prefix).toBe('teacher.layer1.0.bn1.bias');
    expect(importedName('_orig_mod.bn.module.bn_layer.0.bn1.bias')).toBe('bottleneck.bn_layer.0.bn1.bias');
    expect(importedName('model.bottleneck.conv1.weight')).toBe('bottleneck.conv1.weight');
    expect(importedName('state_dict.decoder._orig_mod.layer2.0.conv1.weight')).toBe(
      'student.layer2.0.conv1.weight',
    );
    expect(importedName('constructor.conv1.weight')).toBe('teacher.constructor.conv1.weight');
  });

  test('stage I and II make a detector; what nobody uses is named with its reason', () => {
    const extra = { shape: [1], values: new Float32Array(1), type: 'F32' } as const;
    const tensors = new Map(stage1.tensors);
    for (const name of [
      'encoder_AT.layer4.0.conv1.weight',
      'encoder_AT.fc.bias',
      'encoder_AT.bn1.num_batches_tracked',
      'bn.conv4.weight',
      'bn.memory.x',
      'surprise',
    ])
      tensors.set(name, extra);
    const result = importStateDicts([{ path: 'stage1.pth', tensors }, stage2]);
    expect(result).toMatchObject({ kind: 'detector', mode: 'aand', backbone: { name: 'resnet18' } });
    expect([...result.tensors.keys()].sort()).toEqual([...aand.keys()].sort());
    expect(result.ignored.map(({ name, reason }) => `${name}: ${reason}`)).toEqual([
      'encoder_AT.layer4.0.conv1.weight: the teacher ends after layer3',
      'encoder_AT.fc.bias: the teacher ends after layer3',
      'encoder_AT.bn1.num_batches_tracked: a counter that nothing reads',
      'bn.conv4.weight: unused by the method',
      'bn.memory.x: the authors drop it on loading',
      'surprise: not part of the model',
    ]);
  });

  test('a torchvision file makes a teacher; RD4AD needs one beside it', () => {
    const plain = {
      path: 'resnet18.pth',
      tensors: new Map(renamed(detectorTensors('resnet18', 'rd'), 'teacher.', '')),
    };
    const rd4ad = {
      path: 'rd.pth',
      tensors: new Map([...stage2.tensors].map(([name, t]) => [name.replace('decoder_ss', 'decoder'), t])),
    };
    expect(importStateDicts([plain])).toMatchObject({ kind: 'teacher', backbone: { name: 'resnet18' } });
    expect(importStateDicts([rd4ad, plain])).toMatchObject({ kind: 'detector', mode: 'rd' });
    expect(() => importStateDicts([rd4ad])).toThrow(
      /tensors are missing .*RD4AD's files need torchvision's beside them/,
    );
  });

  test('what does not fit is named', () => {
    expect(() => importStateDicts([stage1])).toThrow(/hold stage I only/);
    expect(() => importStateDicts([stage1, stage2], backbones.resnet50)).toThrow(
      /stage1\.pth: 'encoder_AT\.layer1\.0\.conv1\.weight' is \[64,64,3,3\], resnet50 needs \[64,64,1,1\]/,
    );
    const tensors = new Map(stage2.tensors);
    tensors.delete('decoder_ss.layer1.0.conv1.weight');
    expect(() => importStateDicts([stage1, { path: 'x', tensors }])).toThrow(
      /1 tensors are missing \(student\.layer1\.0\.conv1\.weight\)/,
    );
    const other = {
      path: 'other.pth',
      tensors: new Map([
        ['conv1.weight', { shape: [64, 3, 7, 7], values: new Float32Array(9408), type: 'F32' as const }],
      ]),
    };
    expect(() => importStateDicts([stage1, stage2, other])).toThrow(
      /is in stage1\.pth and in other\.pth with other values/,
    );
    const ambiguous = new Map(
      [...tensors].flatMap(([name, tensor]) => [
        [`model.${name}`, tensor] as const,
        [`ema.${name}`, { ...tensor, values: tensor.values.map((value) => value + 1) }] as const,
      ]),
    );
    expect(() => importStateDicts([{ path: 'two.pth', tensors: ambiguous }])).toThrow(
      /^two\.pth: 'model\.\S+' and 'ema\.\S+' both are 'bottleneck\.\S+' here, with other values/,
    );
  });

  test('a detector file written as .pth comes back the same', async () => {
    const calibration = { threshold: 1, min: 0, max: 2, rule: 'set by hand' };
    const settings = newSettings({
      backbone: 'resnet18',
      mode: 'aand',
      imageSize: 64,
      image: calibration,
      pixel: calibration,
      calibrationScores: [],
      training: {},
      version: '0',
    });
    const file = writeSafetensors(storable(aand), {
      format: 'aand-webgpu/1',
      detector: JSON.stringify(settings),
    });
    const written = await exportTorch(file, 'model');
    const result = importStateDicts([
      { path: '1', tensors: readTorchFile(written.stage1) },
      { path: '2', tensors: readTorchFile(written.stage2) },
    ]);
    expect(result.mode).toBe('aand');
    for (const [name, { shape, values }] of aand) {
      const back = result.tensors.get(name);
      expect(back?.shape, name).toEqual(shape);
      // Element by element, toEqual needs a minute for these twenty million.
      const same =
        back?.values.length === values.length && back.values.every((value, i) => Object.is(value, values[i]));
      expect(same, name).toBe(true);
    }
  });
});

describe.skipIf(!python)('against PyTorch', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.open();
  });
  afterAll(() => engine?.close());

  for (const name of ['resnet18', 'wide_resnet50_2'] as const)
    test(`${name}: files of every kind import; features equal PyTorch's within 1e-3`, async () => {
      const backbone = backbones[name];
      const set = detectorParameters(backbone, 'aand');
      const size = 64;
      const tensors = Object.fromEntries(set.specs.map((spec) => [spec.name, storedShape(spec)]));
      writeFileSync(join(folder, 'spec.json'), JSON.stringify({ ...backbone, size, tensors }));
      execFileSync(python as string, [script, join(folder, 'spec.json'), folder]);
      const open = (file: string) => ({
        path: file,
        tensors: readTorchFile(readFileSync(join(folder, file)), file),
      });
      const detector = importStateDicts([open('stage1.pth'), open('stage2.pth')]);
      expect(detector).toMatchObject({ kind: 'detector', mode: 'aand', backbone: { name } });
      expect(importStateDicts([open('rd4ad.pth'), open('torchvision.pth')])).toMatchObject({
        mode: 'rd',
        backbone: { name },
      });

      const store = new ParameterStore(engine, set);
      loadParameters(store, [groups.teacher], { tensors: detector.tensors, metadata: {} }, 'imported');
      const tape = new Tape(set);
      const images = tape.input('images', [1, size, size, 3], 'channels');
      const features = teacherFeatures(tape, images, backbone);
      const program = await Program.compile(engine, tape, {
        outputs: Object.fromEntries(features.map((f, i) => [`f${i}`, f])),
        store,
      });
      const planes = size * size;
      const image = Float32Array.from({ length: planes * 3 }, (_, i) =>
        Math.sin(Math.fround(((i % 3) * planes + Math.floor(i / 3)) * 0.37)),
      );
      const result = await program.run({ images: image });
      for (const level of [0, 1, 2]) {
        const bytes = readFileSync(join(folder, `feature${level}.bin`));
        const expected = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
        const actual = result[`f${level}`] as Float32Array;
        const largest = expected.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
        const error = expected.reduce((a, b, i) => Math.max(a, Math.abs(b - (actual[i] as number))), 0);
        console.log(
          `${name} layer${level + 1}: largest difference ${(error / largest).toExponential(1)} of the largest value`,
        );
        expect(actual).toHaveLength(expected.length);
        expect(error / largest).toBeLessThan(1e-3);
      }
      program.destroy();
      store.destroy();
    });

  test('torch.load(weights_only=True) reads what we write', () => {
    const values = Float32Array.of(1.5, -2, 4, 8, 16, 32);
    const path = join(folder, 'ours.pth');
    writeFileSync(
      path,
      writeTorchFile(
        new Map([
          ['bn', new Map([['a.weight', { shape: [2, 3], values }]])],
          ['decoder', new Map([['b', { shape: [], values: Float32Array.of(7) }]])],
        ]),
      ),
    );
    const output = execFileSync(python as string, [script, '--check', path], { encoding: 'utf8' });
    expect(JSON.parse(output)).toEqual({ keys: ['bn', 'decoder'], tensors: 2, sum: 66.5 });
  });
});
