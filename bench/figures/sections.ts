/**
 * The sections of docs/results.md that come and go with their records: each file of bench/results/tables is a
 * section of its own: a table of means and deviations, or a curve as its points. Whoever measures something
 * adds a file and no code.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import type { Provenance } from '../../src/bench/provenance.ts';
import { table, wrap } from './markdown.ts';

const value = v.union([
  v.string(),
  v.number(),
  // Mean and standard deviation.
  v.strictObject({ mean: v.number(), deviation: v.nullable(v.number()) }),
  v.null(),
]);

/** How, where and when something was measured, as a file has it. */
export const recordSchema = v.strictObject({
  command: v.string(),
  date: v.string(),
  commit: v.string(),
  machine: v.string(),
  driver: v.string(),
  node: v.nullable(v.string()),
  load: v.nullable(v.number()),
  note: v.optional(v.string()),
});

const schema = v.strictObject({
  record: recordSchema,
  /** Sections come in this order, then by their file's name. */
  order: v.number(),
  title: v.string(),
  /** What was measured, with which settings, and what a reader must know: a paragraph each. */
  about: v.array(v.string()),
  /** Digits after the point of numbers. */
  digits: v.number(),
  heads: v.array(v.string()),
  rows: v.array(v.array(value)),
  /** Columns of numbers, counted from 0, over the first column, whose numbers have equal distances. */
  charts: v.optional(
    v.array(
      v.strictObject({
        title: v.string(),
        columns: v.pipe(v.array(v.number()), v.minLength(1)),
        /** What each line is; default: the heads of the columns. */
        names: v.optional(v.array(v.string())),
      }),
    ),
  ),
  /** Commands that give the figures again, a line each. */
  commands: v.array(v.string()),
});

/** A section as its file has it. */
export type MeasuredTable = v.InferOutput<typeof schema>;

function cell(content: v.InferOutput<typeof value>, digits: number): string {
  if (content === null) return 'not measured';
  if (typeof content === 'string') return content;
  if (typeof content === 'number') return content.toFixed(digits);
  const { mean, deviation } = content;
  const spread = deviation === null ? '' : ` ± ${deviation.toFixed(digits)}`;
  return mean.toFixed(digits) + spread;
}

/** Lines in a chart, by their names and codes. */
const colours = [
  ['blue', '#1f77b4'],
  ['orange', '#e07b00'],
  ['green', '#2ca02c'],
] as const;

const numberOf = (content: v.InferOutput<typeof value> | undefined) =>
  typeof content === 'object' && content ? content.mean : content;

/** A chart as Mermaid's text, which the hosts of documents draw. */
function chart(
  o: MeasuredTable,
  { title, columns, names }: NonNullable<MeasuredTable['charts']>[number],
): string {
  const drawn = columns.map((column) => o.rows.map((row) => numberOf(row[column])));
  const all = drawn.flat();
  if (!all.every((each) => typeof each === 'number') || columns.length > colours.length)
    throw new Error(
      `the chart "${title}" of "${o.title}" needs numbers alone, ${colours.length} lines at most`,
    );
  const least = Math.floor(Math.min(...all));
  const most = Math.ceil(Math.max(...all));
  const [from, to] = [o.rows[0]?.[0], o.rows.at(-1)?.[0]];
  const lines = columns.map((column, i) => `${colours[i]?.[0]} ${names?.[i] ?? o.heads[column]}`);
  return [
    `${title}: ${lines.join(', ')}.`,
    '',
    '```mermaid',
    '---',
    'config:',
    '  themeVariables:',
    '    xyChart:',
    `      plotColorPalette: "${colours.map(([, code]) => code).join(', ')}"`,
    '---',
    'xychart-beta',
    `  x-axis "${o.heads[0]}" ${from} --> ${to}`,
    `  y-axis ${least} --> ${most}`,
    ...drawn.map((line) => `  line [${line.map((each) => (each as number).toFixed(o.digits)).join(', ')}]`),
    '```',
  ].join('\n');
}

function section(o: MeasuredTable, origin: (record: Provenance) => string): string {
  const { note, ...record } = o.record;
  return [
    `### ${o.title}`,
    ...o.about.map((text) => wrap(text)),
    ...(o.charts ?? []).map((each) => chart(o, each)),
    table(
      o.heads,
      o.rows.map((row) => row.map((content) => cell(content, o.digits))),
    ),
    origin({ ...record, ...(note !== undefined && { note }) }),
    ...(o.commands.length ? [`\`\`\`sh\n${o.commands.join('\n')}\n\`\`\``] : []),
  ].join('\n\n');
}

/** @throws Error naming the file and the field that is not as it has to be */
export function readTable(path: string): MeasuredTable {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new Error(`${path}: not valid JSON (${(error as Error).message})`);
  }
  const { success, output, issues } = v.safeParse(schema, content);
  if (!success) throw new Error(`${path}: ${v.getDotPath(issues[0]) ?? 'the file'}: ${issues[0].message}`);
  const wrong = output.rows.findIndex((row) => row.length !== output.heads.length);
  if (wrong >= 0)
    throw new Error(
      `${path}: row ${wrong + 1} has ${output.rows[wrong]?.length} cells, ` +
        `there are ${output.heads.length} heads`,
    );
  return output;
}

/**
 * All sections, one after the other.
 *
 * @param folder of the files; without it, or without a file in it, there is no section
 * @param origin the text that says where figures come from
 */
export function measuredSections(folder: string, origin: (record: Provenance) => string): string {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith('.json'));
  } catch {
    names = [];
  }
  const tables = names.sort().map((name) => readTable(join(folder, name)));
  // Sorting keeps the order of the names where `order` is equal.
  const sections = tables.sort((a, b) => a.order - b.order).map((each) => section(each, origin));
  return sections.length ? `\n${sections.join('\n\n')}\n` : 'None has been recorded yet.';
}
