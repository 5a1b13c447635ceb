/** Moved, blurred, lit and noisy copies of images, against values computed by hand. */

import { describe, expect, test } from 'vitest';
import { RandomStream } from '../src/base/random.ts';
import { augmentations, drawChange, ranges, robustChanges } from '../src/data/augment.ts';
import {
  type Corruption,
  corruptionNames,
  corruptionOf,
  corruptions,
  type Strength,
  strengths,
} from '../src/data/corruptions.ts';
import { type Change, changeImage, inPlace, moveMask, turned } from '../src/image/changes.ts';
import type { Image } from '../src/image/image.ts';
import { picture } from './support/tiny_teacher.ts';

const random = () => new RandomStream('a test');
const rgb = (...pixels: readonly (readonly [number, number, number])[]): Image => ({
  width: pixels.length,
  height: 1,
  channels: 3,
  data: Uint8Array.from(pixels.flat()),
});
const grey = (width: number, values: readonly number[]): Image => ({
  width,
  height: values.length / width,
  channels: 1,
  data: Uint8Array.from(values),
});
const changed = (image: Image, change: Change) => [...changeImage(image, change, random()).data];

describe('changes, by hand', () => {
  test('brightness is a factor, and stops at white', () => {
    expect(changed(rgb([10, 100, 200]), { gains: [1.5, 1.5, 1.5] })).toEqual([15, 150, 255]);
  });

  test('white balance: red times the factor, blue over it; a grey camera sees none', () => {
    const factor = 1.25;
    expect(changed(rgb([100, 100, 100]), { gains: [factor, 1, 1 / factor] })).toEqual([125, 100, 80]);
    expect(changed(grey(1, [100]), { gains: [factor, 1, 1 / factor] })).toEqual([100]);
  });

  test('contrast turns about 128', () => {
    expect(changed(grey(4, [28, 128, 148, 228]), { contrast: 1.5 })).toEqual([0, 128, 158, 255]);
    expect(changed(grey(2, [28, 228]), { contrast: 0.5 })).toEqual([78, 178]);
  });

  test('an offset comes after gains and contrast', () => {
    expect(changed(grey(1, [100]), { gains: [1, 2, 1], contrast: 0.5, offset: -4 })).toEqual([160]);
  });

  test('blur: a point becomes a Gaussian, along both sides', () => {
    // exp(-x^2 / 2) for x = 0..3 is 1, .606531, .135335, .011109; their sum over both sides 2.505950.
    const weights = [0.004433, 0.054006, 0.242036, 0.39905, 0.242036, 0.054006, 0.004433];
    const point = Array.from({ length: 49 }, (_, i) => (i === 24 ? 255 : 0));
    const row = changed(grey(7, point), { blur: 1 }).slice(21, 28);
    expect(row).toEqual(weights.map((weight) => Math.round(255 * weight * 0.39905)));
    expect(changed(grey(7, [0, 0, 0, 255, 0, 0, 0]), { blur: 1 })).toEqual(
      weights.map((weight) => Math.round(255 * weight)),
    );
    expect(changed(grey(3, [80, 80, 80, 80, 80, 80]), { blur: 2 })).toEqual([80, 80, 80, 80, 80, 80]);
  });

  test('noise has its deviation and no direction, and other noise in every colour', () => {
    const flat: Image = { width: 100, height: 100, channels: 3, data: new Uint8Array(30_000).fill(128) };
    const values = changed(flat, { noise: 10 });
    const mean = values.reduce((a, b) => a + b) / values.length;
    const deviation = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length);
    // Deviations of the mean and of the deviation over 30,000 values: .06 and .04.
    expect(Math.abs(mean - 128)).toBeLessThan(0.25);
    expect(Math.abs(deviation - 10)).toBeLessThan(0.2);
    expect(values.filter((value, i) => i % 3 === 0 && value !== values[i + 1]).length).toBeGreaterThan(9000);
    expect(changed(flat, { noise: 10 })).toEqual(values);
  });

  test('a shift takes pixels from there; half a pixel is the mean; the edge is repeated', () => {
    const row = grey(4, [10, 20, 30, 40]);
    expect(changed(row, { placement: { ...inPlace, x: 1 } })).toEqual([20, 30, 40, 40]);
    expect(changed(row, { placement: { ...inPlace, x: -0.5 } })).toEqual([10, 15, 25, 35]);
    expect(changed(grey(1, [10, 20, 30]), { placement: { ...inPlace, y: -1 } })).toEqual([10, 10, 20]);
  });

  test('a quarter turn moves every pixel to its place; sines and cosines are exact', () => {
    // A pixel at (x, y) from the middle comes from (-y, x).
    const quarter = { ...inPlace, cosine: 0, sine: 1 };
    expect(changed(grey(2, [1, 2, 3, 4]), { placement: quarter })).toEqual([2, 4, 1, 3]);
    for (const degrees of [-180, -90, -10, 0, 1, 45, 90, 180]) {
      const { cosine, sine } = turned(degrees);
      expect(cosine).toBeCloseTo(Math.cos((degrees * Math.PI) / 180), 13);
      expect(sine).toBeCloseTo(Math.sin((degrees * Math.PI) / 180), 13);
    }
    expect(turned(0)).toEqual({ cosine: 1, sine: 0 });
  });

  test('a mask moves with its image', () => {
    const side = 16;
    const mask = Uint8Array.from({ length: side * side }, (_, i) => (i % side > 3 && i % side < 7 ? 1 : 0));
    const image: Image = { width: side, height: side, channels: 1, data: mask.map((value) => 200 * value) };
    for (const placement of [
      { ...inPlace, x: 3, y: -2 },
      { ...inPlace, flip: -1 as const },
      { ...inPlace, cosine: 0, sine: -1 },
    ]) {
      const moved = moveMask(mask, image, placement);
      expect([...moved].map((value) => 200 * value)).toEqual(changed(image, { placement }));
      expect(moved).not.toEqual(mask);
    }
    expect(moveMask(mask, image)).toBe(mask);
  });
});

