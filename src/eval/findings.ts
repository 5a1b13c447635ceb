/**
 * What a training or a test came to, in plain words: what was found, missed and rejected, how far that may be
 * trusted, and what to do. Command line, page and report say the same.
 */

import { type FalseAlarmEvidence, falseAlarmInterval } from './false_alarms.ts';
import { type Calibration, isAnomalous } from './thresholds.ts';

/** How far a model may be trusted; `unknown`: nothing was tested that would tell. */
export type Grade = 'good' | 'fair' | 'bad' | 'unknown';

/** One thing that was counted. */
export interface Finding {
  readonly label: 'found' | 'missed' | 'rejected';
  /** Such as `23 of 24`. */
  readonly value: string;
  /** What was counted, such as `bad parts`. */
  readonly of: string;
  /** What the count says of all parts. */
  readonly text: string;
}

/** A result in plain words. */
export interface Findings {
  readonly grade: Grade;
  /** The one sentence to read. */
  readonly headline: string;
  readonly counts: readonly Finding[];
  /** What to know, then what to do; a sentence or two each. */
  readonly advice: readonly string[];
}

/** What findings are drawn from. */
export interface FindingsInput {
  readonly images: readonly {
    readonly score: number;
    readonly anomalous: boolean;
    /** Kind of the defect. */
    readonly defect?: string;
  }[];
  /** Of images; null for a detector without a threshold. */
  readonly calibration: Calibration | null;
  /** Photographs of good parts that were learned, without changed copies; undefined where nobody knows. */
  readonly learned?: number | undefined;
  /** The good ones among the images were learned: new ones score higher. */
  readonly goodLearned?: boolean;
}

/** Fewer photographs of good parts than these are few. */
const enoughPhotographs = 50;
/** Where so many more good parts than were seen may be rejected, as a share, a limit is not to be trusted. */
const tolerableDoubt = 0.1;
/** Fewer tested parts of a kind say little. */
const enoughTested = 10;
/** Shares of missed and of rejected parts, added: above them a model is no good one, and a bad one. */
const fairLoss = 0.1;
const badLoss = 0.5;
/** With so much it is hardly better than guessing, which loses 1. */
const guessing = 0.8;

const parts = (count: number, kind: string) => `${count} ${kind} part${count === 1 ? '' : 's'}`;

/** A share in per cent, without decimals. */
const percent = (share: number) => `${Math.round(100 * share)} %`;

/** What k of n say of all: the interval of Clopper and Pearson (95 %). */
function between(k: number, n: number): string {
  const [low, high] = falseAlarmInterval({ good: n, flagged: k, from: 'counted' }) as readonly [
    number,
    number,
  ];
  return `between ${Math.round(100 * low)} and ${percent(high)}`;
}

/** Rounds what a person is asked for. */
const rounded = (count: number) => (count > 10 ? 5 * Math.ceil(count / 5) : count);

/** Whether the rate of false alarms may be much higher than what was seen. */
function isUncertain(evidence: FalseAlarmEvidence): boolean {
  const [, high] = falseAlarmInterval(evidence) ?? [0, 1];
  return high - evidence.flagged / evidence.good > tolerableDoubt;
}

/**
 * How many more good images would halve what is not known of the rate of false alarms, at the same share of
 * false alarms.
 *
 * @returns undefined where nothing is known, or where thousands would be needed
 */
export function moreToHalve(evidence: FalseAlarmEvidence): number | undefined {
  const { good, flagged } = evidence;
  const width = (count: number) => {
    const interval = falseAlarmInterval({
      ...evidence,
      good: count,
      flagged: Math.round((flagged * count) / good),
    });
    return interval && interval[1] - interval[0];
  };
  const wanted = width(good);
  if (wanted === undefined) return undefined;
  // The width falls with the number at least as its root does.
  for (let count = good + 1; count <= 5 * good && count < good + 2000; count++)
    if ((width(count) as number) <= wanted / 2) return count - good;
  return undefined;
}

/** What the good photographs say of the limit, and what more of them would. */
function limitAdvice({ evidence }: Calibration, bad: number): string[] {
  if (!evidence) return [];
  const { good, flagged, from } = evidence;
  const photographs = `${good} photograph${good === 1 ? '' : 's'}`;
  const interval = falseAlarmInterval(evidence);
  if (!interval)
    return [
      `The limit comes from ${photographs} that ${good === 1 ? 'was' : 'were'} learned: it says nothing of ` +
        'new parts. Draw it anew from good parts that were not learned.',
    ];
  const said: string[] = [];
  if (from === 'fitted')
    said.push(
      'The limit was chosen on the tested parts themselves, so new parts may do a little worse.' +
        (bad < enoughTested ? ` It rests on ${parts(bad, 'bad')}.` : ''),
    );
  const [, high] = interval;
  if (isUncertain(evidence)) {
    const more = moreToHalve(evidence);
    const halve = more === undefined ? '' : `; ${rounded(more)} more would halve its uncertainty`;
    said.push(
      `${photographs}: too few to trust the limit${halve}. Up to ${percent(high)} of good parts may be ` +
        'rejected.',
    );
  } else if (from !== 'fitted')
    said.push(
      `The limit comes from ${photographs} of good parts, and ${flagged || 'none'} of them ` +
        `${flagged > 1 ? 'lie' : 'lies'} above it: at most ${percent(high)} of good parts are rejected.`,
    );
  return said;
}

