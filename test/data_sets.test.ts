/**
 * Public data sets in the folders and names that they ship with, as small trees of drawn images: MVTec AD 2,
 * MVTec LOCO AD, BTAD, MPDD, KolektorSDD2 and Real-IAD.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { afterAll, describe, expect, test } from 'vitest';
import { listCategories } from '../src/data/categories.ts';
import { loadDefectAreas } from '../src/data/defect_areas.ts';
import { inspectDataset } from '../src/data/inspect.ts';
import { loadMask, prepareMasks } from '../src/data/masks.ts';
import { openDataset } from '../src/data/open.ts';
import { splitGood, type TrainingPlan } from '../src/session/training_plan.ts';

const folder = mkdtempSync(join(tmpdir(), 'aand-sets-'));
const path = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let shade = 0;

/** A grey image of one shade, each of its own. */
async function image(name: string, side = 16): Promise<void> {
  shade++;
  const pixels = new Uint8Array(side * side).fill(100).fill(shade % 256, 0, 1 + (shade >> 8));
  await write(name, pixels, side);
}

/** A mask with the value in some rows, zero elsewhere. */
function mask(name: string, rows: readonly number[] = [], value = 255, side = 16): Promise<void> {
  const pixels = new Uint8Array(side * side);
  for (const y of rows) pixels.fill(value, y * side, (y + 1) * side);
  return write(name, pixels, side);
}

async function write(name: string, pixels: Uint8Array, side: number): Promise<void> {
  mkdirSync(dirname(path(name)), { recursive: true });
  if (name.endsWith('.bmp')) return writeFileSync(path(name), bmp(pixels, side));
  const raw = sharp(pixels, { raw: { width: side, height: side, channels: 1 } }).toColourspace('b-w');
  writeFileSync(path(name), await (name.endsWith('.jpg') ? raw.jpeg() : raw.png()).toBuffer());
}

/** An uncompressed BMP of 24 bits. */
function bmp(pixels: Uint8Array, side: number): Uint8Array {
  const row = Math.ceil((side * 3) / 4) * 4;
  const bytes = new Uint8Array(54 + row * side);
  const view = new DataView(bytes.buffer);
  bytes.set([0x42, 0x4d]);
  view.setUint32(2, bytes.length, true);
  view.setUint32(10, 54, true);
  view.setUint32(14, 40, true);
  view.setInt32(18, side, true);
  view.setInt32(22, -side, true);
  view.setUint16(26, 1, true);
  view.setUint16(28, 24, true);
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++)
      bytes.fill(pixels[y * side + x] as number, 54 + y * row + 3 * x, 57 + y * row + 3 * x);
  return bytes;
}

const kinds = (samples: readonly { defect: string }[]) => samples.map(({ defect }) => defect).join(' ');
const rowsOf = (marks: Uint8Array) =>
  Array.from({ length: 16 }, (_, y) => y).filter((y) => marks[16 * y + 5] === 1);

