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
import { synthesizeAnomaly } from '../src/synthetic/anomaly.ts';
import { brightnessSpaces } from '../src/synthetic/colour.ts';
import { demoProducts, drawPart } from '../src/synthetic/demo_products.ts';
import { perlinMask, perlinNoise } from '../src/synthetic/perlin.ts';
import { proceduralTextures } from '../src/synthetic/procedural_textures.ts';
import { augmentTexture, textureOperations } from '../src/synthetic/texture_operations.ts';
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

describe('random streams', () => {
  test('the same keys give the same values, other keys others', () => {
    const draw = (...keys: (string | number)[]) =>
      Array.from(
        { length: 4 },
        (
          (s) => () =>
            s.next()
        )(new RandomStream(...keys)),
      );
    expect(draw(0, 'a', 1)).toEqual(draw(0, 'a', 1));
    expect(draw(0, 'a', 1)).not.toEqual(draw(0, 'a', 2));
    expect(draw(0, 'a', 11)).not.toEqual(draw(0, 'a', 1, 1));
  });

  test('uniform and normal moments; samples are permutations', () => {
    const random = new RandomStream('moments');
    const n = 20000;
    const uniform = Array.from({ length: n }, () => random.next());
    const normal = Array.from({ length: n }, () => random.normal());
    const mean = (v: number[]) => v.reduce((a, b) => a + b, 0) / n;
    const variance = (v: number[]) => v.reduce((a, b) => a + (b - mean(v)) ** 2, 0) / n;
    expect(Math.abs(mean(uniform) - 0.5)).toBeLessThan(0.01);
    expect(Math.abs(mean(normal))).toBeLessThan(0.03);
    expect(Math.abs(variance(normal) - 1)).toBeLessThan(0.05);
    expect([...random.sample(50, 50)].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(random.sample(5, 9)).toHaveLength(5);
  });
});

describe('synthetic anomalies', () => {
  const texture = proceduralTextures().texture(3);

  test('every operation keeps the size, changes what it should, and repeats', () => {
    for (const [name, operation] of Object.entries(textureOperations)) {
      const once = operation(texture, new RandomStream(name));
      expect(once.data.length, name).toBe(texture.data.length);
      expect(operation(texture, new RandomStream(name)).data, name).toEqual(once.data);
    }
    const [first] = texture.data;
    expect(textureOperations.invert(texture, new RandomStream()).data[0]).toBe(255 - (first as number));
    const posterized = new Set(
      Array.from(
        { length: 20 },
        (_, i) => textureOperations.posterize(texture, new RandomStream(i)).data.length,
      ),
    );
    expect(posterized.size).toBe(1);
    expect(augmentTexture(texture, new RandomStream(1)).data).not.toEqual(
      augmentTexture(texture, new RandomStream(2)).data,
    );
  });

  test('equalize and autocontrast reach both ends', () => {
    const ramp: Image = {
      width: 64,
      height: 64,
      channels: 3,
      data: Uint8Array.from({ length: 12288 }, (_, i) => 60 + ((i / 3) % 64)),
    };
    for (const name of ['equalize', 'autocontrast'] as const) {
      const { data } = textureOperations[name](ramp, new RandomStream('ends'));
      expect(Math.min(...data), name).toBeLessThan(8);
      expect(Math.max(...data), name).toBeGreaterThan(247);
    }
  });

  test('colour spaces come back within the rounding of 8 bits', () => {
    for (const space of brightnessSpaces)
      for (const rgb of [
        [0, 0, 0],
        [255, 255, 255],
        [200, 40, 90],
        [10, 120, 240],
        [77, 77, 77],
      ] as const) {
        const back = space.to(...space.from(rgb[0], rgb[1], rgb[2]));
        back.forEach((value, c) => {
          expect(Math.abs(value - (rgb[c] as number)), `${space.name} ${rgb}`).toBeLessThanOrEqual(12);
        });
      }
  });

  test('Perlin noise is zero at its nodes and smooth between them', () => {
    const angles = Float64Array.from({ length: 25 }, (_, i) => i);
    const noise = perlinNoise(32, 4, 4, angles);
    for (let y = 0; y < 32; y += 8)
      for (let x = 0; x < 32; x += 8) expect(noise[y * 32 + x]).toBeCloseTo(0, 6);
    expect(Math.max(...noise.map(Math.abs))).toBeGreaterThan(0.3);
    expect(Math.max(...noise.map(Math.abs))).toBeLessThanOrEqual(1.0001);
  });

  test('masks stay in the foreground; outside of the mask the image is untouched', async () => {
    const size = 64;
    const foreground = new Float32Array(size * size).fill(1, 0, (size * size) / 2);
    const values = new Float32Array(size * size * 3).fill(0.25);
    let covered = 0;
    let clean = 0;
    for (let i = 0; i < 60; i++) {
      const sample = await synthesizeAnomaly(
        values,
        size,
        foreground,
        proceduralTextures(),
        new RandomStream('sample', i),
      );
      const sum = sample.mask.reduce((a, b) => a + b, 0);
      if (sum === 0) clean++;
      covered += sum;
      sample.mask.forEach((m, p) => {
        if (m) expect(p).toBeLessThan((size * size) / 2);
        else expect(sample.values[p * 3]).toBe(0.25);
      });
    }
    expect(covered).toBeGreaterThan(0);
    // 20 % clean by design, more by empty masks.
    expect(clean).toBeGreaterThan(4);
    expect(clean).toBeLessThan(40);
    expect(perlinMask(32, undefined, new RandomStream(5))).toEqual(
      perlinMask(32, undefined, new RandomStream(5)),
    );
  });

  test('demo parts repeat, vary, and their masks cover what changed', () => {
    for (const product of demoProducts) {
      expect(Object.keys(product.defects)).toHaveLength(4);
      const good = drawPart(product, undefined, 0, 1);
      expect(good.mask).toBeUndefined();
      expect(drawPart(product, undefined, 0, 1).image.data).toEqual(good.image.data);
      expect(drawPart(product, undefined, 0, 2).image.data).not.toEqual(good.image.data);
      for (const defect of Object.keys(product.defects)) {
        const count = drawPart(product, defect, 0, 0).mask?.data.filter((v) => v > 0).length ?? 0;
        expect(count, `${product.name} ${defect}`).toBeGreaterThan(40);
      }
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
