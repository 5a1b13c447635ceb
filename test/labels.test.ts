/**
 * What names mean: good parts in any spelling, hidden files, a category by however its path is spelled;
 * splits by file names.
 */
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listCategories } from '../src/data/categories.ts';
import type { Dataset } from '../src/data/dataset.ts';
import { hiddenBelow, imagesIn, isHiddenName } from '../src/data/files.ts';
import { inspectDataset } from '../src/data/inspect.ts';
import { goodFolders, isGoodLabel } from '../src/data/labels.ts';
import { openDataset } from '../src/data/open.ts';
import type { Image } from '../src/image/image.ts';
import { writeImage, writeMeta, writeMvtec, writeMvtec3d, writeVisa } from './support/layouts.ts';

const folder = mkdtempSync(join(tmpdir(), 'aand-labels-'));
const path = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeAll(async () => {
  await writeMvtec(path('mvtec'), 'washer');
  await writeVisa(path('visa'), 'candle');
  await writeMvtec3d(path('mvtec3d'), 'bagel');
});

const tiny: Image = { width: 8, height: 8, channels: 3, data: new Uint8Array(192).fill(90) };
const tinyMask: Image = {
  width: 8,
  height: 8,
  channels: 1,
  data: Uint8Array.from({ length: 64 }, (_, i) => (i === 9 ? 255 : 0)),
};

/** A copy of a data set to change. */
function copy(of: string, name: string): string {
  cpSync(path(of), path(name), { recursive: true });
  return path(name);
}

const labels = ({ test }: Dataset) => test.map(({ defect }) => defect).join(' ');

