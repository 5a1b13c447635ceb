/** Names of results, tables as CSV, rows of predictions: what users and their programs read. */
import { parse } from 'csv-parse/sync';
import { describe, expect, test } from 'vitest';
import { type PredictionRow, type RowFormat, RowPrinter } from '../src/cli/prediction_rows.ts';
import { metricsTable } from '../src/cli/results.ts';
import { csvField, csvTable } from '../src/eval/csv.ts';
import { type NamedImage, resultNames, safeName } from '../src/output/names.ts';

/** An image by its root and its path below it. */
function image(path: string, root = 'photos'): NamedImage {
  const parts = path.split('/');
  return { folders: parts.slice(0, -1), file: parts.at(-1) as string, root, identity: `/${root}/${path}` };
}

describe('names of results', () => {
  const named = (...paths: string[]) => resultNames(paths.map((path) => image(path)));

  test('the path below the input, the extension where stems repeat', () => {
    expect(named('a.png', 'line 1/a.png', 'line 1/b.c.jpg')).toEqual(['a', 'line 1/a', 'line 1/b.c']);
    expect(named('a.png', 'a.jpg', 'b.png')).toEqual(['a.png', 'a.jpg', 'b']);
  });

  test('the name of the root where two inputs hold the same paths', () => {
    const images = [image('0.png', 'monday'), image('0.png', 'tuesday'), image('1.png', 'tuesday')];
    expect(resultNames(images)).toEqual(['monday/0', 'tuesday/0', '1']);
  });

  test('no two share a name where the file system does not tell case or composition, in any order', () => {
    for (const pair of [
      ['A.png', 'a.png'],
      ['\u00e9.png', 'e\u0301.png'],
      ['Stra\u00dfe.png', 'STRASSE.png'],
      ['x?.png', 'x*.png'],
      ['CON.png', 'con.PNG'],
      ['a.png', 'a.jpg', 'a.jpg.bmp'],
      ['d/a.png', 'd.png', 'd.png/a.png'],
      [`${'x'.repeat(240)}1.png`, `${'x'.repeat(240)}2.png`],
    ]) {
      const names = named(...pair);
      const keys = names.map((name) => `${name}.png`.normalize('NFC').toUpperCase().toLowerCase());
      expect(new Set(keys).size, pair.join(' ')).toBe(pair.length);
      for (const a of keys) for (const b of keys) expect(b.startsWith(`${a}/`)).toBe(false);
      expect(named(...pair.toReversed())).toEqual(names.toReversed());
    }
  });

  test('an image that is listed twice has two results', () => {
    const names = resultNames([image('a.png'), image('a.png')]);
    expect(new Set(names).size).toBe(2);
  });

  test('a name that belongs to something else is left to it; all of them taken is an error', () => {
    expect(resultNames([image('a.jpg')], '.png', (name) => name === 'a')).toEqual(['a.jpg']);
    expect(() => resultNames([image('a.jpg')], '.png', () => true)).toThrow(
      '/photos/a.jpg: every name of its result is taken',
    );
  });

  test('a text as one name on every file system', () => {
    expect(safeName('crack + dent')).toBe('crack + dent');
    expect(safeName('\u30ad\u30ba 1')).toBe('\u30ad\u30ba 1');
    expect(safeName('../../etc')).toBe('__.._etc');
    expect(safeName('a/b\\c:d\n')).toBe('a_b_c_d_');
    expect([safeName('nul'), safeName('COM1.old'), safeName('console')]).toEqual([
      'nul_',
      'COM1_.old',
      'console',
    ]);
    expect([safeName('a. '), safeName(''), safeName('.'), safeName('\ud800x')]).toEqual([
      'a_',
      '_',
      '_',
      '_x',
    ]);
    const long = safeName('\u00e9'.repeat(300));
    expect(Buffer.byteLength(long)).toBeLessThanOrEqual(150);
    expect(long).toMatch(/^\u00e9{70}~[0-9a-f]{8}$/);
    expect(safeName(`${'\u00e9'.repeat(299)}e`)).not.toBe(long);
  });
});

