/**
 * Rows of `aand predict` on stdout and in a CSV file: written as they come, so that what was done is there
 * when the work is cut off.
 */
import { type CsvValue, csvTable } from '../eval/csv.ts';
import type { DriftDirection } from '../eval/drift.ts';
import { scoreText } from '../eval/thresholds.ts';
import { OutputFile } from '../output/file.ts';
import { largestBox, type MarkedRegion } from '../serve/judgement.ts';
import { onOutput } from './style.ts';

export interface PredictionRow {
  /** The photograph. */
  readonly path: string;
  readonly raw_score: number;
  /** 0 to 1; 0.5 is at the threshold. Null, as the label, for a detector without a threshold. */
  readonly pred_score: number | null;
  readonly pred_label: 'good' | 'anomalous' | null;
  /** Size of the photograph in pixels, after EXIF rotation. */
  readonly width: number;
  readonly height: number;
  /** Share of the photograph that is marked, 0 to 1; null for a detector without a threshold. */
  readonly marked_area: number | null;
  /** The marked regions in pixels of the photograph, the largest first, as `aand serve` gives them. */
  readonly regions: readonly MarkedRegion[];
  /** The picture of the result; null where none was written. */
  readonly picture: string | null;
  /** Where the scores have gone since the first photograph; null where they have not, or nobody knows. */
  readonly drift: DriftDirection | null;
}

function lineOf({ path, raw_score, pred_score, pred_label }: PredictionRow): string {
  const raw = `raw ${raw_score.toFixed(4)}`;
  if (pred_score === null || pred_label === null) return `${raw}  ${path}\n`;
  const colour = pred_label === 'anomalous' ? onOutput.red : onOutput.green;
  return `${colour(pred_label.padEnd(9))} ${scoreText(pred_score)} (${raw})  ${path}\n`;
}

/** How rows are printed: as lines for people, one JSON array, or a line of JSON each. */
export type RowFormat = 'lines' | 'array' | 'json lines';

/** Prints rows. */
export class RowPrinter {
  readonly #format: RowFormat;
  readonly #write: (text: string) => void;
  #rows = 0;
  #ended = false;

  constructor(format: RowFormat, write: (text: string) => void = (text) => process.stdout.write(text)) {
    this.#format = format;
    this.#write = write;
  }

  /** How many rows were printed. */
  get rows(): number {
    return this.#rows;
  }

  print(row: PredictionRow): void {
    this.#rows++;
    if (this.#format === 'lines') this.#write(lineOf(row));
    else if (this.#format === 'json lines') this.#write(`${JSON.stringify(row)}\n`);
    else {
      const text = JSON.stringify(row, null, 2).replaceAll('\n', '\n  ');
      this.#write(`${this.#rows === 1 ? '[' : ','}\n  ${text}`);
    }
  }

  /** Closes the JSON array; call it however the work ended. A second call does nothing. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#format === 'array') this.#write(this.#rows ? '\n]\n' : '[]\n');
  }
}

const columns = [
  ...['path', 'pred_label', 'pred_score', 'raw_score', 'marked_area', 'regions', 'largest_x_y_w_h'],
  ...['width', 'height', 'picture', 'drift'],
];
const head = csvTable(columns, []);

function cells(row: PredictionRow): CsvValue[] {
  const { path, pred_label, pred_score, raw_score, marked_area, regions, width, height } = row;
  const marked = marked_area === null ? null : regions.length;
  return [
    ...[path, pred_label, pred_score, raw_score, marked_area, marked, largestBox(row)],
    ...[width, height, row.picture, row.drift],
  ];
}

/** Rows in a CSV file, one line each; boxes are in pixels of the photograph. */
export class RowTable implements AsyncDisposable {
  readonly #file: OutputFile;
  #begun = false;

  private constructor(file: OutputFile) {
    this.#file = file;
  }

  /**
   * @param inputs files that are read
   * @throws Error where the file is there and `force` is not set, or is one of those that are read
   */
  static async open(
    path: string,
    { force, inputs }: { readonly force: boolean; readonly inputs: readonly string[] },
  ): Promise<RowTable> {
    return new RowTable(await OutputFile.open(path, { command: 'aand predict', force, inputs }));
  }

  /** Adds a line; the first call writes the head. */
  async add(row: PredictionRow): Promise<void> {
    await this.begin();
    await this.#file.append(csvTable(columns, [cells(row)]).slice(head.length));
  }

  /** Writes the head, so that a table without rows is one. */
  async begin(): Promise<void> {
    if (this.#begun) return;
    await this.#file.write(head);
    this.#begun = true;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#file[Symbol.asyncDispose]();
  }
}
