/** The results of a benchmark as rows, and as CSV, Markdown and a page. */
import type { Interval } from '../eval/bootstrap.ts';
import { csvTable } from '../eval/csv.ts';
import { type Html, html, htmlPage, table } from './html.ts';
import { style } from './style.ts';

/** One finished run. */
export interface BenchmarkRun {
  readonly category: string;
  readonly mode: string;
  readonly seed: number;
  readonly metrics: Readonly<Record<string, number | null>>;
  /** 95 % intervals by bootstrap over the test images. */
  readonly intervals: Readonly<Record<string, Interval | null>>;
  readonly trainSeconds: number | null;
  readonly adapter: string;
}

type Column = readonly [key: string, name: string];

const columns: readonly Column[] = [
  ['image_AUROC', 'I-AUROC'],
  ['pixel_AUROC', 'P-AUROC'],
  ['AUPRO', 'PRO'],
  ['AUPRO_per_image', 'PRO per image'],
  ['image_AP', 'I-AP'],
  ['image_F1Max', 'I-F1-max'],
  ['pixel_F1Max', 'P-F1-max'],
];

/** Means over the kinds of defect, where a data set says from which area on one is found (MVTec LOCO AD). */
const kindColumns: readonly Column[] = [
  ['image_AUROC_by_kind', 'I-AUROC by kind'],
  ['AUsPRO', 'sPRO'],
];

/** The metrics that a table of these runs has. */
function columnsOf(runs: readonly BenchmarkRun[]): readonly Column[] {
  const found = kindColumns.filter(([key]) => runs.some(({ metrics }) => metrics[key] !== undefined));
  return [...columns, ...found];
}

export interface Cell {
  readonly mean: number | null;
  /** Sample standard deviation over seeds; null for one seed. */
  readonly deviation: number | null;
  /** Bounds of the runs' intervals, averaged over seeds. */
  readonly interval: Interval | null;
}

