/**
 * Masks in every encoding that people have: read as 0/1 where the defect is, with what was guessed or does
 * not fit said.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, describe, expect, test } from 'vitest';
import type { Dataset, Sample } from '../src/data/dataset.ts';
import { resizeForeground } from '../src/data/foreground.ts';
import { loadMask, prepareMasks, surveyMasks } from '../src/data/masks.ts';
import { loadTrainingImages } from '../src/data/training_images.ts';

const folder = mkdtempSync(join(tmpdir(), 'aand-masks-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const [width, height] = [40, 30];
const count = 4;

/** Whether pixel x, y of mask i is defective: a rectangle that is another one in each mask. */
const defective = (i: number, x: number, y: number) => x >= 5 + i && x < 15 + 2 * i && y >= 8 && y < 14 + i;

const truth = (i: number) =>
  Uint8Array.from({ length: width * height }, (_, p) =>
    defective(i, p % width, Math.floor(p / width)) ? 1 : 0,
  );

type Encode = (marks: Uint8Array, index: number) => Promise<Buffer>;

const pixels = (marks: Uint8Array, values: (mark: number, position: number) => readonly number[]) =>
  Uint8Array.from([...marks].flatMap((mark, position) => values(mark, position)));

function raw(
  marks: Uint8Array,
  channels: 1 | 2 | 3 | 4,
  values: (mark: number, position: number) => readonly number[],
) {
  return sharp(pixels(marks, values), { raw: { width, height, channels } });
}

const grey =
  (good: number, bad: number): Encode =>
  (marks) =>
    raw(marks, 1, (mark) => [mark ? bad : good])
      .toColourspace('b-w')
      .png()
      .toBuffer();
const colours =
  (good: readonly number[], bad: readonly number[], palette = false): Encode =>
  (marks) =>
    raw(marks, good.length as 3 | 4, (mark) => (mark ? bad : good))
      .png({ palette })
      .toBuffer();
const deep =
  (bad: number): Encode =>
  (marks) =>
    sharp(
      Uint16Array.from(marks, (mark) => mark * bad),
      { raw: { width, height, channels: 1 } },
    )
      .toColourspace('grey16')
      .png()
      .toBuffer();
const jpeg =
  (good: number, bad: number): Encode =>
  (marks) =>
    raw(marks, 1, (mark) => [mark ? bad : good])
      .toColourspace('b-w')
      .jpeg({ quality: 90 })
      .toBuffer();

/** A data set with one mask for each of four defects. */
async function dataset(
  name: string,
  encode: Encode,
  extension = 'png',
  more: Partial<Sample> = {},
): Promise<Dataset> {
  const root = join(folder, name);
  mkdirSync(root, { recursive: true });
  const test: Sample[] = [];
  for (let i = 0; i < count; i++) {
    const image = join(root, `${i}.png`);
    const maskPath = join(root, `${i}_mask.${extension}`);
    writeFileSync(image, await grey(90, 200)(truth(i), i));
    writeFileSync(maskPath, await encode(truth(i), i));
    test.push({ path: image, stem: String(i), defect: 'chip', maskPath, ...more });
  }
  return { name, format: 'folder', folder: root, train: [], test, warnings: [] };
}

async function loaded({ test }: Dataset): Promise<Uint8Array[]> {
  return Promise.all(test.map((sample) => loadMask(sample, width, height)));
}

const truths = Array.from({ length: count }, (_, i) => truth(i));