describe('MVTec AD 2', () => {
  const write = async (root: string) => {
    const can = `${root}/can`;
    for (let i = 0; i < 4; i++) await image(`${can}/train/good/00${i}_regular.png`);
    for (let i = 0; i < 2; i++) await image(`${can}/validation/good/00${i}_regular.png`);
    for (const light of ['regular', 'overexposed', 'underexposed', 'shift_1']) {
      await image(`${can}/test_public/good/000_${light}.png`);
      await image(`${can}/test_public/bad/000_${light}.png`);
      await mask(`${can}/test_public/ground_truth/bad/000_${light}_mask.png`, [3]);
    }
    for (let i = 0; i < 3; i++) await image(`${can}/test_private/00${i}_regular.png`);
    for (let i = 0; i < 2; i++) await image(`${can}/test_private_mixed/00${i}_mixed.png`);
  };

  test('the public test has labels and lightings; private splits are counted and not tested', async () => {
    await write('ad2');
    const dataset = await openDataset(path('ad2/can'));
    expect(dataset.format).toBe('mvtecad2');
    expect([dataset.train.length, dataset.validation?.length, kinds(dataset.test)]).toEqual([
      4,
      2,
      'bad bad bad bad good good good good',
    ]);
    expect(dataset.test.map(({ condition }) => condition).slice(0, 4)).toEqual([
      'overexposed',
      'regular',
      'shift_1',
      'underexposed',
    ]);
    expect(dataset.test.filter(({ maskPath }) => maskPath)).toHaveLength(4);
    expect(dataset.warnings).toEqual([
      expect.stringMatching(/test_private: 3 images without labels are left out of the test; aand predict/),
      expect.stringMatching(/test_private_mixed: 2 images without labels/),
    ]);
    const { counts } = await inspectDataset(dataset);
    expect(counts).toMatchObject({
      'train good': 4,
      'validation good': 2,
      'test bad': 4,
      'of all, regular': 8,
      'of all, shift_1': 2,
      'test_private, no labels': 3,
      'test_private_mixed, no labels': 2,
    });
    expect(await listCategories(path('ad2'))).toEqual(['can']);
  });

  test('its validation images are held out for the threshold, unless a share is asked for', async () => {
    const dataset = await openDataset(path('ad2/can'));
    const plan = { limit: undefined, holdOut: undefined, seed: 0 } as TrainingPlan;
    expect(splitGood(plan, dataset)).toEqual({ train: dataset.train, heldOut: dataset.validation });
    const { train, heldOut } = splitGood({ ...plan, holdOut: 0.5 }, dataset);
    expect(train.length + heldOut.length).toBe(4);
  });

  test('a private split, or the folder of all categories, is no category', async () => {
    await expect(openDataset(path('ad2/can/test_private'))).rejects.toThrow(
      /test_private has no labels: its category is the folder above it, and aand predict/,
    );
    await image('ad2/vial/train/good/000_regular.png');
    await expect(openDataset(path('ad2'))).rejects.toThrow(
      /is no category but holds the categories can, vial: --category names one/,
    );
    rmSync(path('ad2/vial'), { recursive: true });
  });

  test('a lighting that the data set does not name is said, and a name without one', async () => {
    await image('ad2/can/train/good/009_strobe.png');
    await image('ad2/can/train/good/plain.png');
    const { warnings, train } = await openDataset(path('ad2/can'));
    expect(train).toHaveLength(6);
    expect(warnings.join('\n')).toMatch(/the lighting 'strobe' \(1 images, such as .*009_strobe\.png\)/);
    expect(warnings.join('\n')).toMatch(/names of 1 images do not say their lighting, such as .*plain\.png/);
  });
});

