/** What was judged since the camera was started: counts, and lines of a log. */
import { csvTable } from '../src/eval/csv.ts';
import { scoreText } from '../src/eval/thresholds.ts';
import type { MapResult } from './types.ts';

/** A judged picture of the camera. */
export interface Judged {
  /** 1 is the first since the counters were set to zero. */
  readonly number: number;
  readonly time: Date;
  readonly result: MapResult;
  /** From 0 to 1 with 0.5 at the limit; null without one. */
  readonly score: number | null;
  readonly anomalous: boolean | null;
}

/** What the sign of a verdict says. */
export const signOf = (anomalous: boolean | null): string =>
  anomalous === null ? 'no limit' : anomalous ? 'NOK' : 'OK';

const two = (value: number, digits = 2) => String(value).padStart(digits, '0');

/** The time of the place, in a form that files may be called by and that sorts: 2026-11-27T18-03-05.120. */
export function stampOf(time: Date): string {
  const day = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  const clock = `${two(time.getHours())}-${two(time.getMinutes())}-${two(time.getSeconds())}`;
  return `${day}T${clock}.${two(time.getMilliseconds(), 3)}`;
}

/** Name of a judged picture: its time, its verdict and its score. */
export function pictureName({ time, score, anomalous, result }: Judged): string {
  const shown = score === null ? result.score.toFixed(3) : scoreText(score);
  return `${stampOf(time)} ${signOf(anomalous)} ${shown}.png`;
}

const columns = ['time', 'number', 'raw_score', 'pred_score', 'pred_label', 'picture'];

/** Lines of the log; with its head where it is the beginning of one. */
export function logLines(
  judged: readonly { readonly frame: Judged; readonly picture: string | null }[],
  head: boolean,
): string {
  const text = csvTable(
    columns,
    judged.map(({ frame, picture }) => [
      frame.time.toISOString(),
      frame.number,
      frame.result.score,
      frame.score,
      frame.anomalous === null ? '' : frame.anomalous ? 'anomalous' : 'good',
      picture,
    ]),
  );
  return head ? text : text.slice(text.indexOf('\n') + 1);
}

export interface Counts {
  readonly judged: number;
  readonly good: number;
  readonly bad: number;
}

export function counted(counts: Counts, { anomalous }: Pick<Judged, 'anomalous'>): Counts {
  return {
    judged: counts.judged + 1,
    good: counts.good + (anomalous === false ? 1 : 0),
    bad: counts.bad + (anomalous === true ? 1 : 0),
  };
}