const said: readonly [name: string, encode: Encode, words: RegExp][] = [
  ['0 and 1', grey(0, 1), /^masks: bright on black, values 0 and 1; marked above 0.5/],
  ['0 and 100', grey(0, 100), /values 0 and 100; marked above 50/],
  [
    'labels 1 and 2',
    grey(1, 2),
    /marks on a background of 1, values 0 and 1; marked where the difference is above 0\.5/,
  ],
  ['red', colours([0, 0, 0], [255, 0, 0]), /^masks: coloured on black, values 0 and 255; marked above 127.5/],
  [
    'blue, darker to the eye than half grey',
    colours([0, 0, 0], [0, 0, 128]),
    /coloured on black, values 0 and 128/,
  ],
  ['a palette of green on black', colours([0, 0, 0], [0, 160, 0], true), /coloured on black/],
  [
    'inverted',
    grey(255, 0),
    /^masks: dark on white, values 0 and 255; marked where the difference is above 127\.5$/,
  ],
  ['inverted 1 and 0', grey(1, 0), /marks on a background of 1, values 0 and 1/],
  ['red on white', colours([255, 255, 255], [255, 0, 0]), /^masks: coloured on white/],
  ['red on blue', colours([0, 0, 255], [255, 0, 0]), /coloured on a background of 0 0 255/],
  [
    'white everywhere, alpha tells',
    colours([255, 255, 255, 0], [255, 255, 255, 255]),
    /in the alpha channel, opaque/,
  ],
  [
    'black everywhere, alpha tells',
    colours([0, 0, 0, 0], [0, 0, 0, 255]),
    /in the alpha channel, opaque on transparent/,
  ],
  ['red on transparent white', colours([255, 255, 255, 0], [255, 0, 0, 255]), /in the alpha channel/],
  [
    'half transparent red',
    colours([0, 0, 0, 0], [255, 0, 0, 128]),
    /in the alpha channel, .*values 0 and 128/,
  ],
  ['a hole in a white layer', colours([255, 255, 255, 255], [255, 255, 255, 0]), /transparent on opaque/],
  ['16 bits, 0 and 1', deep(1), /values 0 and 0\.0039; marked above 0\.0019/],
  ['16 bits, 0 and 255', deep(255), /values 0 and 0\.99; marked above 0\.5/],
];

describe('one rule reads them all', () => {
  test.each(said)('%s', async (name, encode, words) => {
    const prepared = await prepareMasks(await dataset(name, encode));
    expect(await loaded(prepared)).toEqual(truths);
    expect(prepared.warnings).toHaveLength(1);
    expect(prepared.warnings[0]).toMatch(words);
    expect(prepared.masks).toMatchObject({ count, empty: [], full: [] });
  });

  test.each<[string, Encode]>([
    ['0 and 255', grey(0, 255)],
    ['0 and 200', grey(0, 200)],
    ['white on black in RGB', colours([0, 0, 0], [255, 255, 255])],
    ['black and white palette', colours([0, 0, 0], [255, 255, 255], true)],
    ['alpha 0 everywhere', colours([0, 0, 0, 0], [255, 255, 255, 0])],
    ['opaque', colours([0, 0, 0, 255], [255, 255, 255, 255])],
    ['16 bits, 0 and 65535', deep(65535)],
  ])('%s', async (name, encode) => {
    const prepared = await prepareMasks(await dataset(name, encode));
    expect(await loaded(prepared)).toEqual(truths);
    expect(prepared.masks).toMatchObject({ channel: 'colour', background: [0, 0, 0] });
  });
});

const blurred: Encode = (marks) =>
  raw(marks, 1, (mark) => [mark ? 255 : 0])
    .blur(1)
    .toColourspace('b-w')
    .png()
    .toBuffer();
const white = grey(0, 255);
const whiteWithAlpha = colours([255, 255, 255, 0], [255, 255, 255, 255]);
const each =
  (...encodings: readonly Encode[]): Encode =>
  (marks, i) =>
    (encodings[i] as Encode)(marks, i);
/** Two values of defects, the second from the column 9 on. */
const twoClasses =
  (first: number, second: number): Encode =>
  (marks) =>
    raw(marks, 1, (mark, position) => [mark ? (position % width > 8 ? second : first) : 0])
      .toColourspace('b-w')
      .png()
      .toBuffer();

