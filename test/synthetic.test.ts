/** Random streams, and the synthetic anomalies that are drawn from them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { RandomStream } from '../src/base/random.ts';
import type { Image } from '../src/image/image.ts';
import { synthesizeAnomaly } from '../src/synthetic/anomaly.ts';
import { brightnessSpaces } from '../src/synthetic/colour.ts';
import { demoProducts, drawPart } from '../src/synthetic/demo_products.ts';
import { perlinMask, perlinNoise } from '../src/synthetic/perlin.ts';
import { proceduralTextures } from '../src/synthetic/procedural_textures.ts';
import { augmentTexture, textureOperations } from '../src/synthetic/texture_operations.ts';

const folder = mkdtempSync(join(tmpdir(), 'aand-data-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

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
