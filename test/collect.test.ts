/** Tables of docs/results.md from the runs of `aand benchmark`. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type MeasuredTable, readTable } from '../bench/figures/sections.ts';
import { collect, collectCommand, collectInto, parseGroup } from '../bench/learning/collect.ts';
import { writeKeepingWords } from '../bench/learning/kept_table.ts';

const folder = mkdtempSync(join(tmpdir(), 'aand-collect-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A finished run as the benchmark leaves it. */
function run(group: string, category: string, mode: string, seed: number, image: number, adapter = 'cpu') {
  const out = join(folder, group, category, mode, `seed${seed}`);
  mkdirSync(out, { recursive: true });
  const metrics = { image_AUROC: image, pixel_AUROC: 0.5, AUPRO: null, intervals: {}, seconds: { train: 1 } };
  writeFileSync(join(out, 'metrics.json'), JSON.stringify({ ...metrics, adapter }));
}
run('half', 'screw', 'aand', 0, 0.8);
run('half', 'screw', 'aand', 1, 0.82);
run('half', 'screw', 'rd', 0, 0.7);
run('full', 'screw', 'aand', 0, 0.9, 'other');
mkdirSync(join(folder, 'full/screw/aand/seed1'));
mkdirSync(join(folder, 'empty'));

const known: MeasuredTable = {
  record: {
    ...{ command: '', date: '', commit: '', machine: '', driver: '', node: null, load: null },
    note: 'Frozen builds.',
  },
  order: 1,
  title: 'Teachers',
  about: ['Text.'],
  digits: 1,
  heads: ['teacher', 'dirty'],
  rows: [],
  commands: [],
};
const group = (label: string, name: string) => parseGroup(`${label}=${join(folder, name)}`);

test('rows are means and deviations over whole runs; words of the table stay', () => {
  const table = collect(known, [group('half', 'half'), group('r18', 'full')], { command: 'collect' });
  expect(table.heads).toEqual([
    'teacher',
    'product, mode',
    'seeds',
    'image AUROC, %',
    'pixel AUROC, %',
    'PRO, %',
  ]);
  const close = (value: number) => expect.closeTo(value, 9);
  expect(table.rows).toEqual([
    [
      'half',
      'screw, aand',
      '2',
      { mean: close(81), deviation: close(Math.SQRT2) },
      { mean: 50, deviation: 0 },
      null,
    ],
    ['half', 'screw, rd', '1', { mean: 70, deviation: null }, { mean: 50, deviation: null }, null],
    ['r18', 'screw, aand', '1', { mean: 90, deviation: null }, { mean: 50, deviation: null }, null],
  ]);
  expect(table).toMatchObject({ title: 'Teachers', about: ['Text.'], order: 1 });
  expect(table.record).toMatchObject({ command: 'collect', driver: 'cpu; other', note: 'Frozen builds.' });
  expect(table.record.date).toMatch(/^\d{4}-\d\d-\d\d$/);
});

test('two labels are two columns; the file is written in place', () => {
  const path = join(folder, 'table.json');
  writeFileSync(path, JSON.stringify(known));
  expect(collectInto(path, [group('half|10', 'half')], { command: 'collect' })).toBe(2);
  const { heads, rows } = JSON.parse(readFileSync(path, 'utf8')) as MeasuredTable;
  expect(heads.slice(0, 3)).toEqual(['teacher', 'dirty', 'product, mode']);
  expect(rows[0]?.slice(0, 3)).toEqual(['half', '10', 'screw, aand']);
});

test('--add puts new figures in the places of the old ones and keeps the rows of others', () => {
  const before = collect(known, [group('half', 'half'), group('r18', 'full')], { command: 'before' });
  run('again', 'screw', 'aand', 5, 0.6, 'a third');
  run('again', 'tile', 'aand', 0, 0.5, 'a third');
  const after = collect(before, [group('half', 'again')], { command: 'after', add: true });
  expect(after.rows.map((row) => row.slice(0, 3))).toEqual([
    ['half', 'screw, aand', '1'],
    ['half', 'screw, rd', '1'],
    // A new one stands with its like.
    ['half', 'tile, aand', '1'],
    ['r18', 'screw, aand', '1'],
  ]);
  expect(after.rows[0]?.[3]).toEqual({ mean: 60, deviation: null });
  expect([after.rows[1], after.rows[3]]).toEqual(before.rows.slice(1));
  expect(after.record).toMatchObject({ command: 'after', driver: 'a third; cpu; other' });
  expect(() => collect(known, [group('half', 'again')], { command: '', add: true })).toThrow(
    'rows with 6 columns do not go into a table of teacher, dirty',
  );
});

test('the command in the record names no place of this machine', () => {
  expect(collectCommand('t.json', true)).toBe('npm run learning -- collect --add t.json LABEL=results/…');
  expect(collectCommand('t.json', false)).toBe('npm run learning -- collect t.json LABEL=results/…');
});

test('a section that is made anew keeps what people wrote in it', () => {
  const path = join(folder, 'section.json');
  writeKeepingWords(path, { ...known, title: 'As made' });
  expect(readTable(path).title).toBe('As made');
  const written = { ...readTable(path), title: 'By hand', about: ['By hand.'], commands: ['aand'] };
  writeFileSync(path, JSON.stringify(written));
  const { note, ...record } = { ...known.record, date: '2026-01-01' };
  writeKeepingWords(path, { ...known, record, heads: ['a'], rows: [['b']] });
  expect(readTable(path)).toEqual({
    ...written,
    heads: ['a'],
    rows: [['b']],
    record: { ...record, note },
  });
});

test('what cannot be collected is said', () => {
  expect(() => parseGroup('half')).toThrow('"half" is no LABEL=FOLDER');
  expect(() => parseGroup('=x')).toThrow('"=x" is no LABEL=FOLDER');
  expect(() => collect(known, [group('none', 'empty')], { command: '' })).toThrow(
    '(none) has no finished run',
  );
  expect(() => collect(known, [group('a', 'half'), group('a|b', 'half')], { command: '' })).toThrow(
    'a|b has 2 labels',
  );
  expect(() => collect(known, [group('a|b|c', 'half')], { command: '' })).toThrow(
    'names 2 columns of labels',
  );
});