describe('MVTec LOCO AD', () => {
  const box = 'loco/breakfast_box';
  const write = async () => {
    for (let i = 0; i < 4; i++) await image(`${box}/train/good/00${i}.png`);
    for (let i = 0; i < 3; i++) await image(`${box}/validation/good/00${i}.png`);
    await image(`${box}/test/good/000.png`);
    await image(`${box}/test/logical_anomalies/000.png`);
    await mask(`${box}/ground_truth/logical_anomalies/000/000.png`, [2, 3], 255);
    await mask(`${box}/ground_truth/logical_anomalies/000/001.png`, [3, 9], 254);
    await image(`${box}/test/structural_anomalies/000.png`);
    await mask(`${box}/ground_truth/structural_anomalies/000/000.png`, [5], 3);
    const config = [255, 254, 3].map((pixel_value, i) => ({
      defect_name: `kind_${i}`,
      pixel_value,
      saturation_threshold: i ? 1 : 800,
      relative_saturation: i > 0,
    }));
    writeFileSync(path(`${box}/defects_config.json`), JSON.stringify(config));
  };

  test('several masks of an image are one truth, whatever their values', async () => {
    await write();
    const dataset = await prepareMasks(await openDataset(path(box)));
    expect(dataset.format).toBe('mvtecloco');
    expect([dataset.train.length, dataset.validation?.length, kinds(dataset.test)]).toEqual([
      4,
      3,
      'good logical_anomalies structural_anomalies',
    ]);
    const [, logical, structural] = dataset.test;
    expect(rowsOf(await loadMask(logical ?? {}, 16))).toEqual([2, 3, 9]);
    expect(rowsOf(await loadMask(structural ?? {}, 16))).toEqual([5]);
    expect(dataset.masks?.count).toBe(3);
  });

  test('every mask is a defect of its own, which is found whole from some area on', async () => {
    const dataset = await openDataset(path(box));
    expect(dataset.warnings).toEqual([]);
    const [good, logical, structural] = dataset.test;
    expect(await loadDefectAreas(good ?? {}, 16, 16)).toBeUndefined();
    // Rows 2 and 3, and rows 3 and 9, of 16 pixels; 800 pixels are more than an area has.
    const rowsOfAreas = async (sample: typeof logical, side: number) =>
      (await loadDefectAreas(sample ?? {}, side, side))?.map(({ pixels, saturation }) => [
        [...new Set([...pixels].map((i) => Math.floor(i / side)))],
        saturation,
      ]);
    expect(await rowsOfAreas(logical, 16)).toEqual([
      [[2, 3], 32],
      [[3, 9], 32],
    ]);
    expect(await rowsOfAreas(structural, 16)).toEqual([[[5], 16]]);
    // At half of the size an area of absolute saturation has a quarter of it.
    const config = JSON.parse(readFileSync(path(`${box}/defects_config.json`), 'utf8')) as object[];
    const changed = config.map((kind, i) =>
      i === 1
        ? { ...kind, saturation_threshold: 0.25 }
        : { ...kind, saturation_threshold: 8, relative_saturation: false },
    );
    writeFileSync(path(`${box}/defects_config.json`), JSON.stringify(changed));
    const again = (await openDataset(path(box))).test;
    expect((await rowsOfAreas(again[1], 16))?.map(([, saturation]) => saturation)).toEqual([8, 8]);
    const half = await rowsOfAreas(again[1], 8);
    expect(half?.[0]?.[1]).toBe(2);
    writeFileSync(path(`${box}/defects_config.json`), JSON.stringify(config.slice(1)));
    const unknown = (await openDataset(path(box))).test[1];
    await expect(loadDefectAreas(unknown ?? {}, 16, 16)).rejects.toThrow(
      /000\.png: its value 255 is no kind of defect in defects_config\.json, which has 254, 3/,
    );
  });

  test('without usable rules there is no sPRO, and it is said', async () => {
    const said = async () => (await openDataset(path(box))).warnings;
    writeFileSync(path(`${box}/defects_config.json`), '{');
    expect(await said()).toEqual([expect.stringMatching(/not valid JSON .*without it there is no sPRO/)]);
    rmSync(path(`${box}/defects_config.json`));
    expect(await said()).toEqual([expect.stringMatching(/no such file; without it there is no sPRO/)]);
    const [, logical] = (await openDataset(path(box))).test;
    expect(await loadDefectAreas(logical ?? {}, 16, 16)).toBeUndefined();
  });

  test('a missing folder of masks, a mask of another shape and one that cannot be read are named', async () => {
    await image(`${box}/test/logical_anomalies/001.png`);
    await image(`${box}/test/logical_anomalies/002.png`);
    await mask(`${box}/ground_truth/logical_anomalies/002/000.png`, [1]);
    writeFileSync(path(`${box}/ground_truth/logical_anomalies/002/001.png`), 'no image');
    const wide = { raw: { width: 32, height: 16, channels: 1 } } as const;
    writeFileSync(
      path(`${box}/ground_truth/structural_anomalies/000/001.png`),
      await sharp(new Uint8Array(512).fill(3, 0, 99), wide)
        .toColourspace('b-w')
        .png()
        .toBuffer(),
    );
    const { warnings, dataset } = await inspectDataset(await openDataset(path(box)));
    const all = warnings.join('\n');
    expect(all).toMatch(/logical_anomalies\/001\.png: no ground truth .*logical_anomalies\/001\/000\.png/);
    expect(all).toMatch(/structural_anomalies\/000\/001\.png: 32x16, its image is 16x16/);
    expect(all).toMatch(/002\/001\.png.*002\.png counts as without a mask/);
    const without = dataset.test.filter(({ defect, maskPath }) => defect !== 'good' && !maskPath);
    expect(without.map(({ stem, moreMasks }) => [stem, moreMasks])).toEqual([
      ['001', undefined],
      ['002', undefined],
    ]);
  });
});