/** One category in one mode, over its seeds; the mean row has no interval. */
export interface BenchmarkRow {
  readonly category: string;
  readonly mode: string;
  readonly seeds: readonly number[];
  readonly cells: Readonly<Record<string, Cell>>;
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

function cell(runs: readonly BenchmarkRun[], key: string): Cell {
  const values = runs.map(({ metrics }) => metrics[key]).filter((value) => typeof value === 'number');
  if (values.length < runs.length || !values.length) return { mean: null, deviation: null, interval: null };
  const average = mean(values);
  const deviation =
    values.length > 1
      ? Math.sqrt(values.reduce((sum, v) => sum + (v - average) ** 2, 0) / (values.length - 1))
      : null;
  const intervals = runs
    .map((run) => run.intervals[key])
    .filter((interval) => interval !== null && interval !== undefined);
  const interval: Interval | null =
    intervals.length === runs.length
      ? [mean(intervals.map(([low]) => low)), mean(intervals.map(([, high]) => high))]
      : null;
  return { mean: average, deviation, interval };
}

/**
 * Rows by mode and category, each mode ended by the mean over its categories (null where one lacks a value).
 */
export function benchmarkRows(runs: readonly BenchmarkRun[]): BenchmarkRow[] {
  const shown = columnsOf(runs);
  const unique = <T>(list: readonly T[]) => [...new Set(list)];
  return unique(runs.map(({ mode }) => mode)).flatMap((mode) => {
    const ofMode = runs.filter((run) => run.mode === mode);
    const rows = unique(ofMode.map(({ category }) => category)).map((category): BenchmarkRow => {
      const own = ofMode.filter((run) => run.category === category);
      return {
        category,
        mode,
        seeds: own.map(({ seed }) => seed),
        cells: Object.fromEntries(shown.map(([key]) => [key, cell(own, key)])),
      };
    });
    const cells = shown.map(([key]): [string, Cell] => {
      const means = rows.map((row) => row.cells[key]?.mean ?? null);
      const known = means.filter((value) => value !== null);
      return [
        key,
        { mean: known.length === means.length ? mean(known) : null, deviation: null, interval: null },
      ];
    });
    return [...rows, { category: 'mean', mode, seeds: [], cells: Object.fromEntries(cells) }];
  });
}

const percent = (value: number | null) => (value === null ? 'null' : (100 * value).toFixed(1));

function cellText({ mean, deviation, interval }: Cell): string {
  const spread = deviation === null ? '' : ` ± ${percent(deviation)}`;
  return `${percent(mean)}${spread}${interval ? ` [${percent(interval[0])}, ${percent(interval[1])}]` : ''}`;
}

/** One line per run, full precision; null stays empty. */
export function benchmarkCsv(runs: readonly BenchmarkRun[]): string {
  const shown = columnsOf(runs);
  const bounds = ['image_AUROC', 'image_AP', 'image_F1Max'];
  const head = [
    ...['category', 'mode', 'seed'],
    ...shown.map(([key]) => key),
    ...bounds.flatMap((key) => [`${key}_low`, `${key}_high`]),
    ...['train_seconds', 'adapter'],
  ];
  const rows = runs.map((run) => [
    run.category,
    run.mode,
    run.seed,
    ...shown.map(([key]) => run.metrics[key] ?? null),
    ...bounds.flatMap((key): readonly (number | null)[] => run.intervals[key] ?? [null, null]),
    run.trainSeconds,
    run.adapter,
  ]);
  return csvTable(head, rows);
}

const rules =
  'Per cent; mean ± standard deviation over seeds; in brackets the 95 % interval of one run by bootstrap ' +
  'over its test images, averaged over seeds. PRO: all test images together, limit 0.3 (MVTec); PRO per ' +
  "image: RD4AD's code, not comparable with it.";

const kindRules =
  ' By kind, and sPRO to a false-positive rate of .05: means over the kinds of defect, as MVTec LOCO AD ' +
  'reports them.';

const rulesOf = (shown: readonly Column[]) => (shown.length > columns.length ? rules + kindRules : rules);

/** Text of others in a cell of a Markdown table: no markup, no HTML, one line. */
function markdownText(text: string): string {
  return text
    .replace(/[\\`*[\]<>&|~!#]/g, (c) => `&#${c.charCodeAt(0)};`)
    .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ');
}

export function benchmarkMarkdown(runs: readonly BenchmarkRun[], note: string): string {
  const shown = columnsOf(runs);
  const head = ['mode', 'category', 'seeds', ...shown.map(([, name]) => name)];
  const lines = benchmarkRows(runs).map((row) => {
    const bold = (text: string) => (row.category === 'mean' ? `**${text}**` : text);
    const cells = shown.map(([key]) => bold(cellText(row.cells[key] as Cell)));
    const texts = [markdownText(row.mode), bold(markdownText(row.category)), row.seeds.join(' ')];
    return `| ${[...texts, ...cells].join(' | ')} |`;
  });
  return [
    `| ${head.join(' | ')} |`,
    `|${head.map(() => '---').join('|')}|`,
    ...lines,
    '',
    rulesOf(shown),
    markdownText(note),
    '',
  ].join('\n');
}

const extraStyle = `
body {
  max-width: 1200px;
}
.bar {
  display: block;
  width: 100%;
  height: 4px;
  background: var(--line);
  border-radius: 2px;
  min-width: 70px;
}
.bar rect {
  fill: var(--good);
}
tr.mean {
  font-weight: 600;
  background: var(--card);
}
small {
  color: var(--quiet);
  font-weight: 400;
  white-space: nowrap;
}
td,
th {
  white-space: nowrap;
}
`;

function bar(share: number): Html {
  const width = (100 * share).toFixed(1);
  return html`<svg class="bar" aria-hidden="true"><rect height="4" width="${width}%"/></svg>`;
}

function cellOf({ mean, deviation, interval }: Cell, withBar: boolean): Html {
  const spread = deviation !== null && `± ${percent(deviation)}`;
  const range = interval && `${percent(interval[0])} – ${percent(interval[1])}`;
  const small = html`<small>${spread}${spread && range && html`<br>`}${range}</small>`;
  return html`${mean === null ? '–' : percent(mean)}${withBar && mean !== null && bar(mean)}${small}`;
}

/** A page with the table and a bar for every category and mode. */
export function benchmarkPage(runs: readonly BenchmarkRun[], title: string, note: string): Promise<string> {
  const shown = columnsOf(runs);
  const heads = [
    { head: 'mode' },
    { head: 'category', text: true },
    { head: 'seeds' },
    ...shown.map(([, head]) => ({ head })),
  ];
  const rows = benchmarkRows(runs).map((row) => ({
    head: row.mode,
    cells: [
      row.category,
      row.seeds.length || '',
      ...shown.map(([key], i) => cellOf(row.cells[key] as Cell, i < 3)),
    ],
    ...(row.category === 'mean' && { kind: 'mean' }),
  }));
  const body = html`<h1>${title}</h1><p class="quiet">${rulesOf(shown)}</p><p class="quiet">${note}</p>
${table(heads, rows)}`;
  return htmlPage({ title, style: style + extraStyle, body });
}