describe('several values', () => {
  test('soft edges keep the limit of 127.5, and nothing needs to be said', async () => {
    const prepared = await prepareMasks(await dataset('blurred', blurred));
    const values = await Promise.all(
      prepared.test.map(({ maskPath }) => sharp(maskPath).toColourspace('b-w').raw().toBuffer()),
    );
    expect(new Set(values[0]).size).toBeGreaterThan(5);
    expect(await loaded(prepared)).toEqual(
      values.map((bytes) => Uint8Array.from(bytes, (value) => (value > 127 ? 1 : 0))),
    );
    expect(prepared.warnings).toEqual([]);
    expect(prepared.masks?.encoding).toBe('bright on black, shades up to 255; marked above 127.5');
  });

  test.each<[string, Encode, readonly string[]]>([
    ['white on black', jpeg(0, 255), []],
    ['the value 100', jpeg(0, 100), ['masks: bright on black, shades up to 110; marked above 55']],
    [
      'inverted',
      jpeg(255, 0),
      ['masks: dark on white, shades up to 255; marked where the difference is above 127.5'],
    ],
  ])('JPEG files: %s, the noise around the edges is no defect', async (name, encode, warnings) => {
    const prepared = await prepareMasks(await dataset(`jpeg ${name}`, encode, 'jpg'));
    expect(await loaded(prepared)).toEqual(truths);
    expect(prepared.warnings).toEqual(warnings);
  });

  test.each([
    [1, 2],
    [20, 5],
    [85, 255],
    [200, 100],
  ])('the classes %i and %i are all defects', async (first, second) => {
    const prepared = await prepareMasks(await dataset(`classes ${first}`, twoClasses(first, second)));
    expect(await loaded(prepared)).toEqual(truths);
    expect(prepared.warnings).toEqual([
      expect.stringMatching(`^masks: bright on black, classes up to ${Math.max(first, second)}`),
    ]);
  });

  test('class numbers of a layout that has them need not be said; not in JPEG files and not inverted', async () => {
    const classes = { maskOfClasses: true };
    const numbers = await prepareMasks(await dataset('visa', grey(0, 3), 'png', classes));
    expect([await loaded(numbers), numbers.warnings]).toEqual([truths, []]);
    const inverted = await prepareMasks(await dataset('visa inverted', grey(255, 0), 'png', classes));
    expect([await loaded(inverted), inverted.warnings.length]).toEqual([truths, 1]);
  });

  test('a defect that covers most of the image inside a dark border stays bright', async () => {
    const marks = (_: Uint8Array, i: number) =>
      white(
        truth(i).map((_, p) =>
          p % width > 1 && p % width < width - 2 && p > width && p < width * (height - 1) ? 1 : 0,
        ),
        i,
      );
    const prepared = await prepareMasks(await dataset('large', marks));
    const [first] = await loaded(prepared);
    expect([first?.[0], first?.[15 * width + 20]]).toEqual([0, 1]);
    expect(prepared.warnings).toEqual([]);
  });
});

