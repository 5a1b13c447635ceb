/** A file to which each judgement adds a line: JSON, or CSV where its name ends so. */
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type CsvValue, csvTable } from '../../eval/csv.ts';
import { makeFolder, writeError } from '../../platform/node/write.ts';
import type { Judged, Sink } from '../hub.ts';
import { type Judgement, largestBox } from '../judgement.ts';
import { Backlog } from './backlog.ts';
import type { SinkReports } from './reports.ts';

const head = [
  ...['time', 'model', 'name', 'pred_label', 'pred_score', 'raw_score', 'marked_area', 'largest_x_y_w_h'],
  ...['drift', 'milliseconds'],
];

function csvRow(judgement: Judgement): CsvValue[] {
  const { time, model, name, pred_label, pred_score, raw_score, marked_area, drift, milliseconds } =
    judgement;
  const box = largestBox(judgement);
  return [time, model, name, pred_label, pred_score, raw_score, marked_area, box, drift, milliseconds];
}

const headLine = csvTable(head, []);
const csvLine = (judgement: Judgement) => csvTable(head, [csvRow(judgement)]).slice(headLine.length);
const jsonLine = (judgement: Judgement) => `${JSON.stringify(judgement)}\n`;

/** Reads the end of a file: whether a process that was killed has left a part of a line. */
async function tornAt(file: FileHandle): Promise<number | undefined> {
  const { size } = await file.stat();
  const piece = Buffer.alloc(64 * 1024);
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - piece.length);
    const { bytesRead } = await file.read(piece, 0, end - start, start);
    const last = piece.subarray(0, bytesRead).lastIndexOf(10);
    if (last >= 0) return start + last + 1 === size ? undefined : start + last + 1;
    end = start;
  }
  return size ? 0 : undefined;
}

/** Lines in a file, the oldest first. Each is written whole with one call. */
export class LogFile implements Sink {
  readonly name: string;
  readonly #file: FileHandle;
  readonly #line: (judgement: Judgement) => string;
  readonly #backlog: Backlog<Judgement>;

  private constructor(path: string, file: FileHandle, csv: boolean, reports: SinkReports) {
    this.name = path;
    this.#file = file;
    this.#line = csv ? csvLine : jsonLine;
    this.#backlog = new Backlog({
      batch: 1000,
      most: 100_000,
      pause: 1000,
      longestPause: 30_000,
      oldest: Number.POSITIVE_INFINITY,
      deliver: (judgements) => this.#append(judgements),
      ...reports.of(path),
    });
  }

  /**
   * Opens the file, or makes it with the folders above it. A part of a line at its end, which a killed
   * process has left, is cut off.
   *
   * @throws Error naming the file; also where a CSV file has another head
   */
  static async open(path: string, reports: SinkReports): Promise<LogFile> {
    const csv = /\.csv$/i.test(path);
    await makeFolder(dirname(path));
    let file: FileHandle;
    try {
      file = await open(path, 'a+');
    } catch (error) {
      throw writeError(path, 0, error);
    }
    try {
      const torn = await tornAt(file);
      if (torn !== undefined) {
        reports.note(`${path}: a part of a line at its end is cut off`);
        await file.truncate(torn);
      }
      if (csv) await LogFile.#checkHead(path, file);
    } catch (error) {
      await file.close();
      throw error;
    }
    return new LogFile(path, file, csv, reports);
  }

  static async #checkHead(path: string, file: FileHandle): Promise<void> {
    const { size } = await file.stat();
    if (!size) {
      await file.appendFile(headLine);
      return;
    }
    const start = Buffer.alloc(headLine.length);
    const { bytesRead } = await file.read(start, 0, start.length, 0);
    if (start.subarray(0, bytesRead).toString() !== headLine)
      throw new Error(`${path}: its first line is not ${headLine.trim()}: give another file`);
  }

  take({ judgement }: Judged): void {
    this.#backlog.add(judgement);
  }

  async close(): Promise<void> {
    await this.#backlog.close(5000);
    await this.#file.close();
  }

  async #append(judgements: readonly Judgement[]): Promise<void> {
    const { size } = await this.#file.stat();
    const text = judgements.map((judgement) => this.#line(judgement)).join('');
    try {
      await this.#file.appendFile(text);
    } catch (error) {
      // A full disk may have taken a part: the lines are written again as a whole.
      await this.#file.truncate(size).catch(() => {});
      throw writeError(this.name, Buffer.byteLength(text), error);
    }
  }
}