describe('BTAD and MPDD', () => {
  test('BTAD: ok and ko, masks as png or bmp', async () => {
    for (const [product, images, masks] of [
      ['01', 'bmp', 'png'],
      ['02', 'png', 'png'],
      ['03', 'bmp', 'bmp'],
    ] as const) {
      for (let i = 0; i < 3; i++) await image(`btad/${product}/train/ok/000${i}.${images}`);
      await image(`btad/${product}/test/ok/0003.${images}`);
      await image(`btad/${product}/test/ko/0000.${images}`);
      await mask(`btad/${product}/ground_truth/ko/0000.${masks}`, [7]);
      const dataset = await prepareMasks(await openDataset(path(`btad/${product}`)));
      expect([dataset.format, dataset.train.length, kinds(dataset.test)]).toEqual(['btad', 3, 'ko good']);
      expect(dataset.warnings).toEqual([]);
      expect(rowsOf(await loadMask(dataset.test[0] ?? {}, 16))).toEqual([7]);
    }
    expect(await listCategories(path('btad'))).toEqual(['01', '02', '03']);
    rmSync(path('btad/02/ground_truth/ko/0000.png'));
    expect((await openDataset(path('btad/02'))).warnings).toEqual([
      expect.stringMatching(/test\/ko\/0000\.png: no ground truth .*ground_truth\/ko\/0000\.png/),
    ]);
  });

  test("MPDD has MVTec AD's layout with kinds of its own", async () => {
    const bracket = 'mpdd/bracket_black';
    for (let i = 0; i < 3; i++) await image(`${bracket}/train/good/00${i}.png`);
    await image(`${bracket}/test/good/000.png`);
    for (const kind of ['hole', 'scratches']) {
      await image(`${bracket}/test/${kind}/000.png`);
      await mask(`${bracket}/ground_truth/${kind}/000_mask.png`, [4]);
    }
    const dataset = await openDataset(path(bracket));
    expect([dataset.format, kinds(dataset.test), dataset.warnings]).toEqual([
      'mvtec',
      'good hole scratches',
      [],
    ]);
  });
});

describe('KolektorSDD2', () => {
  test('an image is good where its mask is empty; defects in train are left out', async () => {
    for (let i = 0; i < 4; i++) {
      await image(`ksdd2/train/1000${i}.png`);
      await mask(`ksdd2/train/1000${i}_GT.png`, i === 3 ? [1] : []);
    }
    for (let i = 0; i < 2; i++) {
      await image(`ksdd2/test/2000${i}.png`);
      await mask(`ksdd2/test/2000${i}_GT.png`, i ? [6] : []);
    }
    const dataset = await prepareMasks(await openDataset(path('ksdd2')));
    expect([dataset.format, dataset.train.map(({ stem }) => stem), kinds(dataset.test)]).toEqual([
      'ksdd2',
      ['10000', '10001', '10002'],
      'good defect',
    ]);
    expect(dataset.warnings).toEqual([
      expect.stringMatching(/train: 1 images with a defect are left out: only good parts are learned from/),
    ]);
    expect(rowsOf(await loadMask(dataset.test[1] ?? {}, 16))).toEqual([6]);
    await expect(listCategories(path('ksdd2'))).rejects.toThrow(/is a category itself/);
  });

  test('images whose mask is missing or unreadable have no label: they are left out and named', async () => {
    await image('ksdd2/train/10004 (copy).png');
    await image('ksdd2/test/20002.png');
    writeFileSync(path('ksdd2/test/20002_GT.png'), 'no image');
    await mask('ksdd2/test/20003_GT.png');
    const { train, test, warnings } = await openDataset(path('ksdd2'));
    expect([train.length, test.length]).toEqual([3, 2]);
    const all = warnings.join('\n');
    expect(all).toMatch(/10004 \(copy\)\.png: left out, for 10004 \(copy\)_GT\.png is missing/);
    expect(all).toMatch(/20002_GT\.png.*20002\.png is left out/);
    expect(all).toMatch(/20003_GT\.png: a mask without its image/);
  });

  test('without a good image it says what is needed', async () => {
    await image('ksdd2-bad/train/10000.png');
    await mask('ksdd2-bad/train/10000_GT.png', [1]);
    await expect(openDataset(path('ksdd2-bad'))).rejects.toThrow(/train holds no good image: KolektorSDD2/);
  });
});

