import { describe, expect, it } from 'vitest';
import { RandomStream } from '../src/base/random.ts';
import { driftOfTested, driftText, ScoreWatch } from '../src/detector/score_watch.ts';
import type { CalibrationScore } from '../src/detector/settings.ts';
import { DriftMonitor, driftLimit, driftNeeds } from '../src/eval/drift.ts';

/** Scores 1..n: the share of good parts beyond any of them is known. */
const ladder = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

/** Scores that `monitor` takes until its alarm; `most` where there is none. */
function untilAlarm(monitor: DriftMonitor, next: () => number, most: number): number {
  for (let count = 1; count <= most; count++) if (monitor.add(next()).direction) return count;
  return most;
}

describe('drift of scores', () => {
  it('says so after as many scores as its limit where all lie above, or all below', () => {
    const monitor = new DriftMonitor(ladder(100));
    for (let i = 1; i < driftLimit; i++) expect(monitor.add(1000).direction).toBeUndefined();
    expect(monitor.add(1000)).toEqual({ direction: 'higher', higher: 1, lower: 0, seen: driftLimit });
    monitor.reset();
    expect(monitor.state).toEqual({ direction: undefined, higher: 0, lower: 0, seen: 0 });
    expect(untilAlarm(monitor, () => -5, 1000)).toBe(driftLimit);
    expect(monitor.state.direction).toBe('lower');
  });

  it('takes two from a sum for a score that is not beyond the reference', () => {
    const monitor = new DriftMonitor(ladder(100));
    for (let i = 0; i < 6; i++) monitor.add(1000);
    expect(monitor.add(50).higher).toBe(4 / driftLimit);
    for (let i = 0; i < 3; i++) monitor.add(50);
    expect(monitor.state.higher).toBe(0);
  });

  it('needs eight good scores, and finite ones', () => {
    expect(() => new DriftMonitor(ladder(driftNeeds - 1))).toThrow('there are 7: calibrate with more');
    expect(() => new DriftMonitor([...ladder(9), Number.NaN])).toThrow('is NaN, expected a finite number');
    const monitor = new DriftMonitor(ladder(driftNeeds));
    expect(() => monitor.add(Number.POSITIVE_INFINITY)).toThrow('a score is Infinity');
    expect(monitor.state.seen).toBe(0);
  });

  it.each([8, 12, 30, 200])('keeps its promise for 99 of 100 calibration sets of %i images', (n) => {
    const random = new RandomStream(n, 'calibration sets');
    let broken = 0;
    const sets = 3000;
    for (let i = 0; i < sets; i++) {
      const monitor = new DriftMonitor(Array.from({ length: n }, () => random.next()));
      // Good scores are uniform: the share beyond the reference is 1 - reference. 0.55 is beyond it or not.
      if (monitor.add(0.55).higher > 0) broken++;
    }
    // 1 % are allowed; of 3000 sets three standard deviations above it are 46.
    expect(broken).toBeLessThanOrEqual(46);
  });

  it('is not alarmed by 5 % of defects among good parts, however large their scores are', () => {
    const random = new RandomStream(7, 'stream');
    const monitor = new DriftMonitor(Array.from({ length: 60 }, () => random.normal()));
    const next = () => (random.next() < 0.05 ? 1e30 : random.normal());
    expect(untilAlarm(monitor, next, 20_000)).toBe(20_000);
  });

  it('gives an alarm every 13,000 scores where half of all are beyond the reference', () => {
    const random = new RandomStream(11, 'worst case');
    const monitor = new DriftMonitor(ladder(driftNeeds));
    let alarms = 0;
    const count = 400_000;
    for (let i = 0; i < count; i++) {
      if (!monitor.add(random.next() < 0.5 ? 100 : 4).direction) continue;
      alarms++;
      monitor.reset();
    }
    // 13,492 scores on average (exact, by the chain of the sum's 16 states): 30 alarms, deviation 5.4.
    expect(alarms).toBeGreaterThan(13);
    expect(alarms).toBeLessThan(47);
  });

  it.each([
    [200, 1, 60],
    [50, 2, 30],
    [10, 3, 30],
  ])('of %i good images: a shift of %i deviations is found within %i scores, mostly', (n, shift, most) => {
    const random = new RandomStream(3, 'shift');
    const delays = Array.from({ length: 200 }, () => {
      const monitor = new DriftMonitor(Array.from({ length: n }, () => random.normal()));
      return untilAlarm(monitor, () => random.normal() + shift, 5000);
    }).sort((a, b) => a - b);
    expect(delays[100]).toBeLessThan(most);
  });

  it('goes by ranks: scores on another scale give the same sums', () => {
    const random = new RandomStream(5, 'ranks');
    const good = Array.from({ length: 40 }, () => random.normal());
    const scale = (score: number) => Math.exp(3 * score) - 100;
    const [plain, scaled] = [new DriftMonitor(good), new DriftMonitor(good.map(scale))];
    for (let i = 0; i < 300; i++) {
      const score = random.normal() + 0.5;
      expect(scaled.add(scale(score))).toEqual(plain.add(score));
    }
  });
});

