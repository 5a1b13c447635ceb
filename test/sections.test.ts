/** Sections of docs/results.md from the files of bench/results/tables. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type MeasuredTable, measuredSections } from '../bench/figures/sections.ts';

const folder = mkdtempSync(join(tmpdir(), 'aand-sections-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const origin = ({ command }: { command: string }) => `Measured by ${command}.`;
const record = { date: '2026-01-01', commit: 'abc', machine: 'm', driver: 'd', node: null, load: null };
const content: MeasuredTable = {
  record: { ...record, command: 'aand benchmark' },
  order: 2,
  title: 'Teachers',
  about: ['Three seeds.'],
  digits: 1,
  heads: ['teacher', 'image AUROC, %', 'MB'],
  rows: [
    ['half', { mean: 84.26, deviation: 1.04 }, 1.9],
    ['r18', { mean: 86, deviation: null }, null],
  ],
  commands: ['npx aand benchmark x'],
};
/** What it gives below its title. */
const shown = `Three seeds.

| teacher | image AUROC, % | MB |
|---|---:|---:|
| half | 84.3 ± 1.0 | 1.9 |
| r18 | 86.0 | not measured |

Measured by aand benchmark.`;
const put = (name: string, value: unknown) => writeFileSync(join(folder, name), JSON.stringify(value));

test('without a file there is no section; files give sections in their order', () => {
  expect(measuredSections(join(folder, 'none'), origin)).toBe('None has been recorded yet.');
  expect(measuredSections(folder, origin)).toBe('None has been recorded yet.');
  put('b.json', content);
  put('a.json', { ...content, title: 'Later', order: 3, commands: [] });
  expect(measuredSections(folder, origin)).toBe(`
### Teachers

${shown}

\`\`\`sh
npx aand benchmark x
\`\`\`

### Later

${shown}
`);
});

test('columns of numbers are drawn over the first one, in colours that the text names', () => {
  const drawn = join(folder, 'drawn');
  mkdirSync(drawn);
  const curves: MeasuredTable = {
    ...content,
    heads: ['epoch', 'rd', 'aand'],
    rows: [
      ['5', { mean: 61.25, deviation: 2 }, 70],
      ['10', 80, 90.5],
    ],
    charts: [{ title: 'image AUROC, %', columns: [1, 2] }],
    commands: [],
  };
  const write = (value: MeasuredTable) => writeFileSync(join(drawn, 'a.json'), JSON.stringify(value));
  write(curves);
  const text = measuredSections(drawn, origin);
  expect(text).toContain('image AUROC, %: blue rd, orange aand.\n\n```mermaid\n');
  expect(text).toContain(
    '  x-axis "epoch" 5 --> 10\n  y-axis 61 --> 91\n  line [61.3, 80.0]\n  line [70.0, 90.5]\n```\n',
  );
  write({ ...curves, charts: [{ title: 'Image AUROC', columns: [2], names: ['the method'] }] });
  expect(measuredSections(drawn, origin)).toContain('Image AUROC: blue the method.\n\n```mermaid\n');
  write({ ...curves, rows: [['5', null, 70]] });
  expect(() => measuredSections(drawn, origin)).toThrow(/chart "image AUROC, %" of "Teachers" needs numbers/);
});

test('a file that is not as it has to be is named with its field', () => {
  put('c.json', { ...content, rows: [['half', 1]] });
  expect(() => measuredSections(folder, origin)).toThrow(/c\.json: row 1 has 2 cells, there are 3 heads/);
  put('c.json', { ...content, digits: 'one' });
  expect(() => measuredSections(folder, origin)).toThrow(/c\.json: digits: /);
  writeFileSync(join(folder, 'c.json'), '{');
  expect(() => measuredSections(folder, origin)).toThrow(/c\.json: not valid JSON/);
});
