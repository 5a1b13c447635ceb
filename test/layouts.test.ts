/**
 * Data sets in every layout: what is understood, what is named as wanting; foregrounds, tiles, image formats.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listCategories } from '../src/data/categories.ts';
import {
  blur,
  foreground,
  foregroundRuleFor,
  otsuThreshold,
  parseForeground,
} from '../src/data/foreground.ts';
import { inspectDataset } from '../src/data/inspect.ts';
import { loadMask } from '../src/data/masks.ts';
import { openDataset } from '../src/data/open.ts';
import { blendTiles, tileGrid } from '../src/data/tiles.ts';
import { loadTrainingImages } from '../src/data/training_images.ts';
import type { Image } from '../src/image/image.ts';
import { decodeImage } from '../src/platform/node.ts';
import { part, writeImage, writeMeta, writeMvtec, writeMvtec3d, writeVisa } from './support/layouts.ts';

const folder = mkdtempSync(join(tmpdir(), 'aand-layouts-'));
const path = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeAll(async () => {
  await writeMvtec(path('mvtec'), 'washer');
  await writeVisa(path('visa'), 'candle');
  await writeVisa(path('meta'), 'candle');
  rmSync(path('meta/split_csv'), { recursive: true });
  writeMeta(path('meta'), 'candle');
  await writeMvtec3d(path('mvtec3d'), 'bagel');
});

const kinds = (samples: readonly { defect: string }[]) => samples.map(({ defect }) => defect).join(' ');

describe('layouts', () => {
  test('each is found by its looks, as a category or by name', async () => {
    for (const [root, category, format] of [
      ['mvtec', 'washer', 'mvtec'],
      ['visa', 'candle', 'visa'],
      ['meta', 'candle', 'visa'],
      ['mvtec3d', 'bagel', 'mvtec3d'],
    ] as const) {
      expect((await openDataset(path(`${root}/${category}`))).format, root).toBe(format);
      expect(await openDataset(path(root), { category })).toEqual(
        await openDataset(path(`${root}/${category}/`)),
      );
      expect(await listCategories(path(root))).toEqual([category]);
    }
    await expect(listCategories(path('mvtec/washer'))).rejects.toThrow(/is a category itself/);
  });

  test('VisA: split by 1cls.csv, kinds by image_anno.csv, masks of class numbers', async () => {
    const dataset = await openDataset(path('visa/candle'));
    expect(dataset.train).toHaveLength(6);
    expect(kinds(dataset.test)).toBe('good good rust chip + scratch');
    expect(dataset.warnings).toEqual([]);
    const rust = dataset.test[2];
    const drawn = part(0, 0, 'rust').mask as Image;
    const loaded = await loadMask(rust ?? {}, drawn.width, drawn.height);
    expect([...loaded]).toEqual(
      Array.from({ length: loaded.length }, (_, i) => (drawn.data[i * drawn.channels] ? 1 : 0)),
    );
  });

  test('VisA: meta.json; files that are listed and missing are named and left out', async () => {
    const dataset = await openDataset(path('meta/candle'));
    expect([dataset.train.length, kinds(dataset.test)]).toEqual([4, 'good anomaly']);
    rmSync(path('meta/candle/Data/Images/Normal/0001.JPG'));
    const less = await openDataset(path('meta/candle'));
    expect(less.train).toHaveLength(3);
    expect(less.warnings).toEqual([expect.stringMatching(/0001\.JPG: listed, but there is no such file/)]);
    await expect(openDataset(path('meta'), { category: 'pcb1', format: 'visa' })).rejects.toThrow(
      /name no training image of 'pcb1'/,
    );
    mkdirSync(path('columns/split_csv'), { recursive: true });
    writeFileSync(path('columns/split_csv/1cls.csv'), 'object,split,image\na,train,b\n');
    await expect(openDataset(path('columns'), { category: 'a', format: 'visa' })).rejects.toThrow(
      /1cls\.csv: lacks the columns label, mask/,
    );
  });

  test('MVTec 3D: photographs and masks, without depth maps', async () => {
    const dataset = await openDataset(path('mvtec3d/bagel'));
    expect([dataset.train.length, kinds(dataset.test)]).toEqual([6, 'chip good good rust']);
    expect(dataset.test.filter(({ maskPath }) => maskPath)).toHaveLength(2);
  });

  test('a flat folder of good images is enough', async () => {
    for (let i = 0; i < 3; i++) await writeImage(path(`flat/${i}.png`), part(0, i).image);
    const dataset = await openDataset(path('flat'));
    expect(dataset).toMatchObject({ name: 'flat', format: 'folder', test: [] });
    expect(dataset.train.map(({ stem }) => stem)).toEqual(['0', '1', '2']);
  });

  test('folders: keys, several kinds, masks by stem, a split that repeats', async () => {
    for (let i = 0; i < 10; i++) await writeImage(path(`own/normal/${i}.png`), part(0, i).image);
    for (const kind of ['rust', 'chip']) {
      const { image, mask } = part(0, 0, kind);
      await writeImage(path(`own/bad_${kind}/a.png`), image);
      await writeImage(path(`own/bad_${kind}/b.jpg`), image, 'jpeg');
      await writeImage(path(`own/masks/bad_${kind}/a.png`), mask as Image, 'grey');
    }
    const found = await openDataset(path('own'));
    // Each image's name decides, so that the share is about 20 %.
    expect(found.train).toHaveLength(7);
    expect(kinds(found.test)).toBe('good good good bad_chip bad_chip bad_rust bad_rust');
    expect(found.warnings).toHaveLength(3);
    expect(found.warnings[0]).toMatch(/own\/normal is taken as good/);
    expect(found.warnings[1]).toMatch(/bad_chip\/b\.jpg: no mask b\.png or b_mask\.png/);
    expect(await openDataset(path('own'))).toEqual(found);

    const some = await openDataset(path('own'), {
      folder: { abnormalDirs: ['bad_rust'], testSplit: 0.5, seed: 1, extensions: ['png'] },
    });
    expect([some.train.length, kinds(some.test)]).toEqual([5, 'good good good good good bad_rust']);
    const test = await openDataset(path('own'), {
      folder: { normalTestDir: 'bad_chip', abnormalDirs: ['bad_rust'] },
    });
    expect([test.train.length, kinds(test.test)]).toEqual([10, 'good good bad_rust bad_rust']);
    await expect(openDataset(path('own'), { folder: { normalDir: 'nothing' } })).rejects.toThrow(
      /own\/nothing \(normal-dir\): no such folder/,
    );
    mkdirSync(path('own/void'));
    await expect(openDataset(path('own'), { folder: { abnormalDirs: ['void'] } })).rejects.toThrow(
      /own\/void \(abnormal-dir\) holds no images/,
    );
    await expect(openDataset(path('own/void'))).rejects.toThrow(
      /void holds no images: photographs of good parts are needed there/,
    );
  });

  test('what is unreadable, there twice, unpaired or does not fit is named', async () => {
    await writeMvtec(path('wrong'), 'washer');
    const washer = path('wrong/washer');
    writeFileSync(
      join(washer, 'train/good/cut.png'),
      readFileSync(join(washer, 'train/good/000.png')).subarray(0, 500),
    );
    writeFileSync(join(washer, 'train/good/twin.png'), readFileSync(join(washer, 'train/good/001.png')));
    writeFileSync(
      join(washer, 'train/good/000.jpg'),
      await sharp(join(washer, 'train/good/000.png')).jpeg().toBuffer(),
    );
    writeFileSync(
      join(washer, 'ground_truth/rust/999_mask.png'),
      readFileSync(join(washer, 'ground_truth/rust/000_mask.png')),
    );
    const empty = { width: 10, height: 20, channels: 1, data: new Uint8Array(200) } as const;
    await writeImage(join(washer, 'ground_truth/chip/000_mask.png'), empty, 'grey');
    mkdirSync(join(washer, 'test/nothing'));
    const { warnings, counts, readable } = await inspectDataset(await openDataset(washer));
    const all = warnings.join('\n');
    expect(all).toMatch(/cut\.png: cannot be read as an image/);
    expect(all).toMatch(/twin\.png: the same picture as .*001\.png/);
    expect(all).toMatch(/000\.jpg and 000\.png have one stem/);
    expect(all).toMatch(/999_mask\.png: a mask without its image/);
    expect(all).toMatch(/chip\/000_mask\.png: 10x20, its image is \d+x\d+: they do not lie on each other/);
    expect(all).toMatch(/chip\/000_mask\.png: the mask is empty/);
    expect(all).toMatch(/test\/nothing holds no images/);
    expect(warnings).toHaveLength(7);
    expect(counts).toMatchObject({ 'train good': 9, 'test rust': 1 });
    expect(readable.has(join(washer, 'train/good/cut.png'))).toBe(false);
  });
});

test('images of 16 bits are shown with the values that they use', async () => {
  const write = (name: string, values: readonly number[]) =>
    sharp(Uint16Array.from(values), { raw: { width: 2, height: 1, channels: 1 } })
      .toColourspace('grey16')
      .png()
      .toFile(path(name));
  mkdirSync(path('deep'));
  await write('deep/a.png', [300, 60000]);
  await write('deep/b.png', [200, 50000]);
  await write('deep/c.png', [20, 1023]);
  const { kinds, warnings } = await inspectDataset(await openDataset(path('deep')));
  expect(kinds).toEqual([{ kind: '2x1, 1 channel, 16 bit, png, values 200 to 60000', count: 2 }]);
  expect(warnings).toEqual([expect.stringMatching(/c\.png: .*values 20 to 1023/)]);
});

describe('image formats come out as 8-bit RGB', () => {
  const width = 4;
  const height = 2;
  // A gradient with three different channels.
  const rgb = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37) % 256);
  const raw = () => sharp(rgb, { raw: { width, height, channels: 3 } });
  const decode = async (bytes: Uint8Array) => decodeImage(bytes, 'x');

  test('PNG, WebP and TIFF without loss', async () => {
    for (const bytes of [
      await raw().png().toBuffer(),
      await raw().webp({ lossless: true }).toBuffer(),
      await raw().tiff({ compression: 'lzw' }).toBuffer(),
    ])
      expect([...(await decode(bytes)).data]).toEqual([...rgb]);
  });

  test('palette, alpha, 16 bits, grey', async () => {
    const two = Uint8Array.from({ length: 24 }, (_, i) => (i < 12 ? 10 : 200));
    const palette = await sharp(two, { raw: { width, height, channels: 3 } })
      .png({ palette: true, colours: 4 })
      .toBuffer();
    expect([...(await decode(palette)).data]).toEqual([...two]);
    const rgba = Uint8Array.from({ length: 32 }, (_, i) =>
      i % 4 === 3 ? 0 : (rgb[Math.floor(i / 4) * 3 + (i % 4)] as number),
    );
    // Transparent pixels keep their colours, as in Pillow.
    expect([
      ...(
        await decode(
          await sharp(rgba, { raw: { width, height, channels: 4 } })
            .png()
            .toBuffer(),
        )
      ).data,
    ]).toEqual([...rgb]);
    const deep = Uint16Array.from({ length: 8 }, (_, i) => i * 8191 + 100);
    const grey16 = await sharp(deep, { raw: { width, height, channels: 1 } })
      .toColourspace('grey16')
      .png()
      .toBuffer();
    expect((await sharp(grey16).metadata()).depth).toBe('ushort');
    const decoded = await decode(grey16);
    for (let i = 0; i < 8; i++)
      expect([...decoded.data.subarray(i * 3, i * 3 + 3)]).toEqual(Array(3).fill((deep[i] as number) >> 8));
  });

  test('CMYK JPEG becomes RGB, EXIF rotation is applied', async () => {
    const red = Uint8Array.from({ length: 32 * 32 * 3 }, (_, i) => (i % 3 === 0 ? 220 : 20));
    const cmyk = await sharp(red, { raw: { width: 32, height: 32, channels: 3 } })
      .toColourspace('cmyk')
      .jpeg({ quality: 95 })
      .toBuffer();
    expect((await sharp(cmyk).metadata()).channels).toBe(4);
    const { data } = await decode(cmyk);
    expect(data[0]).toBeGreaterThan(150);
    expect(data[1]).toBeLessThan(90);
    const turned = await raw().png().withMetadata({ orientation: 6 }).toBuffer();
    expect(await decode(turned)).toMatchObject({ width: height, height: width });
  });
});

describe('foregrounds (method, 3.11)', () => {
  test('rules of the known categories, and of text', () => {
    expect(foregroundRuleFor('mvtec', 'screw')).toEqual({ kind: 'threshold', threshold: 150, dark: true });
    expect(foregroundRuleFor('mvtec', 'cable')).toEqual({ kind: 'disc' });
    expect(foregroundRuleFor('mvtec', 'candle')).toEqual({ kind: 'threshold', threshold: 150, dark: false });
    expect(foregroundRuleFor('folder', 'screw')).toEqual({ kind: 'none' });
    expect(parseForeground('auto')).toBeUndefined();
    expect(parseForeground('threshold-dark:90')).toEqual({ kind: 'threshold', threshold: 90, dark: true });
    expect(parseForeground('folder:a:b')).toEqual({ kind: 'folder', path: 'a:b' });
    for (const text of ['threshold', 'threshold:300', 'disc:3', 'folder:', 'x'])
      expect(() => parseForeground(text), text).toThrow(
        /foreground rule '.*' is not known; there are auto, none/,
      );
  });

  test('the blur: a constant stays, an impulse has the known centre, results are cut to 8 bits after each axis', () => {
    expect(new Set(blur(new Uint8Array(80 * 70).fill(151), 80, 70))).toEqual(new Set([151]));
    const line = new Uint8Array(129 * 3).fill(0);
    for (let y = 0; y < 3; y++) line[y * 129 + 64] = 255;
    // Along y the three rows reflect into the same 255s; along x the centre weight is .0498702: 12.7, cut to
    // 12.
    expect(blur(line, 129, 3)[64]).toBe(12);
  });

  test('thresholds, Otsu, disc, rectangle, own masks', () => {
    const size = 64;
    const data = Uint8Array.from({ length: 128 * 128 }, (_, i) =>
      Math.hypot((i % 128) - 64, Math.floor(i / 128) - 64) < 40 ? 30 : 200,
    );
    const image: Image = { width: 128, height: 128, channels: 1, data };
    const area = (rule: Parameters<typeof foreground>[1]) =>
      foreground(image, rule, size).reduce((sum, v) => sum + v, 0) / size ** 2;
    const circle = (Math.PI * 40 ** 2) / 128 ** 2;
    expect(area({ kind: 'none' })).toBe(1);
    expect(area({ kind: 'otsu', dark: true })).toBeCloseTo(circle, 1);
    expect(area({ kind: 'otsu', dark: false })).toBeCloseTo(1 - circle, 1);
    expect(area({ kind: 'threshold', threshold: 120, dark: true })).toBeCloseTo(circle, 1);
    expect(area({ kind: 'disc' })).toBeCloseTo(Math.PI * 0.45 ** 2, 1);
    expect(area({ kind: 'rectangle' })).toBeCloseTo(0.7 ** 2, 1);
    expect(otsuThreshold(Uint8Array.of(10, 10, 12, 200, 210))).toBe(12);
    const own: Image = { width: 2, height: 2, channels: 1, data: Uint8Array.of(255, 0, 0, 0) };
    const mask = foreground(image, { kind: 'folder', path: 'x' }, 4, own);
    expect([...mask]).toEqual([1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  });

  test('a rule that leaves most images empty stops the training', async () => {
    const { train } = await openDataset(path('mvtec/washer'));
    const rule = { kind: 'threshold', threshold: 255, dark: false } as const;
    await expect(loadTrainingImages(train, 32, { foreground: rule })).rejects.toThrow(
      /the foreground is empty on 6 of 6 images .* aand preview/,
    );
  });
});

describe('tiles', () => {
  test('cover the image, share at least the overlap, end at the edges', () => {
    for (const [width, height] of [
      [100, 64],
      [257, 130],
      [64, 64],
      [40, 300],
    ] as const) {
      const tiles = tileGrid(width, height, { size: 64, overlap: 16 });
      const covered = new Uint8Array(width * height);
      for (const tile of tiles) {
        expect(tile.x + tile.width).toBeLessThanOrEqual(width);
        expect(tile.y + tile.height).toBeLessThanOrEqual(height);
        for (let y = tile.y; y < tile.y + tile.height; y++)
          covered.fill(1, y * width + tile.x, y * width + tile.x + tile.width);
      }
      expect(covered.includes(0)).toBe(false);
      const xs = [...new Set(tiles.map(({ x }) => x))];
      for (let i = 1; i < xs.length; i++)
        expect((xs[i] as number) - (xs[i - 1] as number)).toBeLessThanOrEqual(64 - 16);
    }
    expect(() => tileGrid(100, 100, { size: 64, overlap: 40 })).toThrow(
      /overlap must lie between 0 and half a tile/,
    );
  });

  test('blended maps: constants stay, a step between tiles becomes a ramp', () => {
    const tiling = { size: 64, overlap: 16 };
    const image = { width: 112, height: 64 };
    const maps = [1, 1].map((value) => new Float32Array(32 * 32).fill(value));
    const flat = blendTiles(image, tiling, maps, 32, 0.5);
    expect([flat.width, flat.height]).toEqual([56, 32]);
    for (const value of flat.values) expect(value).toBeCloseTo(1, 6);
    maps[1]?.fill(3);
    const { values, width } = blendTiles(image, tiling, maps, 32, 0.5);
    const row = [...values.subarray(width * 16, width * 17)];
    expect([row[0], row[23], row[32], row[55]]).toEqual([1, 1, 3, 3]);
    for (let x = 25; x < 32; x++) expect(row[x]).toBeGreaterThan(row[x - 1] as number);
  });
});