describe('the watch of a model', () => {
  const known = (source: string, least: number, count: number, anomalous = false): CalibrationScore[] =>
    Array.from({ length: count }, (_, i) => ({ score: least + i, anomalous, source }));
  const alarmOf = (calibrationScores: CalibrationScore[], score: number) => {
    const watch = ScoreWatch.of({ calibrationScores });
    for (let i = 0; i < 40; i++) watch?.add(score);
    return watch?.alarm;
  };

  it('goes by good images that the model was not trained on', () => {
    expect(alarmOf([...known('train', 0, 50), ...known('test', 100, 10)], 50)).toEqual({
      direction: 'lower',
      after: driftLimit,
    });
    const noise = [
      ...known('train', 0, 50),
      ...known('test', 100, 50, true),
      ...known('held-out', 0, 7),
      ...known('left-out', 0, 50),
    ];
    expect(ScoreWatch.of({ calibrationScores: noise })).toBeUndefined();
    expect(ScoreWatch.of({ calibrationScores: [] })).toBeUndefined();
  });

  it('goes by the last calibration alone where that had enough images', () => {
    const held = known('held-out', 0, 50);
    expect(alarmOf([...held, ...known('calibrate', 100, 8)], 103.5)).toBeUndefined();
    expect(alarmOf([...held, ...known('calibrate', 100, 7)], 103.5)?.direction).toBe('higher');
  });

  it('keeps its alarm until it begins anew', () => {
    const watch = ScoreWatch.of({ calibrationScores: known('test', 0, 20) }) as ScoreWatch;
    for (let i = 0; i < driftLimit; i++) watch.add(1000);
    const alarm = { direction: 'higher', after: driftLimit };
    for (let i = 0; i < 100; i++) expect(watch.add(10)).toEqual(alarm);
    watch.reset();
    expect(watch.alarm).toBeUndefined();
    expect(watch.add(10)).toBeUndefined();
  });

  it('tells a test set that was photographed another day from the held-out images', () => {
    const bad = known('test', 1000, 40, true);
    const scores = [...known('held-out', 0, 10), ...known('test', 0, 10), ...bad, ...known('train', -90, 9)];
    expect(driftOfTested({ calibrationScores: scores })).toBeUndefined();
    const moved = driftOfTested({ calibrationScores: [...scores, ...known('test', 50, driftLimit)] });
    expect(moved?.direction).toBe('higher');
    const few = [...known('held-out', 0, 7), ...known('test', 50, 40)];
    expect(driftOfTested({ calibrationScores: few })).toBeUndefined();
  });

  it('says what to do', () => {
    expect(driftText({ direction: 'lower' })).toMatch(/^the scores lie below those .* \(aand calibrate\)$/);
    expect(driftText({ direction: 'higher' })).toMatch(/lie above .* defective, nothing is wrong$/);
  });
});