/** What was missed, by the kinds of defects, most missed first. */
function missedKinds(missed: FindingsInput['images'], bad: FindingsInput['images']): string | undefined {
  const kinds = [...new Set(bad.map(({ defect }) => defect))];
  if (!missed.length || kinds.length < 2) return undefined;
  const count = (list: FindingsInput['images'], kind: string | undefined) =>
    list.filter(({ defect }) => defect === kind).length;
  return kinds
    .map((kind) => ({ kind, lost: count(missed, kind), all: count(bad, kind) }))
    .filter(({ lost }) => lost)
    .sort((a, b) => b.lost - a.lost)
    .slice(0, 4)
    .map(({ kind, lost, all }) => `${kind} (${lost} of ${all})`)
    .join(', ');
}

const remedies =
  'What helps: more photographs of good parts, taken as the tested ones were (same light, place and ' +
  'distance); a larger image size for small defects; a look at the pictures of what was missed and rejected.';

/**
 * The result of a training or a test in plain words.
 *
 * @throws Error where the calibration's evidence counts more alarms than images
 */
export function findingsOf(input: FindingsInput): Findings {
  const { images, calibration, goodLearned = false, learned } = input;
  const bad = images.filter(({ anomalous }) => anomalous);
  const good = images.filter(({ anomalous }) => !anomalous);
  if (!calibration)
    return {
      grade: 'unknown',
      headline: 'This model has no limit yet: it gives scores, and calls nothing good or bad.',
      counts: [],
      advice: ['Draw the limit from photographs of good parts (calibrate).'],
    };
  if (!bad.length) {
    const advice = limitAdvice(calibration, 0);
    const few = calibration.evidence && isUncertain(calibration.evidence);
    return {
      grade: 'unknown',
      headline: few
        ? 'It learned the good parts. Its limit is not to be trusted yet, and no bad part was tested.'
        : 'It learned the good parts. No bad part was tested, so nobody knows yet what it finds.',
      counts: [],
      advice: [...advice, 'Try it on some bad parts before you rely on it.'],
    };
  }
  const missed = bad.filter(({ score }) => !isAnomalous(score, calibration));
  const rejected = good.filter(({ score }) => isAnomalous(score, calibration));
  const found = bad.length - missed.length;
  const kinds = missedKinds(missed, bad);
  const counts: Finding[] = [
    {
      label: 'found',
      value: `${found} of ${bad.length}`,
      of: 'bad parts',
      text: `of all such parts ${between(found, bad.length)}`,
    },
    {
      label: 'missed',
      value: `${missed.length} of ${bad.length}`,
      of: 'bad parts',
      text: kinds ? `most: ${kinds}` : `of all such parts ${between(missed.length, bad.length)}`,
    },
  ];
  if (good.length)
    counts.push({
      label: 'rejected',
      value: `${rejected.length} of ${good.length}`,
      of: 'good parts',
      text: goodLearned
        ? 'these parts were learned: new ones score higher'
        : `of all good parts ${between(rejected.length, good.length)}`,
    });
  const lost = missed.length / bad.length + (good.length ? rejected.length / good.length : 0);
  const grade: Grade = lost >= badLoss ? 'bad' : lost > fairLoss ? 'fair' : 'good';
  const said =
    `it found ${found} of ${parts(bad.length, 'bad')}` +
    (good.length ? ` and rejected ${rejected.length} of ${good.length} good ones` : '');
  const headlines: Record<Grade, string> = {
    bad:
      lost >= guessing
        ? `This model is bad, hardly better than guessing: ${said}.`
        : `This model is bad: ${said}.`,
    fair: `This model is usable with care: ${said}.`,
    good: `This model works on the tested parts: ${said}.`,
    unknown: '',
  };
  const advice = limitAdvice(calibration, bad.length);
  const few = [...(bad.length < enoughTested ? [parts(bad.length, 'bad')] : [])];
  if (good.length && good.length < enoughTested && !goodLearned) few.push(parts(good.length, 'good'));
  if (few.length)
    advice.push(
      `Only ${few.join(' and ')} ${few.length === 1 && few[0]?.startsWith('1 ') ? 'was' : 'were'} tested: ` +
        'that says little. Test with more.',
    );
  if (!good.length) advice.push('No good part was tested: nobody knows how many of them it rejects.');
  if (grade === 'bad' || grade === 'fair')
    advice.push(
      learned !== undefined && learned < enoughPhotographs
        ? `${remedies} It learned ${learned}; ${enoughPhotographs} or more are better.`
        : remedies,
    );
  return { grade, headline: headlines[grade], counts, advice };
}

/** Findings as lines of text. */
export function findingsLines({ headline, counts, advice }: Findings): string[] {
  const width = Math.max(0, ...counts.map(({ value, of }) => value.length + of.length + 1));
  return [
    headline,
    ...counts.map(
      ({ label, value, of, text }) => `  ${label.padEnd(8)}  ${`${value} ${of}`.padEnd(width)}  ${text}`,
    ),
    ...advice.map((text) => `  - ${text}`),
  ];
}