describe('good parts', () => {
  test('by any spelling', () => {
    for (const label of [
      'good',
      'Good',
      'GOOD',
      'ok',
      'OK',
      ' Ok ',
      'o.k.',
      'okay',
      'normal',
      'Normal',
      'nominal',
      'i.O.',
      'IO',
    ])
      expect(isGoodLabel(label), label).toBe(true);
    for (const label of [
      'pass',
      'No Defect',
      'no_defect',
      'defect-free',
      'Non-Defective',
      'no anomaly',
      'anomaly_free',
    ])
      expect(isGoodLabel(label), label).toBe(true);
    for (const label of [0, '0', false, 'false', 'False'])
      expect(isGoodLabel(label), String(label)).toBe(true);
    for (const label of [
      1,
      '1',
      true,
      'true',
      'anomaly',
      'abnormal',
      'not good',
      'NG',
      'n.i.O.',
      'bad',
      '00',
      '',
      'none',
      'goods',
    ])
      expect(isGoodLabel(label), String(label)).toBe(false);
    expect(isGoodLabel(undefined)).toBe(false);
    expect(isGoodLabel(null)).toBe(false);
  });

  test('the folder 0 is good beside numbers, and a kind of defect beside a folder that says good', () => {
    expect(goodFolders(['0', '1', '2'])).toEqual(['0']);
    expect(goodFolders(['0', '1', 'Good'])).toEqual(['Good']);
    expect(goodFolders(['OK', 'good', 'NG'])).toEqual(['OK', 'good']);
  });

  test('MVTec AD: folders of the splits, of good parts and of masks in another case', async () => {
    const root = copy('mvtec/washer', 'spelled');
    renameSync(join(root, 'train/good'), join(root, 'train/Good'));
    renameSync(join(root, 'train'), join(root, 'TRAIN'));
    renameSync(join(root, 'test/good'), join(root, 'test/OK'));
    renameSync(join(root, 'test'), join(root, 'Test'));
    renameSync(join(root, 'ground_truth/chip'), join(root, 'ground_truth/Chip'));
    renameSync(join(root, 'ground_truth'), join(root, 'Ground Truth'));
    cpSync(join(root, 'Test/rust'), join(root, 'TRAIN/rust'), { recursive: true });
    const dataset = await openDataset(root);
    expect([dataset.format, dataset.train.length, labels(dataset)]).toEqual([
      'mvtec',
      6,
      'good good chip rust',
    ]);
    expect(dataset.test.filter(({ maskPath }) => maskPath)).toHaveLength(2);
    expect(dataset.warnings).toEqual([
      `${root}/TRAIN is taken as train`,
      `${root}/Test is taken as test`,
      `${root}/Ground Truth is taken as ground_truth`,
      `${root}/TRAIN/Good is taken as good`,
      `${root}/TRAIN/rust is left out: only good parts are learned from`,
      `${root}/Test/OK is taken as good`,
    ]);
  });

  test('MVTec AD: masks of good images are kept aside, for they should be empty', async () => {
    const root = copy('mvtec/washer', 'marked');
    cpSync(join(root, 'ground_truth/chip/000_mask.png'), join(root, 'ground_truth/good/000_mask.png'));
    const facts = await inspectDataset(await openDataset(root));
    expect(facts.dataset.test.find(({ goodMaskPath }) => goodMaskPath)?.maskPath).toBeUndefined();
    expect(facts.warnings).toEqual([
      expect.stringMatching(/good\/000_mask\.png: marks .* %.*good\/000\.png, which counts as good/),
    ]);
  });

  test('MVTec 3D: in another case', async () => {
    const root = copy('mvtec3d/bagel', 'spelled3d');
    renameSync(join(root, 'train/good'), join(root, 'train/OK'));
    renameSync(join(root, 'test/good'), join(root, 'test/Normal'));
    const dataset = await openDataset(root);
    expect([dataset.format, dataset.train.length, labels(dataset)]).toEqual([
      'mvtec3d',
      6,
      'good good chip rust',
    ]);
    expect(dataset.warnings).toEqual([
      `${root}/train/OK is taken as good`,
      `${root}/test/Normal is taken as good`,
    ]);
  });

  test("VisA's list: labels in other words, lines without a label, anomalies to train on", async () => {
    const root = copy('visa', 'words');
    const list = join(root, 'split_csv/1cls.csv');
    const rewrite = (good: string, bad: string) =>
      writeFileSync(
        list,
        readFileSync(path('visa/split_csv/1cls.csv'), 'utf8')
          .replaceAll(',normal,', `,${good},`)
          .replaceAll(',anomaly,', `,${bad},`),
      );
    for (const [good, bad] of [
      ['Normal', 'Anomaly'],
      ['OK', 'NG'],
      ['0', '1'],
    ] as const) {
      rewrite(good, bad);
      const dataset = await openDataset(join(root, 'candle'));
      expect([dataset.train.length, labels(dataset)]).toEqual([6, 'good good rust chip + scratch']);
      expect(dataset.warnings).toEqual([
        `${list}: the label '${good}' is taken as good`,
        `${list}: the label '${bad}' is taken as anomaly`,
      ]);
    }
    rewrite('normal', 'anomaly');
    const text = readFileSync(list, 'utf8').split('\n');
    const spoiled = text.map((line, i) =>
      i === 1 ? line.replace('normal', '') : i === 2 ? line.replace('normal', 'anomaly') : line,
    );
    writeFileSync(list, spoiled.join('\n').replaceAll(',train,', ',TRAIN,'));
    const dataset = await openDataset(join(root, 'candle'));
    expect(dataset.train).toHaveLength(4);
    expect(dataset.warnings).toEqual([
      expect.stringMatching(/0000\.JPG: left out, for .*1cls\.csv does not say whether it is good/),
      expect.stringMatching(/0001\.JPG: left out, for .*1cls\.csv calls it an anomaly to train on/),
    ]);
  });

  test("VisA's kinds: an anomaly whose kind is a name of good parts stays an anomaly", async () => {
    const root = copy('visa', 'kinds');
    const kinds = join(root, 'candle/image_anno.csv');
    writeFileSync(kinds, readFileSync(kinds, 'utf8').replace(/JPG,rust,/, 'JPG,Good,'));
    expect(labels(await openDataset(join(root, 'candle')))).toBe('good good anomaly chip + scratch');
  });

  test.each([
    ['numbers', 0, 1],
    ['texts', '0', '1'],
    ['booleans', false, true],
    ['words', 'Normal', 'Defect'],
  ])('meta.json: anomaly as %s', async (name, good, bad) => {
    const root = copy('visa', `meta ${name}`);
    rmSync(join(root, 'split_csv'), { recursive: true });
    writeMeta(root, 'candle');
    const file = join(root, 'meta.json');
    const spelled = JSON.parse(readFileSync(file, 'utf8'), (key, value) =>
      key === 'anomaly' ? (value ? bad : good) : value,
    );
    writeFileSync(file, JSON.stringify(spelled));
    const dataset = await openDataset(join(root, 'candle'));
    expect([dataset.train.length, labels(dataset)]).toEqual([4, 'good anomaly']);
    expect(dataset.warnings).toHaveLength(name === 'numbers' ? 0 : 2);
  });

  test('folders: Good and OK are both good, NG is a kind of defect', async () => {
    for (let i = 0; i < 4; i++) {
      await writeImage(path(`own/Good/${i}.png`), tiny);
      await writeImage(path(`own/OK/1${i}.png`), tiny);
    }
    await writeImage(path('own/NG/0.png'), tiny);
    await writeImage(path('own/Ground-Truth/ng/0.png'), tinyMask, 'grey');
    const dataset = await openDataset(path('own'));
    const good = dataset.test.filter(({ defect }) => defect === 'good').length;
    expect([dataset.train.length + good, labels(dataset).replaceAll('good ', '')]).toEqual([8, 'NG']);
    expect(dataset.test.at(-1)?.maskPath).toBe(path('own/Ground-Truth/ng/0.png'));
    expect(dataset.warnings).toEqual([
      `${path('own/Good')} is taken as good`,
      `${path('own/OK')} is taken as good`,
    ]);

    const named = await openDataset(path('own'), { folder: { normalDir: 'Good' } });
    expect([named.train.length + named.test.length, labels(named).replaceAll('good ', '')]).toEqual([
      5,
      'NG',
    ]);
    expect(named.warnings).toEqual([
      expect.stringMatching(/own\/OK is left out: it is named like good parts/),
    ]);
    await expect(openDataset(path('own'), { folder: { abnormalDirs: ['OK'] } })).rejects.toThrow(
      /own\/OK \(abnormal-dir\): 'OK' is a name of good parts/,
    );
  });

  test('folders beside the images of a flat folder are named', async () => {
    await writeImage(path('flat/0.png'), tiny);
    await writeImage(path('flat/NG/0.png'), tiny);
    const dataset = await openDataset(path('flat'));
    expect([dataset.train.length, dataset.test.length]).toEqual([1, 0]);
    expect(dataset.warnings).toEqual([
      expect.stringMatching(/own images are taken as good, its folders NG are left out/),
    ]);
  });
});

