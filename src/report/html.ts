/**
 * Pages that hold data of others: everything that is put into them is escaped for its place, and a
 * Content-Security-Policy forbids scripts, styles and requests that are not the page's own.
 */

/** Text that is markup already. */
export class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export type Part = Html | string | number | false | null | undefined | readonly Part[];

function escaped(part: Part): string {
  if (part instanceof Html) return part.text;
  if (Array.isArray(part)) return part.map(escaped).join('');
  if (part === null || part === undefined || part === false) return '';
  return String(part).replace(/[&<>"'`]/g, (c) => `&#${c.charCodeAt(0)};`);
}

/**
 * Markup of a template: what is put in is escaped as text, also within quoted attributes, unless it is {@link
 * Html} itself.
 */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.reduce((text, string, i) => text + escaped(parts[i - 1]) + string));
}

/** A column of a table. Numbers stand at its right, texts at its left. */
export interface Column {
  readonly head: string;
  readonly text?: boolean;
}

/** A row of a table: its own head in the first column, and what stands in the others. */
export interface Row {
  readonly head: Part;
  readonly cells: readonly Part[];
  /** Class of the row. */
  readonly kind?: string;
}

/** A table that scrolls where the page is too narrow. */
export function table(columns: readonly Column[], rows: readonly Row[]): Html {
  const kind = (name: string | false | undefined) => name && html` class="${name}"`;
  const left = (column: number) => kind(columns[column]?.text && 'text');
  const heads = columns.map(({ head }, i) => html`<th${left(i)}>${head}</th>`);
  const lines = rows.map((row) => {
    const cells = row.cells.map((cell, i) => html`<td${left(i + 1)}>${cell}</td>`);
    return html`<tr${kind(row.kind)}><th scope="row">${row.head}</th>${cells}</tr>\n`;
  });
  return html`<div class="scroll"><table>
<thead><tr>${heads}</tr></thead>
<tbody>${lines}</tbody>
</table></div>`;
}

/** Data as JSON that cannot end the script element that holds it. */
function jsonText(data: unknown): string {
  return JSON.stringify(data).replace(
    /[<>&\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The source of a policy that allows exactly this text of a script or style element. */
async function allowed(text: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
  return `'sha256-${btoa(String.fromCharCode(...digest))}'`;
}

/** The page's own text of a script or style element, in the form that browsers read. */
function ownText(text: string): string {
  if (/<\/(script|style)|<!--/i.test(text))
    throw new Error('a script or style of a page would end its own element');
  return text.replace(/\r\n?/g, '\n');
}

/**
 * A whole page, which needs no network.
 *
 * @param o style and scripts: this program's own texts, never data; data: for the scripts, in the element
 *   with id `data`
 */
export async function htmlPage(o: {
  readonly title: string;
  readonly style: string;
  readonly body: Html;
  readonly data?: unknown;
  readonly scripts?: readonly string[];
}): Promise<string> {
  const style = ownText(o.style);
  const scripts = (o.scripts ?? []).map(ownText);
  const sources = await Promise.all(scripts.map(allowed));
  const policy = [
    "default-src 'none'",
    'img-src data:',
    `style-src ${await allowed(style)}`,
    `script-src ${sources.join(' ') || "'none'"}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  const data =
    o.data !== undefined &&
    new Html(`<script type="application/json" id="data">${jsonText(o.data)}</script>`);
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>${o.title}</title>
<style>${new Html(style)}</style></head><body>
${o.body}
${data}${scripts.map((script) => html`<script>${new Html(script)}</script>`)}
</body></html>
`.text;
}
