/** Markdown that the figures are made of. */

/** Longest line of a document, in characters. */
export const lineWidth = 110;

/** A table; the columns after the first are numbers and stand to the right. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = `|${heads.map((_, i) => (i ? '---:' : '---')).join('|')}|`;
  return [line(heads), rule, ...rows.map(line)].join('\n');
}

/** Text in lines of at most `lineWidth` characters; code between backticks is never cut. */
export function wrap(text: string, first = '', rest = first): string {
  const words = text.match(/(?:`[^`]*`|\S)+/g) ?? [];
  const lines: string[] = [];
  let line = first;
  for (const word of words) {
    const start = lines.length ? rest : first;
    if (line !== start && line.length + 1 + word.length > lineWidth) {
      lines.push(line);
      line = rest + word;
    } else line += line === start ? word : ` ${word}`;
  }
  return [...lines, line].join('\n');
}

const marker = /<!-- figures:(\S+) -->[\s\S]*?<!-- \/figures -->/g;

/**
 * Writes every figure into its place: between `<!-- figures:NAME -->` and `<!-- /figures -->`. A figure of
 * one line stays in its line; others get lines of their own.
 *
 * @param path of the document, for messages
 * @param figures each figure's text, by name
 * @param used gets the names that the document has
 * @throws Error for a name that is no figure's, and for a marker without its end
 */
export function fill(
  path: string,
  text: string,
  figures: ReadonlyMap<string, string>,
  used: Set<string>,
): string {
  const filled = text.replace(marker, (_, name: string) => {
    const figure = figures.get(name);
    if (figure === undefined)
      throw new Error(`${path}: there is no figure '${name}'; there are ${[...figures.keys()].join(', ')}`);
    used.add(name);
    const body = figure.includes('\n') ? `\n${figure}\n` : figure;
    return `<!-- figures:${name} -->${body}<!-- /figures -->`;
  });
  const begins = filled.split('<!-- figures:').length;
  if (begins !== filled.split('<!-- /figures -->').length)
    throw new Error(`${path}: a marker <!-- figures:NAME --> has no <!-- /figures --> after it`);
  return filled;
}
