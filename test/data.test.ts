/** Images, data sets, weights files, random streams and synthetic anomalies. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, describe, expect, test } from 'vitest';
import { floatToHalf, halfToFloat } from '../src/base/half.ts';
import { spread } from '../src/base/lists.ts';
import { RandomStream } from '../src/base/random.ts';
import { loadMask } from '../src/data/masks.ts';
import { openDataset } from '../src/data/open.ts';
import { firstNonFinite } from '../src/engine/graph/tensor.ts';
import type { Image } from '../src/image/image.ts';
import { normalize } from '../src/image/normalize.ts';
import { bicubicTaps, resizeBicubic, resizeNearest } from '../src/image/resize.ts';
import { rowCapacity } from '../src/model/amplification.ts';
import { positionalEncoding } from '../src/model/raa.ts';
import { decodeImage } from '../src/platform/node.ts';
import { poolMask, sampleRows } from '../src/train/sampling.ts';
import { learningRate } from '../src/train/schedule.ts';
import { fromStored, storedShape, toStored } from '../src/weights/names.ts';
import { readSafetensors, writeSafetensors } from '../src/weights/safetensors.ts';

const folder = mkdtempSync(join(tmpdir(), 'aand-data-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('resizing', () => {
  const fixed = (taps: ReturnType<typeof bicubicTaps>, x: number) =>
    [...taps.weights.subarray(x * taps.stride, x * taps.stride + (taps.count[x] as number))].map(
      (w) => w / 2 ** 22,
    );

  test("Pillow's bicubic weights (method, part 5)", () => {
    const down = bicubicTaps(1024, 256);
    expect(down.first[10]).toBe(34);
    const half = [
      -0.0017089, -0.01098633, -0.01831055, -0.01196289, 0.02270508, 0.09741211, 0.18188477, 0.2409668,
    ];
    [...half, ...half.toReversed()].forEach((w, i) => {
      expect(fixed(down, 10)[i]).toBeCloseTo(w, 6);
    });
    const uneven = bicubicTaps(900, 256);
    expect(uneven.first[0]).toBe(0);
    [
      0.23035542, 0.30372599, 0.27774123, 0.17494904, 0.05871407, -0.0086775, -0.02275451, -0.01309922,
      -0.00095452,
    ].forEach((w, i) => {
      expect(fixed(uneven, 0)[i]).toBeCloseTo(w, 6);
    });
  });

  test('a constant image stays constant; the same size is a copy', () => {
    const image: Image = { width: 7, height: 5, channels: 3, data: new Uint8Array(105).fill(77) };
    expect(new Set(resizeBicubic(image, 32, 64).data)).toEqual(new Set([77]));
    expect(resizeBicubic(image, 7, 5).data).toEqual(image.data);
  });

  test("nearest takes Pillow's pixel", () => {
    const image: Image = { width: 4, height: 1, channels: 1, data: new Uint8Array([0, 1, 2, 3]) };
    expect([...resizeNearest(image, 2, 1).data]).toEqual([1, 3]);
    expect([...resizeNearest(image, 3, 1).data]).toEqual([0, 2, 3]);
  });

  test('normalisation', () => {
    const values = normalize({ width: 1, height: 1, channels: 3, data: new Uint8Array([255, 0, 128]) });
    expect(values[0]).toBeCloseTo((1 - 0.485) / 0.229, 6);
    expect(values[1]).toBeCloseTo(-0.456 / 0.224, 6);
    expect(values[2]).toBeCloseTo((128 / 255 - 0.406) / 0.225, 6);
  });
});

describe('decoding', () => {
  const png = (channels: 1 | 3 | 4, value: number) =>
    sharp({
      create: {
        width: 3,
        height: 2,
        channels: channels === 1 ? 3 : channels,
        background: { r: value, g: value, b: value, alpha: 1 },
      },
    });

  test('grey, RGB and RGBA become RGB', async () => {
    const grey = await png(1, 90).toColourspace('b-w').png().toBuffer();
    const rgba = await png(4, 90).png().toBuffer();
    for (const bytes of [grey, rgba]) {
      const image = await decodeImage(bytes, 'x.png');
      expect(image).toMatchObject({ width: 3, height: 2, channels: 3 });
      expect(new Set(image.data)).toEqual(new Set([90]));
    }
  });

  test('a corrupt file is named', async () => {
    const bytes = (await png(3, 10).png().toBuffer()).subarray(0, 50);
    await expect(decodeImage(bytes, 'broken.png')).rejects.toThrow(
      /^broken\.png: cannot be read as an image/,
    );
  });
});

describe('data sets', () => {
  async function write(path: string, value = 100): Promise<void> {
    const full = join(folder, path);
    mkdirSync(join(full, '..'), { recursive: true });
    const background = { r: value, g: value, b: value };
    writeFileSync(
      full,
      await sharp({ create: { width: 8, height: 8, channels: 3, background } })
        .png()
        .toBuffer(),
    );
  }

  test("MVTec AD's layout, masks paired by stem, what is unpaired named", async () => {
    await write('nut/train/good/b.png');
    await write('nut/train/good/a.PNG');
    await write('nut/test/good/000.png');
    await write('nut/test/dent/000.png');
    await write('nut/test/dent/001.png');
    await write('nut/ground_truth/dent/000_mask.png', 255);
    writeFileSync(join(folder, 'nut/train/good/notes.txt'), 'x');
    const dataset = await openDataset(join(folder, 'nut'));
    expect(dataset.train.map(({ stem }) => stem)).toEqual(['a', 'b']);
    expect(dataset.test.map(({ defect, stem }) => `${defect}/${stem}`)).toEqual([
      'dent/000',
      'dent/001',
      'good/000',
    ]);
    expect(dataset.warnings).toHaveLength(1);
    expect(dataset.warnings[0]).toContain('dent/001.png: no ground truth');
    expect([...(await loadMask(dataset.test[0] ?? {}, 4))]).toEqual(new Array(16).fill(1));
    expect([...(await loadMask({}, 2))]).toEqual([0, 0, 0, 0]);
  });

  test('an empty folder is named with what was expected', async () => {
    mkdirSync(join(folder, 'empty/test'), { recursive: true });
    await expect(openDataset(join(folder, 'empty'))).rejects.toThrow(
      /train\/good holds no images.*holds test\//,
    );
    await expect(openDataset(join(folder, 'absent'))).rejects.toThrow('no such folder');
  });

  test('a limit takes images spread evenly', () => {
    expect(spread([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 4)).toEqual([0, 2, 5, 7]);
    expect(spread([1, 2], 5)).toEqual([1, 2]);
  });
});

describe('safetensors', () => {
  test('f32 and f16 come back; the same input gives the same bytes', () => {
    const values = Float32Array.from([0, -0, 1, -2.5, 65504, 1e-7, 1 / 3, Number.POSITIVE_INFINITY]);
    const tensors = new Map([
      ['a', { shape: [2, 4], values }],
      ['b', { shape: [8], values, type: 'F16' as const }],
    ]);
    const bytes = writeSafetensors(tensors, { note: 'x' });
    expect(writeSafetensors(tensors, { note: 'x' })).toEqual(bytes);
    const file = readSafetensors(bytes);
    expect(file.metadata.note).toBe('x');
    expect(file.tensors.get('a')?.values).toEqual(values);
    expect(file.tensors.get('b')?.values[6]).toBeCloseTo(1 / 3, 3);
    expect(file.tensors.get('b')?.values[4]).toBe(65504);
  });

  test('every finite half survives the round trip', () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      if (((bits >> 10) & 0x1f) === 31 && bits & 0x3ff) continue;
      expect(floatToHalf(halfToFloat(bits))).toBe(bits);
    }
    expect(floatToHalf(2049)).toBe(floatToHalf(2048));
    expect(floatToHalf(2051)).toBe(floatToHalf(2052));
    expect(floatToHalf(65520)).toBe(0x7c00);
  });

  test('truncated and malformed files get clear errors, never a crash', () => {
    const bytes = writeSafetensors(new Map([['weight', { shape: [3], values: new Float32Array(3) }]]));
    expect(() => readSafetensors(bytes.subarray(0, 4), 'm.safetensors')).toThrow(
      'm.safetensors: 4 bytes are too few',
    );
    expect(() => readSafetensors(bytes.subarray(0, 40), 'm')).toThrow(/header needs .* it is truncated/);
    expect(() => readSafetensors(bytes.subarray(0, bytes.length - 1), 'm')).toThrow(
      /'weight' ends at byte 12 of 11: the file is truncated/,
    );
    const random = new RandomStream('fuzz');
    for (let i = 0; i < 2000; i++) {
      const mutated = new Uint8Array(bytes.subarray(0, random.integer(0, bytes.length)));
      for (let k = 0; k < 3 && mutated.length; k++)
        mutated[random.integer(0, mutated.length - 1)] = random.integer(0, 255);
      try {
        readSafetensors(mutated, 'fuzz');
      } catch (error) {
        expect((error as Error).message).toMatch(/^fuzz: /);
      }
    }
  });

  test('state-dict layouts', () => {
    const spec = { name: 'conv.weight', shape: [2, 1, 3, 2], layout: 'filter' } as const;
    expect(storedShape(spec)).toEqual([2, 3, 2, 1]);
    const values = Float32Array.from({ length: 12 }, (_, i) => i);
    expect(toStored(spec, fromStored(spec, values))).toEqual(values);
    // OIHW index (o=1, i=2, kh=1, kw=0) lands at HWIO (1, 0, 2, 1).
    expect(fromStored(spec, values)[((1 * 1 + 0) * 3 + 2) * 2 + 1]).toBe(
      values[((1 * 3 + 2) * 2 + 1) * 1 + 0],
    );
    expect(storedShape({ name: 'x.K_list.0', shape: [1, 1, 100, 64], layout: 'filter' })).toEqual([
      1, 100, 64,
    ]);
  });

  test('every weight of a layer wider than a block finds its place, also in memory that is used again', () => {
    const [kh, kw, ci, co] = [3, 2, 5, 35];
    const spec = { name: 'conv.weight', shape: [kh, kw, ci, co], layout: 'filter' } as const;
    const values = Float32Array.from({ length: kh * kw * ci * co }, (_, i) => i);
    const memory = new Float32Array(values.length + 7).fill(-1);
    const own = fromStored(spec, values, memory);
    expect(own.buffer).toBe(memory.buffer);
    expect(own).toEqual(fromStored(spec, values));
    const misplaced = [];
    for (let y = 0; y < kh; y++)
      for (let x = 0; x < kw; x++)
        for (let i = 0; i < ci; i++)
          for (let o = 0; o < co; o++)
            if (own[((y * kw + x) * ci + i) * co + o] !== values[((o * ci + i) * kh + y) * kw + x])
              misplaced.push([y, x, i, o]);
    expect(misplaced).toEqual([]);
    expect([...memory.subarray(values.length)]).toEqual(new Array(7).fill(-1));
    expect(toStored(spec, own)).toEqual(values);
  });

  test('the first value that is not finite is found', () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
      for (const at of [0, 5, 8]) {
        const values = new Float32Array(9).fill(-0);
        values.set([3.4e38, -3.4e38, 1e-45], 2);
        expect(firstNonFinite(values)).toBe(-1);
        values[at] = bad;
        expect(firstNonFinite(values)).toBe(at);
      }
  });
});

describe('labels and schedule', () => {
  test('pooled masks need more than 30 %', () => {
    const mask = new Float32Array(16);
    mask[0] = 1;
    expect([...poolMask(mask, 1, 4, 2)]).toEqual([0, 0, 0, 0]);
    mask[1] = 1;
    expect([...poolMask(mask, 1, 4, 2)]).toEqual([1, 0, 0, 0]);
  });

  test('rows are sampled without repetition, within the limits, padded', () => {
    const mask = Float32Array.from({ length: 8192 }, (_, i) => (i % 4 === 0 ? 1 : 0));
    const foreground = new Float32Array(8192).fill(1);
    const rows = sampleRows(mask, foreground, new RandomStream('rows'));
    expect([...rows.counts]).toEqual([5000, 1000]);
    expect(new Set(rows.normal).size).toBe(5000);
    for (const row of rows.abnormal) expect(mask[row]).toBe(1);
    const none = sampleRows(new Float32Array(12), foreground.subarray(0, 12), new RandomStream('rows'));
    expect([...none.counts]).toEqual([12, 0]);
    expect(none.abnormal).toHaveLength(rowCapacity(12).abnormal);
    expect(new Set(none.abnormal)).toEqual(new Set([0xffffffff]));
  });

  test('the learning rate falls at 80 % and 90 %', () => {
    const rates = Array.from({ length: 10 }, (_, epoch) => learningRate(1, epoch, 10));
    expect(rates.slice(0, 8)).toEqual(new Array(8).fill(1));
    expect(rates[8]).toBeCloseTo(0.2, 12);
    expect(rates[9]).toBeCloseTo(0.04, 12);
    expect(learningRate(1, 95, 120)).toBe(1);
    expect(learningRate(1, 96, 120)).toBeCloseTo(0.2, 12);
    expect(learningRate(1, 108, 120)).toBeCloseTo(0.04, 12);
  });

  test('positional encoding (method, part 5)', () => {
    const d = 256;
    const encoding = positionalEncoding(d, 4);
    const at = (x: number, y: number, c: number) => encoding[(y * 4 + x) * d + c];
    [0.841471, 0.540302, 0.76172, 0.647906].forEach((value, c) => {
      expect(at(1, 0, c)).toBeCloseTo(value, 5);
    });
    expect(at(1, 3, 128)).toBeCloseTo(at(2, 3, 128) as number, 7);
    expect(at(0, 1, 128)).toBeCloseTo(0.841471, 5);
  });

  test('every kernel file states what it computes', () => {
    const kernels = ['conv2d_lane', 'conv2d_tile', 'weight_gradient_lane', 'batch_norm', 'score_map', 'adam'];
    for (const name of kernels)
      expect(readFileSync(`kernels/${name}.wesl`, 'utf8')).toMatch(/^\/\/ .*\n[\s\S]*Cost/);
  });
});