describe('Real-IAD', () => {
  const part = (kind: string, view: number, sample = 1) =>
    `${kind === 'OK' ? 'OK' : `NG/${kind}`}/S000${sample}/mint_000${sample}_${kind}_C${view}_2023.jpg`;
  const listed = (kind: string, view: number, sample = 1) => ({
    category: 'mint',
    anomaly_class: kind,
    image_path: part(kind, view, sample),
    mask_path: kind === 'OK' ? null : part(kind, view, sample).replace('.jpg', '.png'),
  });
  const write = async (root: string, images = 'realiad_256') => {
    const lists = {
      meta: { prefix: 'mint/', normal_class: 'OK', pre_transform: null },
      train: [1, 2, 3].map((sample) => listed('OK', sample, sample)),
      test: [listed('OK', 1, 4), listed('QS', 2), listed('ZW', 5)],
    };
    for (const { image_path, mask_path } of [...lists.train, ...lists.test]) {
      await image(`${root}/${images}/mint/${image_path}`);
      if (mask_path) await mask(`${root}/${images}/mint/${mask_path}`, [8]);
    }
    mkdirSync(path(`${root}/realiad_jsons/realiad_jsons`), { recursive: true });
    writeFileSync(path(`${root}/realiad_jsons/realiad_jsons/mint.json`), JSON.stringify(lists));
    return lists;
  };

  test("the JSON list says what is for what; a file's name says its view", async () => {
    await write('iad');
    const dataset = await prepareMasks(await openDataset(path('iad/realiad_256/mint')));
    expect([dataset.format, dataset.train.length, kinds(dataset.test)]).toEqual(['realiad', 3, 'good QS ZW']);
    expect(dataset.train.map(({ condition }) => condition)).toEqual(['C1', 'C2', 'C3']);
    expect(dataset.test.map((sample) => sample.part)).toEqual(['OK/S0004', 'NG/QS/S0001', 'NG/ZW/S0001']);
    expect(dataset.warnings).toEqual([]);
    expect(rowsOf(await loadMask(dataset.test[1] ?? {}, 16))).toEqual([8]);
    expect(await listCategories(path('iad/realiad_256'))).toEqual(['mint']);
    // From the data set's own folder, through the one resolution that is there.
    expect(await openDataset(path('iad'), { category: 'mint' })).toMatchObject({ format: 'realiad' });
  });

  test('a category in several resolutions is an error that names them', async () => {
    await write('iad2');
    await write('iad2', 'realiad_1024');
    await expect(openDataset(path('iad2'), { category: 'mint' })).rejects.toThrow(
      /holds 'mint' in several resolutions: give one of .*realiad_1024\/mint, .*realiad_256\/mint/,
    );
  });

  test('another list, defects to train on, missing images and masks are named', async () => {
    const lists = await write('iad3');
    const file = path('iad3/realiad_jsons/realiad_jsons/mint.json');
    writeFileSync(file, JSON.stringify({ ...lists, train: [...lists.train, listed('QS', 2)] }));
    mkdirSync(path('iad3/realiad_jsons/realiad_jsons_sv'));
    writeFileSync(path('iad3/realiad_jsons/realiad_jsons_sv/mint.json'), JSON.stringify(lists));
    rmSync(path(`iad3/realiad_256/mint/${part('OK', 1)}`));
    rmSync(path(`iad3/realiad_256/mint/${listed('ZW', 5).mask_path}`));
    const { train, test, warnings } = await openDataset(path('iad3/realiad_256/mint'));
    expect([train.length, test.map(({ maskPath }) => Boolean(maskPath))]).toEqual([2, [false, true, false]]);
    expect(warnings).toEqual([
      expect.stringMatching(
        /realiad_jsons\/mint\.json is taken; there are other lists too: .*_sv\/mint\.json/,
      ),
      expect.stringMatching(/1 training images with a defect are left out/),
      expect.stringMatching(/1 listed images are missing: .*_OK_C1_/),
      expect.stringMatching(/1 listed masks are missing: .*_ZW_C5_/),
    ]);
    writeFileSync(file, '{"meta":{},"train":[{"image_path":1}],"test":[]}');
    await expect(openDataset(path('iad3/realiad_256/mint'))).rejects.toThrow(
      /mint\.json: not a list of Real-IAD, .*train\.0\.anomaly_class/,
    );
    mkdirSync(path('iad3/realiad_256/nut'));
    await expect(openDataset(path('iad3/realiad_256/nut'), { format: 'realiad' })).rejects.toThrow(
      /Real-IAD needs realiad_jsons\/realiad_jsons\/nut\.json/,
    );
  });
});

test('a folder that shows two layouts is an error that names both; --format decides', async () => {
  for (const split of ['test', 'test_public']) await image(`two/x/${split}/good/000.png`);
  await image('two/x/train/good/000.png');
  await image('two/x/test/logical_anomalies/000.png');
  await expect(openDataset(path('two/x'))).rejects.toThrow(
    /looks like the layouts mvtecad2 and mvtecloco: --format names the right one/,
  );
  expect((await openDataset(path('two/x'), { format: 'mvtecloco' })).train).toHaveLength(1);
});
