/** Warnings about training sets that teach little. */
import { describe, expect, test } from 'vitest';
import { RandomStream } from '../src/base/random.ts';
import { trainingSetWarnings } from '../src/data/training_warnings.ts';
import type { Image } from '../src/image/image.ts';

const side = 16;
const image = (value: (i: number) => number): Image => ({
  width: side,
  height: side,
  channels: 3,
  data: Uint8Array.from({ length: side * side * 3 }, (_, i) => value(i)),
});
const plain = (...colour: number[]) => image((i) => colour[i % 3] as number);
function part(seed: number): Image {
  const random = new RandomStream('part', seed);
  return image(() => random.integer(0, 255));
}
const parts = (count: number) => Array.from({ length: count }, (_, i) => part(i));
const paths = (count: number) => Array.from({ length: count }, (_, i) => `${i}.png`);

describe('a training set', () => {
  test('of four different parts is fit', () => {
    expect(trainingSetWarnings(parts(4), paths(4))).toEqual([]);
    expect(trainingSetWarnings([])).toEqual([]);
  });

  test.each([
    ['black', plain(0, 0, 0)],
    ['white', plain(255, 255, 255)],
    ['brown', plain(120, 80, 40)],
    ['grey with noise', image((i) => 100 + (i % 3 === 0 ? (i / 3) % 3 : 0))],
  ])('of one colour (%s) teaches nothing', (_, one) => {
    expect(
      trainingSetWarnings(
        Array.from({ length: 12 }, () => one),
        paths(12),
      ),
    ).toEqual([
      'all 12 training images are one colour: the model can learn nothing from them, and its verdicts mean nothing',
    ]);
    expect(trainingSetWarnings([one])[0]).toMatch(/^the only training image is one colour: /);
  });

  test('of different plain colours teaches nothing either', () => {
    expect(
      trainingSetWarnings([plain(0, 0, 0), plain(9, 9, 9), plain(99, 9, 9), plain(0, 0, 200)])[0],
    ).toMatch(/^all 4 training images are one colour/);
  });

  test('with a failed picture names it; tiles of a plain background are no fault', () => {
    const images = [...parts(4), plain(0, 0, 0), plain(0, 0, 0)];
    expect(trainingSetWarnings(images, paths(6))).toEqual([
      '2 of 6 training images are one colour (the first is 4.png): the model takes such pictures for good parts; ' +
        'remove them where the camera failed',
    ]);
    expect(trainingSetWarnings([...parts(5), plain(0, 0, 0)])[0]).toMatch(
      /^1 of 6 training images is one colour \(the first is number 6\)/,
    );
    expect(trainingSetWarnings(images, ['a', 'a', 'b', 'b', 'c', 'd'])).toEqual([]);
  });

  test.each([1, 2, 3])('of %s photographs is too small', (count) => {
    const [warning, ...more] = trainingSetWarnings(parts(count), paths(count));
    expect(warning).toMatch(
      new RegExp(`^there (is|are) only ${count} training images?: .*expect false alarms`),
    );
    expect(more).toEqual([]);
  });

  test('of tiles is counted by photographs', () => {
    expect(
      trainingSetWarnings(
        parts(9),
        Array.from({ length: 9 }, () => 'one.png'),
      )[0],
    ).toMatch(/only 1 training image:/);
  });

  test('of copies of a few pictures is named, noise or not', () => {
    const noisy = (source: Image, seed: number): Image => {
      const random = new RandomStream('noise', seed);
      return {
        ...source,
        data: source.data.map((v) => Math.min(255, Math.max(0, v + random.integer(-1, 1)))),
      };
    };
    const copies = Array.from({ length: 10 }, (_, i) => noisy(part(0), i));
    expect(trainingSetWarnings(copies, paths(10))[0]).toMatch(
      /^the 10 training images show only one picture: /,
    );
    const two = Array.from({ length: 10 }, (_, i) => part(i % 2));
    expect(trainingSetWarnings(two, paths(10))[0]).toMatch(
      /^the 10 training images show only 2 different pictures: /,
    );
    expect(trainingSetWarnings([...two, ...parts(4)], paths(14))).toEqual([]);
  });
});
