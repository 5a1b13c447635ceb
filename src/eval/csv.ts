/**
 * Tables as CSV (RFC 4180) that are safe to open in a spreadsheet: a text that a spreadsheet would run as a
 * formula gets an apostrophe in front.
 */

/** A cell: a number stays a number; null is an empty cell. */
export type CsvValue = string | number | null;

// Equals, plus, minus, at, tab, carriage return or line feed at the start; spreadsheets take the wide forms
// of Japanese too.
const formula = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;
const needsQuotes = /[",;\t\r\n]|^\s|\s$/;

/**
 * One cell. It is quoted where its text needs that. A text that begins like a formula (= + - @, tab, CR, LF)
 * gets an apostrophe in front.
 */
export function csvField(value: CsvValue): string {
  if (value === null) return '';
  if (typeof value === 'number') return String(value);
  const text = formula.test(value) ? `'${value}` : value;
  return needsQuotes.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A table with its head; every line ends with a line feed. */
export function csvTable(head: readonly string[], rows: readonly (readonly CsvValue[])[]): string {
  return [head, ...rows].map((row) => `${row.map(csvField).join(',')}\n`).join('');
}
