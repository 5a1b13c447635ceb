/** What a training or a test came to, in plain words: for command line, page and report. */

import { describe, expect, test } from 'vitest';
import { type FalseAlarmEvidence, falseAlarmInterval } from '../src/eval/false_alarms.ts';
import { findingsLines, findingsOf, moreToHalve } from '../src/eval/findings.ts';
import type { Calibration } from '../src/eval/thresholds.ts';

const calibration = (evidence?: FalseAlarmEvidence): Calibration => ({
  threshold: 1,
  min: 0,
  max: 2,
  rule: 'set by hand',
  ...(evidence && { evidence }),
});
const tested = (good: number, rejected: number, bad: number, missed: number, defect = 'rust') => [
  ...Array.from({ length: good }, (_, i) => ({ score: i < rejected ? 1 : 0.5, anomalous: false })),
  ...Array.from({ length: bad }, (_, i) => ({ score: i < missed ? 0.5 : 1, anomalous: true, defect })),
];

describe('what was found, missed and rejected', () => {
  test('is counted at the limit, with what it says of all parts', () => {
    const { grade, headline, counts, advice } = findingsOf({
      images: tested(16, 0, 24, 1),
      calibration: calibration(),
    });
    expect(grade).toBe('good');
    expect(headline).toBe(
      'This model works on the tested parts: it found 23 of 24 bad parts and rejected 0 of 16 good ones.',
    );
    expect(counts.map(({ label, value, of }) => `${label} ${value} ${of}`)).toEqual([
      'found 23 of 24 bad parts',
      'missed 1 of 24 bad parts',
      'rejected 0 of 16 good parts',
    ]);
    // R: binom.test(23, 24) gives .789 to .999, binom.test(0, 16) 0 to .206.
    expect(counts[0]?.text).toBe('of all such parts between 79 and 100 %');
    expect(counts[2]?.text).toBe('of all good parts between 0 and 21 %');
    expect(advice).toEqual([]);
  });

  test('a bad model is said to be bad, and what helps', () => {
    const half = findingsOf({ images: tested(20, 2, 20, 8), calibration: calibration(), learned: 12 });
    expect(half.grade).toBe('bad');
    expect(half.headline).toBe(
      'This model is bad: it found 12 of 20 bad parts and rejected 2 of 20 good ones.',
    );
    expect(half.advice.at(-1)).toMatch(
      /^What helps: more photographs .* It learned 12; 50 or more are better\.$/,
    );
    const guess = findingsOf({ images: tested(20, 8, 20, 10), calibration: calibration() });
    expect(guess.headline).toMatch(/^This model is bad, hardly better than guessing: /);
    // Whoever calls everything bad finds everything.
    expect(findingsOf({ images: tested(20, 20, 20, 0), calibration: calibration() }).grade).toBe('bad');
    expect(findingsOf({ images: tested(20, 2, 20, 2), calibration: calibration() }).grade).toBe('fair');
  });

  test('the kinds that are missed most are named', () => {
    const images = [
      ...tested(10, 0, 10, 1, 'dent'),
      ...tested(0, 0, 10, 4, 'scratch'),
      ...tested(0, 0, 9, 0),
    ];
    expect(findingsOf({ images, calibration: calibration() }).counts[1]?.text).toBe(
      'most: scratch (4 of 10), dent (1 of 10)',
    );
  });

  test('few tested parts, and good ones that were learned, are said to say little', () => {
    const one = findingsOf({ images: tested(4, 0, 1, 0), calibration: calibration(), goodLearned: true });
    expect(one.advice).toEqual(['Only 1 bad part was tested: that says little. Test with more.']);
    expect(one.counts[2]?.text).toBe('these parts were learned: new ones score higher');
    const few = findingsOf({ images: tested(4, 0, 3, 0), calibration: calibration() });
    expect(few.advice).toEqual([
      'Only 3 bad parts and 4 good parts were tested: that says little. Test with more.',
    ]);
    expect(findingsOf({ images: tested(0, 0, 20, 0), calibration: calibration() }).advice).toEqual([
      'No good part was tested: nobody knows how many of them it rejects.',
    ]);
  });
});

describe('what is said of the limit', () => {
  test('few photographs: how many more halve what is not known', () => {
    const evidence = { good: 8, flagged: 0, from: 'left-out' } as const;
    const more = moreToHalve(evidence) as number;
    const width = (good: number) => {
      const [low, high] = falseAlarmInterval({ ...evidence, good }) as readonly [number, number];
      return high - low;
    };
    expect(width(8 + more)).toBeLessThanOrEqual(width(8) / 2);
    expect(width(7 + more)).toBeGreaterThan(width(8) / 2);
    // A person is asked for a round number.
    expect(more).toBe(11);
    const { grade, headline, advice } = findingsOf({
      images: tested(8, 0, 0, 0),
      calibration: calibration(evidence),
      learned: 8,
    });
    expect(grade).toBe('unknown');
    expect(headline).toMatch(/not to be trusted yet, and no bad part was tested/);
    expect(advice[0]).toBe(
      '8 photographs: too few to trust the limit; 15 more would halve its uncertainty. ' +
        'Up to 37 % of good parts may be rejected.',
    );
  });

  test('many photographs: what it rejects at most; a high rate that is known is no lack of photographs', () => {
    const many = findingsOf({
      images: tested(100, 0, 0, 0),
      calibration: calibration({ good: 100, flagged: 0, from: 'drawn' }),
    });
    expect(many.headline).toMatch(/nobody knows yet what it finds/);
    expect(many.advice[0]).toMatch(/none of them lies above it: at most 4 % of good parts are rejected/);
    const [high] = findingsOf({
      images: tested(10, 0, 10, 0),
      calibration: calibration({ good: 500, flagged: 60, from: 'counted' }),
    }).advice;
    expect(high).toMatch(/60 of them lie above it: at most 15 % /);
  });

  test('learned photographs, a limit that was chosen on the test, none at all', () => {
    const limit = (evidence: FalseAlarmEvidence) =>
      findingsOf({ images: tested(50, 0, 4, 0), calibration: calibration(evidence) }).advice[0];
    expect(limit({ good: 50, flagged: 0, from: 'trained' })).toMatch(/it says nothing of new parts/);
    expect(limit({ good: 50, flagged: 0, from: 'fitted' })).toBe(
      'The limit was chosen on the tested parts themselves, so new parts may do a little worse. ' +
        'It rests on 4 bad parts.',
    );
    const none = findingsOf({ images: tested(5, 0, 5, 0), calibration: null });
    expect([none.grade, none.counts]).toEqual(['unknown', []]);
    expect(none.headline).toMatch(/no limit yet/);
  });
});

test('lines of text: the sentence, the counts in columns, the advice', () => {
  expect(findingsLines(findingsOf({ images: tested(9, 1, 10, 0), calibration: calibration() }))).toEqual([
    'This model is usable with care: it found 10 of 10 bad parts and rejected 1 of 9 good ones.',
    '  found     10 of 10 bad parts  of all such parts between 69 and 100 %',
    '  missed    0 of 10 bad parts   of all such parts between 0 and 31 %',
    '  rejected  1 of 9 good parts   of all good parts between 0 and 48 %',
    '  - Only 9 good parts were tested: that says little. Test with more.',
    expect.stringMatching(/^ {2}- What helps: /),
  ]);
});