describe('corruptions', () => {
  const side = 32;
  const image = picture(1, side);
  const of = (name: Corruption, strength: Strength, seed = 0) => {
    const stream = new RandomStream(seed, name, 'image 3');
    return changeImage(image, corruptionOf(name, strength, side, stream), stream);
  };

  test.each(
    corruptionNames,
  )('%s: nothing at strength 0, more with each strength, the same every time', (name) => {
    expect(of(name, 0)).toBe(image);
    const distances = strengths.map((strength) => {
      const { data } = of(name, strength);
      return data.reduce((sum, value, i) => sum + Math.abs(value - (image.data[i] as number)), 0);
    });
    for (const i of [1, 2, 3, 4]) {
      // Beyond a pixel a shift makes noise no more different.
      const least = ['shift', 'rotation'].includes(name) && i > 2 ? 0 : (distances[i - 1] as number);
      expect(distances[i]).toBeGreaterThan(least);
    }
    expect(of(name, 3)).toEqual(of(name, 3));
  });

  test('have the sizes that they say', () => {
    const stream = () => new RandomStream('directions');
    expect(corruptionOf('shift', 4, 100, stream()).placement?.x).toSatisfy((x: number) => Math.abs(x) === 8);
    const sine = corruptionOf('rotation', 4, 100, stream()).placement?.sine ?? 0;
    expect(Math.abs(sine)).toBeCloseTo(Math.sin(Math.PI / 18), 12);
    const [red, green, blue] = corruptionOf('white balance', 2, 100, stream()).gains ?? [0, 0, 0];
    expect([red * blue, green]).toEqual([expect.closeTo(1, 12), 1]);
    expect([1.1, 1 / 1.1]).toContain(red);
    const directions = new Set(
      Array.from({ length: 20 }, (_, i) => corruptionOf('brightness', 1, 8, new RandomStream(i)).gains?.[0]),
    );
    expect(directions).toEqual(new Set([1.1, 1 / 1.1]));
    for (const { sizes } of Object.values(corruptions)) expect(sizes).toHaveLength(strengths.length);
  });
});

describe('drawn changes', () => {
  const many = Array.from({ length: 300 }, (_, i) =>
    drawChange(robustChanges, 100, new RandomStream('many', i)),
  );
  const within = (values: readonly number[], least: number, most: number) => {
    expect(Math.min(...values)).toBeGreaterThanOrEqual(least);
    expect(Math.max(...values)).toBeLessThanOrEqual(most);
    // 300 draws come near to both ends.
    expect(Math.min(...values)).toBeLessThan(least + 0.1 * (most - least));
    expect(Math.max(...values)).toBeGreaterThan(most - 0.1 * (most - least));
  };

  test('of a robust training lie within the ranges, and fill them', () => {
    within(
      many.map(({ gains }) => gains?.[1] ?? 0),
      1 / ranges.brightness,
      ranges.brightness,
    );
    within(
      many.map(({ gains }) => (gains?.[0] ?? 0) / (gains?.[1] ?? 1)),
      1 / ranges.whiteBalance,
      ranges.whiteBalance,
    );
    within(
      many.map(({ contrast }) => contrast ?? 0),
      1 / ranges.contrast,
      ranges.contrast,
    );
    within(
      many.map(({ blur }) => blur ?? 0),
      0,
      ranges.blur,
    );
    within(
      many.map(({ noise }) => noise ?? 0),
      0,
      ranges.noise,
    );
    within(
      many.map(({ placement }) => placement?.x ?? 0),
      -5,
      5,
    );
    const { sine } = turned(ranges.tilt);
    within(
      many.map(({ placement }) => placement?.sine ?? 0),
      -sine,
      sine,
    );
    expect(many.every(({ placement, offset }) => placement?.flip === 1 && offset === 0)).toBe(true);
    expect(many.filter(({ blur }) => blur === 0).length).toBeGreaterThan(100);
  });

  test('one kind does not move the numbers of another one', () => {
    const all = drawChange(augmentations, 64, new RandomStream(1));
    const alone = (kind: (typeof augmentations)[number]) => drawChange([kind], 64, new RandomStream(1));
    expect(alone('blur').blur).toBe(all.blur);
    expect(alone('noise').noise).toBe(all.noise);
    expect(alone('shifts').placement?.x).toBe(all.placement?.x);
    expect(alone('rotations').placement?.sine).toBe(all.placement?.sine);
    expect(alone('brightness').gains?.[1]).toBe(all.gains?.[1]);
  });
});
