/** The results of a run on a GPU machine as a page that needs nothing else. */

import type { Provenance } from '../../src/bench/provenance.ts';
import { type Html, html, htmlPage, table } from '../../src/report/html.ts';
import { style } from '../../src/report/style.ts';
import { figureText, type Row } from './part.ts';

export interface PartResult {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly seconds: number;
  /** Whether it ended by itself and every check held. */
  readonly passed: boolean;
  readonly rows: readonly Row[];
  /** Why it ended early. */
  readonly error?: string;
}

export interface PackReport {
  readonly record: Provenance;
  readonly seconds: number;
  readonly settings: { readonly quick: boolean };
  readonly parts: readonly PartResult[];
}

const own = `
tr.failed { color: var(--bad); }
td, th { white-space: nowrap; }
td.text { white-space: normal; min-width: 12em; }
`;

const verdict = (passed: boolean | null) => (passed === null ? '' : passed ? 'passed' : 'failed');

function section({ title, about, rows, error, seconds }: PartResult): Html {
  const names = [...new Set(rows.flatMap(({ figures }) => Object.keys(figures)))];
  const isText = (name: string) => rows.some(({ figures }) => typeof figures[name] === 'string');
  const columns = [
    { head: '' },
    { head: 'check', text: true },
    ...names.map((head) => ({ head, text: isText(head) })),
    { head: 'note', text: true },
  ];
  const lines = rows.map(({ name, passed, figures, note }) => ({
    head: name,
    cells: [
      verdict(passed),
      ...names.map((key) => (figures[key] === undefined ? '' : figureText(figures[key]))),
      note ?? '',
    ],
    ...(passed === false && { kind: 'failed' }),
  }));
  return html`<h2>${title}</h2>
<p class="quiet">${about} ${seconds.toFixed(1)} s.</p>
${error && html`<p class="warning">${error}</p>`}
${rows.length > 0 && table(columns, lines)}
`;
}

/** The page as HTML text. */
export function packPage({ record, seconds, settings, parts }: PackReport): Promise<string> {
  const summary = table(
    [{ head: 'part' }, { head: '', text: true }, { head: 'rows' }, { head: 'failed' }, { head: 's' }],
    parts.map(({ title, passed, rows, error, seconds: taken }) => ({
      head: title,
      cells: [
        error ? 'ended early' : passed && rows.some((row) => row.notRun) ? 'incomplete' : verdict(passed),
        rows.length,
        rows.filter((row) => row.passed === false).length,
        taken.toFixed(1),
      ],
      ...(!passed && { kind: 'failed' }),
    })),
  );
  const body = html`<h1>${record.driver}</h1>
<p>${record.date} · <code>${record.command}</code> · commit ${record.commit} · ${record.machine} ·
Node ${record.node} · ${seconds.toFixed(0)} s</p>
${
  settings.quick &&
  html`<p class="warning">A rehearsal: small sizes, few runs. No figure here says how fast
a device is.</p>`
}
${summary}
${parts.map(section)}`;
  return htmlPage({ title: `GPU: ${record.driver}`, style: style + own, body });
}
