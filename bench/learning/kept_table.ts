/**
 * New figures in a table that is in docs/results.md already: what people wrote in it stays, and on wish the
 * rows that were not measured anew.
 */
import { existsSync, writeFileSync } from 'node:fs';
import type { Provenance } from '../../src/bench/provenance.ts';
import { type MeasuredTable, readTable } from '../figures/sections.ts';

type Row = MeasuredTable['rows'][number];

/** Values without repetition, sorted. */
const distinct = (values: readonly string[]) => [...new Set(values)].sort();

/**
 * The rows with the new ones in the places of those of the same key; another one stands behind the rows that
 * begin as it does, or at the end.
 *
 * @param keys how many cells at a row's beginning say what it is of
 */
export function mergedRows(known: readonly Row[], made: readonly Row[], keys: number): Row[] {
  const keyOf = (row: Row) => JSON.stringify(row.slice(0, keys));
  const left = new Map(made.map((row) => [keyOf(row), row]));
  const placed = known.map((row) => {
    const key = keyOf(row);
    const anew = left.get(key);
    left.delete(key);
    return anew ?? row;
  });
  for (const row of left.values()) {
    const like = placed.findLastIndex(([first]) => first === row[0]);
    placed.splice(like < 0 ? placed.length : like + 1, 0, row);
  }
  return placed;
}

/** A record of figures of two occasions: every driver, and the later day. */
export function mergedRecord(known: Pick<Provenance, 'date' | 'driver'>, made: Provenance): Provenance {
  const date = [known.date, made.date].sort().at(-1) as string;
  return { ...made, date, driver: distinct([...known.driver.split('; '), made.driver]).join('; ') };
}

/**
 * Writes a section; where the file is there already, its title, texts, place, commands and note stay.
 *
 * @throws Error where the file is there and is no section
 */
export function writeKeepingWords(path: string, made: MeasuredTable): void {
  let table = made;
  if (existsSync(path)) {
    const { title, about, order, commands, record } = readTable(path);
    const note = record.note === undefined ? {} : { note: record.note };
    table = { ...made, title, about, order, commands, record: { ...made.record, ...note } };
  }
  writeFileSync(path, `${JSON.stringify(table, null, 2)}\n`);
}
