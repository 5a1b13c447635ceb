/** Changed copies of training images. */

import { describe, expect, test } from 'vitest';
import { RandomStream } from '../src/base/random.ts';
import { augment, augmentations, augmentedCount, augmentTraining } from '../src/data/augment.ts';
import type { TrainingImages } from '../src/data/training_images.ts';
import { picture } from './support/tiny_teacher.ts';

const side = 32;
const image = picture(3, side);
const mask = Uint8Array.from({ length: side * side }, (_, i) => (i % side < 8 ? 1 : 0));
const streams = Array.from({ length: 20 }, (_, i) => new RandomStream('augment', i));

describe('a copy', () => {
  test('without a kind is the image itself', () => {
    expect(augment(image, mask, [], new RandomStream(1))).toEqual({ image, mask });
  });

  test('flips are exact, with the mask', () => {
    const mirrored = image.data.map(
      (_, i) =>
        image.data[
          i - 3 * (Math.floor(i / 3) % side) + 3 * (side - 1 - (Math.floor(i / 3) % side))
        ] as number,
    );
    const seen = new Set(
      streams.map((random) => {
        const copy = augment(image, mask, ['flips'], random);
        const flipped = copy.mask?.[0] === 0;
        expect(copy.image.data).toEqual(flipped ? mirrored : image.data);
        return flipped;
      }),
    );
    expect(seen.size).toBe(2);
  });

  test('light changes all pixels alike, rotations and shifts move them within the image', () => {
    for (const random of streams) {
      const flat = { ...image, data: new Uint8Array(image.data.length).fill(100) };
      const lit = augment(flat, mask, ['light'], random);
      expect(new Set(lit.image.data).size).toBe(1);
      expect(lit.mask).toEqual(mask);
      const moved = augment(flat, mask, ['rotations', 'shifts'], random);
      expect(moved.image).toEqual(flat);
      expect(moved.mask).toHaveLength(mask.length);
    }
    expect(augment(image, mask, ['rotations'], new RandomStream(5)).image).not.toEqual(image);
  });
});

test('few images get copies until there are enough, the same ones for the same seed', () => {
  const data: TrainingImages = {
    samples: [],
    images: [image, picture(4, side), picture(5, side)],
    paths: ['a', 'b', 'c'],
    foregrounds: [mask, mask, mask],
    warnings: [],
  };
  const made = augmentTraining(data, augmentations, 7);
  expect(made.images.length).toBeGreaterThanOrEqual(augmentedCount);
  expect(made.images.slice(0, 3)).toEqual(data.images);
  expect(made.paths.slice(3, 7)).toEqual(['a', 'b', 'c', 'a']);
  expect(made.foregrounds).toHaveLength(made.images.length);
  expect(augmentTraining(data, augmentations, 7)).toEqual(made);
  expect(augmentTraining(data, augmentations, 8).images[3]).not.toEqual(made.images[3]);
  const many = {
    ...data,
    images: Array.from({ length: 100 }, () => image),
    paths: [],
    foregrounds: undefined,
  };
  expect(augmentTraining(many, ['flips'], 0).images).toHaveLength(200);
});