describe('masks that do not go with their set are named', () => {
  const warningsOf = async (name: string, encode: Encode) => {
    const prepared = await prepareMasks(await dataset(name, encode));
    const { warnings } = prepared;
    return { prepared, warnings: warnings.map((warning) => warning.replace(/^.*\//, '')) };
  };

  test('one with 0 and 1 among 0 and 255 is read by a limit that fits all', async () => {
    const { prepared, warnings } = await warningsOf('mixed', each(white, white, grey(0, 1), white));
    expect(await loaded(prepared)).toEqual(truths);
    expect(warnings).toEqual(['masks: bright on black, values 0 and 1 or 255; marked above 0.5']);
  });

  test('one with 0 and 1 among soft edges is empty', async () => {
    const { prepared, warnings } = await warningsOf(
      'mixed soft',
      each(blurred, blurred, blurred, grey(0, 1)),
    );
    expect(warnings).toEqual(['3_mask.png: the mask is empty (its brightest value is 1, 127.5 is needed)']);
    expect(prepared.masks?.empty).toEqual([join(folder, 'mixed soft/3_mask.png')]);
  });

  test('empty and full ones', async () => {
    const { prepared, warnings } = await warningsOf(
      'empty and full',
      each(white, grey(0, 0), white, grey(255, 255)),
    );
    expect(warnings).toEqual([
      '1_mask.png: the mask is empty',
      '3_mask.png: the mask is full: it marks every pixel',
    ]);
    const path = (name: string) => [join(folder, 'empty and full', name)];
    expect(prepared.masks).toMatchObject({ count, empty: path('1_mask.png'), full: path('3_mask.png') });
  });

  test('an inverted one, one without the alpha channel, a photograph', async () => {
    const inverted = await warningsOf('one inverted', each(white, white, grey(255, 0), white));
    expect(inverted.warnings).toEqual([
      expect.stringMatching(/^2_mask\.png: its background is another one .* inverted/),
    ]);
    const plain = await warningsOf('one plain', each(whiteWithAlpha, white, whiteWithAlpha, whiteWithAlpha));
    expect(plain.warnings.slice(1)).toEqual([
      '1_mask.png: the mask is empty',
      '1_mask.png: it has no alpha channel, unlike the other masks',
    ]);
    const noise: Encode = (marks) =>
      raw(marks, 1, (_, i) => [(i * 7919) % 251])
        .toColourspace('b-w')
        .png()
        .toBuffer();
    const photograph = await warningsOf('photograph', each(white, white, white, noise));
    expect(photograph.warnings).toEqual([
      expect.stringMatching(/^3_mask\.png: .* it looks like a photograph/),
    ]);
  });

  test('all empty or all full: an error that names the first; aand data lists them', async () => {
    for (const [what, encode] of [
      ['empty', grey(0, 0)],
      ['full', grey(255, 255)],
    ] as const) {
      const all = await dataset(`all ${what}`, encode);
      await expect(prepareMasks(all)).rejects.toThrow(
        new RegExp(
          `^all 4 masks are ${what} \\(the first is .*0_mask\\.png\\), read as: .*\\. aand data shows them`,
        ),
      );
      expect((await surveyMasks(all)).masks?.[what]).toHaveLength(count);
    }
  });

  test('one that cannot be read counts as none; one of another shape is said, one of another size is not', async () => {
    const all = await dataset(
      'shapes',
      each(white, white, white, async () => Buffer.from('no image')),
    );
    const mask = (index: number) => all.test[index]?.maskPath as string;
    writeFileSync(
      mask(0),
      await sharp(await white(truth(0), 0))
        .resize(2 * width, 2 * height, { kernel: 'nearest' })
        .toColourspace('b-w')
        .png()
        .toBuffer(),
    );
    writeFileSync(
      mask(1),
      await sharp(await white(truth(1), 1))
        .extend({ bottom: 10, background: 'black' })
        .toColourspace('b-w')
        .png()
        .toBuffer(),
    );
    const prepared = await prepareMasks(all);
    expect(prepared.warnings).toEqual([
      expect.stringMatching(/3_mask\.png: cannot be read as an image .*3\.png counts as without a mask$/),
      expect.stringMatching(/1_mask\.png: 40x40, its image is 40x30: they do not lie on each other$/),
    ]);
    expect(prepared.test.map(({ maskPath }) => maskPath !== undefined)).toEqual([true, true, true, false]);
    expect(await loadMask(prepared.test[0] ?? {}, width, height)).toEqual(truth(0));
  });

  test('a mask of a good image that is not empty; empty ones are as they should be', async () => {
    const all = await dataset('good', white);
    const goodOnes = all.test
      .slice(0, 2)
      .map(({ maskPath, ...sample }) => ({ ...sample, defect: 'good', goodMaskPath: maskPath as string }));
    writeFileSync(goodOnes[1]?.goodMaskPath as string, await grey(0, 0)(truth(1), 1));
    const prepared = await prepareMasks({ ...all, test: [...goodOnes, ...all.test.slice(2)] });
    expect(prepared.warnings).toEqual([
      expect.stringMatching(/0_mask\.png: marks 5\.0 % of .*0\.png, which counts as good$/),
    ]);
    expect(prepared.masks?.count).toBe(2);
    expect(await loadMask(prepared.test[0] ?? {}, 2)).toEqual(new Uint8Array(4));
  });

  test('without masks there is nothing to say', async () => {
    const { test, ...rest } = await dataset('none', white);
    const prepared = await prepareMasks({ ...rest, test: test.map(({ maskPath, ...sample }) => sample) });
    expect([prepared.masks, prepared.warnings]).toEqual([null, []]);
  });
});

describe('foreground masks', () => {
  /**
   * Foregrounds of four images, whose masks mark all but the rectangle of `truth`: more than half, and the
   * border.
   */
  async function foregrounds(name: string, encode: Encode, extension = 'png') {
    const all = await dataset(`foreground ${name}`, white);
    const path = join(all.folder, 'own');
    mkdirSync(path);
    for (let i = 0; i < count; i++)
      writeFileSync(
        join(path, `${i}.${extension}`),
        await encode(
          truth(i).map((mark) => 1 - mark),
          i,
        ),
      );
    return loadTrainingImages(all.test, 32, { foreground: { kind: 'folder', path } });
  }
  const product = Array.from({ length: count }, (_, i) =>
    resizeForeground(
      truth(i).map((mark) => 1 - mark),
      width,
      height,
      32,
    ),
  );

  test.each<[string, Encode, string, readonly string[]]>([
    ['0 and 255', white, 'png', []],
    ['0 and 1', grey(0, 1), 'png', []],
    ['coloured', colours([0, 0, 0], [0, 0, 90]), 'png', []],
    ['jpeg', jpeg(0, 255), 'jpg', []],
    ['alpha', whiteWithAlpha, 'png', [expect.stringMatching(/^foreground masks: in the alpha channel/)]],
  ])('%s: what is bright, or opaque, is the product', async (name, encode, extension, warnings) => {
    const loaded = await foregrounds(name, encode, extension);
    expect(loaded.foregrounds).toEqual(product);
    expect(loaded.warnings).toEqual(warnings);
  });
});
