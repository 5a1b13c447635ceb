/**
 * What some good images say of the true rate of false alarms. A threshold just above the (k+1)-th largest of
 * n scores has a rate that is Beta(k + 1, n - k) distributed, whatever the distribution of the scores (order
 * statistics). k alarms counted on n images that the threshold does not come from give the interval of
 * Clopper and Pearson.
 */

import { InvalidArgumentError } from '../base/errors.ts';

/** What good images are to a threshold. */
export const evidenceOrigins = ['drawn', 'counted', 'fitted', 'trained', 'left-out'] as const;

/** Good images that a threshold was drawn from or looked at with. */
export interface FalseAlarmEvidence {
  /** Good images. */
  readonly good: number;
  /** How many of them the threshold calls anomalous. */
  readonly flagged: number;
  /**
   * `drawn`: the threshold lies just above one of their scores; `counted`: it does not come from them, or
   * lies between two of their scores; `fitted`: it was chosen among them and defects (F1); `trained`: the
   * detector has learned them; `left-out`: detectors that had learned the others judged them.
   */
  readonly from: (typeof evidenceOrigins)[number];
}

/** P(Bin(n, p) >= k), in logarithms, so that a thousand images underflow nothing. */
export function binomialAtLeast(k: number, n: number, p: number): number {
  if (k <= 0) return 1;
  let term = n * Math.log1p(-p);
  let below = Math.exp(term);
  const odds = Math.log(p) - Math.log1p(-p);
  for (let j = 1; j < k; j++) {
    term += Math.log((n - j + 1) / j) + odds;
    below += Math.exp(term);
  }
  return 1 - below;
}

/** The quantile q of Beta(a, b) for whole a and b, by bisection: its distribution is a binomial tail. */
function betaQuantile(q: number, a: number, b: number): number {
  let [low, high] = [0, 1];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (binomialAtLeast(a, a + b - 1, middle) < q) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/**
 * The interval of the true rate of false alarms, shares 0 to 1.
 *
 * @param confidence such as .95
 * @returns undefined for images that the detector has learned: their scores say nothing of new ones
 * @throws Error where there are no images, or more alarms than images
 */
export function falseAlarmInterval(
  { good, flagged, from }: FalseAlarmEvidence,
  confidence = 0.95,
): readonly [low: number, high: number] | undefined {
  if (!(Number.isSafeInteger(good) && good > 0 && Number.isSafeInteger(flagged) && flagged >= 0))
    throw new InvalidArgumentError(`${flagged} false alarms of ${good} good images: there is no such rate`);
  if (flagged > good) throw new InvalidArgumentError(`${flagged} false alarms of only ${good} good images`);
  if (from === 'trained') return undefined;
  const tail = (1 - confidence) / 2;
  // A threshold above an order statistic has flagged fewer than all.
  const lowerOrder = from === 'drawn' && flagged < good;
  const low = lowerOrder
    ? betaQuantile(tail, flagged + 1, good - flagged)
    : flagged
      ? betaQuantile(tail, flagged, good - flagged + 1)
      : 0;
  const high = flagged < good ? betaQuantile(1 - tail, flagged + 1, good - flagged) : 1;
  return [low, high];
}

/** False alarms among tested images by a threshold that does not come from them; null without either. */
export function countFalseAlarms(
  images: readonly { readonly score: number; readonly anomalous: boolean }[],
  threshold: { readonly threshold: number } | null,
): FalseAlarmEvidence | null {
  const good = images.filter(({ anomalous }) => !anomalous);
  if (!threshold || !good.length) return null;
  const flagged = good.filter(({ score }) => score >= threshold.threshold).length;
  return { good: good.length, flagged, from: 'counted' };
}

/** Per cent with a decimal, of small shares with two digits that say something. */
function percent(share: number): string {
  const value = 100 * share;
  return value > 0 && value < 0.095 ? value.toPrecision(1) : value.toFixed(1);
}

/** The evidence in plain words: one or two sentences. */
export function falseAlarmText(evidence: FalseAlarmEvidence): string {
  const { good, flagged, from } = evidence;
  const images = `${good} good image${good === 1 ? '' : 's'}`;
  const interval = falseAlarmInterval(evidence);
  if (!interval)
    return (
      `The ${images} of the threshold ${good === 1 ? 'was' : 'were'} trained on: new ones score higher, ` +
      'and nothing is known of their rate of false alarms: it may be near 100 %. ' +
      (good === 1 ? 'Calibrate with new ones.' : 'Keep some apart (--hold-out), or calibrate with new ones.')
    );
  const [low, high] = interval;
  const rate = `the true rate of false alarms lies between ${percent(low)} and ${percent(high)} % (95 %)`;
  if (from === 'drawn') return `With ${images}, ${rate}.`;
  if (from === 'left-out')
    return (
      `With ${images}, each judged by a detector that had learned the others, ${rate}. Those detectors ` +
      'learned fewer images than this one, which tends to raise their scores.'
    );
  const counted = `${flagged} of ${images} ${flagged === 1 ? 'is' : 'are'} called anomalous: ${rate}.`;
  return from === 'fitted'
    ? `${counted} The threshold was chosen on these images, so new ones may do worse.`
    : counted;
}