describe('CSV', () => {
  const texts = [
    'plain',
    'a,b',
    'a;b',
    'say "no"',
    'two\nlines',
    'lone\rreturn',
    'a\r\nb',
    ' space ',
    '\u00e9\u{1f600}',
    '',
  ];

  test('every text comes back from another reader; numbers and empty cells stay what they are', () => {
    const table = csvTable(['text', 'number', 'nothing'], [...texts.map((text) => [text, -1.5e-7, null])]);
    const rows: string[][] = parse(table, { record_delimiter: '\n' });
    expect(rows[0]).toEqual(['text', 'number', 'nothing']);
    expect(rows.slice(1)).toEqual(texts.map((text) => [text, '-1.5e-7', '']));
  });

  test('a text that a spreadsheet takes for a formula gets an apostrophe, in quotes too', () => {
    for (const start of ['=', '+', '-', '@', '\t', '\r', '\n']) {
      const text = `${start}cmd|' /C calc'!A0,"x"`;
      expect(parse(`${csvField(text)},1\n`, { record_delimiter: '\n' })).toEqual([[`'${text}`, '1']]);
    }
    expect(csvField('=1+1')).toBe("'=1+1");
    expect([csvField(-1), csvField('a=1'), csvField('1-2')]).toEqual(['-1', 'a=1', '1-2']);
  });
});

describe('rows of predictions', () => {
  const row = (path: string): PredictionRow => ({
    path,
    raw_score: 0.25,
    pred_score: 0.75,
    pred_label: 'anomalous',
    width: 64,
    height: 48,
    marked_area: 0.01,
    regions: [{ x: 4, y: 8, width: 3, height: 2, area: 0.01, peak: 0.7 }],
    picture: `out/${path}`,
    drift: null,
  });
  const print = (format: RowFormat, count: number) => {
    let text = '';
    const printer = new RowPrinter(format, (more) => {
      text += more;
    });
    for (let i = 0; i < count; i++) printer.print(row(`${i}.png`));
    const before = text;
    printer.end();
    return { before, text };
  };

  test('JSON is there row by row, and valid however many there were', () => {
    for (const count of [0, 1, 3])
      expect(JSON.parse(print('array', count).text)).toEqual(
        Array.from({ length: count }, (_, i) => row(`${i}.png`)),
      );
    expect(print('array', 3).text).toBe(
      `${JSON.stringify([row('0.png'), row('1.png'), row('2.png')], null, 2)}\n`,
    );
    expect(print('array', 3).before).toContain('2.png');
  });

  test('lines', () => {
    expect(print('lines', 2).text).toBe(
      'anomalous 0.750 (raw 0.2500)  0.png\nanomalous 0.750 (raw 0.2500)  1.png\n',
    );
    expect(print('lines', 0).text).toBe('');
  });

  test('a line of JSON each, whole as soon as it is there', () => {
    const { before } = print('json lines', 2);
    expect(before.split('\n').map((line) => line && JSON.parse(line))).toEqual([
      ...[row('0.png'), row('1.png'), ''],
    ]);
    expect(print('json lines', 0).text).toBe('');
  });
});

test('metrics that are not known are a dash, with the reason', () => {
  const metrics = {
    image_AUROC: 0.5,
    pixel_AUROC: null,
    AUPRO: null,
    AUPRO_per_image: null,
    image_AP: 0.25,
    pixel_AP: null,
    image_F1Max: 1,
    pixel_F1Max: null,
    intervals: { image_AUROC: [0.25, 0.75] as const, image_AP: null, image_F1Max: null },
  };
  const lines = metricsTable(metrics).split('\n');
  expect(lines[0]).toMatch(/image_AUROC .* 50\.0 {2}\(95 %: 25\.0 to 75\.0\)$/);
  expect(lines[1]).toMatch(/pixel_AUROC .* -$/);
  expect(lines.at(-1)).toMatch(/metrics of pixels need masks/);
  const known = { ...metrics, pixel_AUROC: 1, AUPRO: 1, AUPRO_per_image: 1, pixel_AP: 1, pixel_F1Max: 1 };
  expect(metricsTable(known)).not.toMatch(/ -\n|masks/);
});
