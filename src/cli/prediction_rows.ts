/**
 * Rows of `aand predict` on stdout: printed as they come, so that what was done is there when the work is cut
 * off.
 */

import type { DriftDirection } from '../eval/drift.ts';

export interface PredictionRow {
  /** The photograph. */
  readonly path: string;
  readonly raw_score: number;
  /** 0 to 1; 0.5 is at the threshold. Null, as the label, for a detector without a threshold. */
  readonly pred_score: number | null;
  readonly pred_label: 'good' | 'anomalous' | null;
  /** The picture of the result; null where none was written. */
  readonly picture: string | null;
  /** Where the scores have gone since the first photograph; null where they have not, or nobody knows. */
  readonly drift: DriftDirection | null;
}

function lineOf({ path, raw_score, pred_score, pred_label }: PredictionRow): string {
  const raw = `raw ${raw_score.toFixed(4)}`;
  return pred_score === null || pred_label === null
    ? `${raw}  ${path}\n`
    : `${pred_label.padEnd(9)} ${pred_score.toFixed(3)} (${raw})  ${path}\n`;
}

/** Prints rows as lines, or as one JSON array. */
export class RowPrinter {
  readonly #json: boolean;
  readonly #write: (text: string) => void;
  #rows = 0;
  #ended = false;

  constructor(json: boolean, write: (text: string) => void = (text) => process.stdout.write(text)) {
    this.#json = json;
    this.#write = write;
  }

  /** How many rows were printed. */
  get rows(): number {
    return this.#rows;
  }

  print(row: PredictionRow): void {
    this.#rows++;
    if (this.#json) {
      const text = JSON.stringify(row, null, 2).replaceAll('\n', '\n  ');
      this.#write(`${this.#rows === 1 ? '[' : ','}\n  ${text}`);
    } else this.#write(lineOf(row));
  }

  /** Closes the JSON array; call it however the work ended. A second call does nothing. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#json) this.#write(this.#rows ? '\n]\n' : '[]\n');
  }
}