describe('hidden files and folders', () => {
  const hidden = [
    '.ipynb_checkpoints',
    '@eaDir',
    '.thumbnails',
    '__MACOSX',
    '#recycle',
    'lost+found',
    '$RECYCLE.BIN',
  ];

  test('are told by their names', () => {
    for (const name of [
      ...hidden,
      ...hidden.map((name) => `${name}/`),
      '._000.png',
      'Thumbs.db',
      'THUMBS.DB',
      'desktop.ini',
    ])
      expect(isHiddenName(name), name).toBe(true);
    expect(isHiddenName('System Volume Information/')).toBe(true);
    for (const name of ['000.png', 'good', 'a.b', '_mask', 'recycle', 'thumbs'])
      expect(isHiddenName(name), name).toBe(false);
  });

  /** Puts an image into hidden folders of a folder, and beside its own images. */
  async function litter(where: string): Promise<void> {
    for (const name of hidden) await writeImage(join(where, name, 'train/good/000.png'), tiny);
    for (const name of hidden) await writeImage(join(where, name, '000-checkpoint.png'), tiny);
    await writeImage(join(where, '._000.png'), tiny);
    writeFileSync(join(where, '.DS_Store'), 'x');
    writeFileSync(join(where, 'Thumbs.db'), 'x');
  }

  test('change nothing in any layout', async () => {
    for (const [of, name, places] of [
      [
        'mvtec/washer',
        'litter/washer',
        ['', 'train', 'train/good', 'test', 'test/good', 'ground_truth', 'ground_truth/chip'],
      ],
      [
        'mvtec3d/bagel',
        'litter/bagel',
        ['', 'train', 'train/good/rgb', 'test', 'test/chip/rgb', 'test/chip/gt'],
      ],
      ['own', 'litter/own', ['', 'Good', 'NG', 'Ground-Truth']],
    ] as const) {
      const before = await openDataset(path(of));
      const root = copy(of, name);
      for (const place of places) await litter(join(root, place));
      const after = await openDataset(root);
      const moved = JSON.parse(JSON.stringify(after).replaceAll(root, path(of)));
      expect({ ...moved, name: before.name }).toEqual(before);
      expect(await hiddenBelow(root)).toHaveLength(places.length * (hidden.length + 3));
      expect((await inspectDataset(after)).ignored).toHaveLength(places.length * (hidden.length + 3));
    }
    await litter(path('litter'));
    expect(await listCategories(path('litter'))).toEqual(['bagel', 'washer']);
  });

  test('are taken where they are named', async () => {
    const root = path('litter/washer/.thumbnails');
    expect((await openDataset(root)).train).toHaveLength(1);
    expect(await imagesIn(path('litter/own/@eaDir'))).toEqual(['000-checkpoint.png']);
    const named = await openDataset(path('litter/own'), {
      folder: { normalDir: '@eaDir', abnormalDirs: [] },
    });
    expect(named.train.map(({ stem }) => stem)).toEqual(['000-checkpoint']);
  });
});
