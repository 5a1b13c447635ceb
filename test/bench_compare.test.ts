/** Comparisons of two files of the bench: intervals, verdicts, exit codes, and files that do not fit. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { RandomStream } from '../src/base/random.ts';
import { compareReports, ratioInterval } from '../src/bench/compare.ts';
import { type BenchReport, type BenchResult, readReport, reportText } from '../src/bench/report.ts';

const folder = mkdtempSync(join(tmpdir(), 'aand-compare-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Times around a middle; a machine's are skewed: some runs are much slower. */
function times(middle: number, count: number, key: string): number[] {
  const random = new RandomStream('times', key);
  return Array.from({ length: count }, () => {
    const late = random.next() < 0.1 ? random.uniform(0, 0.5) : 0;
    return middle * (1 + 0.02 * random.normal() + late);
  });
}

function result(
  name: string,
  samples_ms: number[] | undefined,
  more: Partial<BenchResult> = {},
): BenchResult {
  return {
    name,
    kind: 'kernel',
    timed_by: 'clock',
    median_ms: samples_ms ? (samples_ms.toSorted((a, b) => a - b)[samples_ms.length >> 1] as number) : 3,
    spread: 0.02,
    runs: samples_ms?.length ?? 100,
    ...(samples_ms && { samples_ms }),
    javascript_ms: 0.1,
    recording_ms: 0.1,
    gflops: 10,
    gbytes_per_s: 1,
    intensity: 10,
    share_of_roofline: 0.5,
    dispatches: 1,
    copies: 0,
    pipelines: 1,
    peak_bytes: 1000,
    weight_bytes: 0,
    max_abs_error: null,
    error_against: 'float64',
    configuration: '',
    ...more,
  };
}

function report(results: BenchResult[], more: Partial<BenchReport> = {}): BenchReport {
  return {
    record: {
      command: 'aand bench',
      date: '2026-11-27',
      commit: 'version 0.1.0',
      machine: '2 cores',
      driver: 'llvmpipe',
      node: '20.9.0',
      load: 0.1,
    },
    adapter: { description: 'llvmpipe', vendor: 'mesa', features: [] },
    peaks: { gflops: 100, gbytes_per_s: 10 },
    results,
    ...more,
  };
}

describe('intervals', () => {
  test('hold the true ratio of 19 in 20 pairs, and are those of the same samples again', () => {
    let held = 0;
    for (let i = 0; i < 60; i++) {
      const [low, high] = ratioInterval(times(4, 60, `a${i}`), times(5, 60, `b${i}`));
      expect(low).toBeLessThan(high);
      if (low <= 1.25 && 1.25 <= high) held++;
    }
    // 57 of 60 are expected; a bootstrap of the wrong statistic holds few or all.
    expect(held).toBeGreaterThanOrEqual(51);
    const pair = [times(4, 50, 'a'), times(5, 50, 'b')] as const;
    expect(ratioInterval(...pair)).toEqual(ratioInterval(...pair));
  });

  test('keep runs in a row together: a machine that is slow for a while says less than one that varies', () => {
    const width = ([low, high]: readonly [number, number]) => high - low;
    const steady = Array.from({ length: 100 }, () => 1);
    const inTurns = Array.from({ length: 100 }, (_, i) => (i % 2 ? 1 : 1.2));
    const forAWhile = Array.from({ length: 100 }, (_, i) => (Math.floor(i / 25) % 2 ? 1 : 1.2));
    // Every block of ten has as many slow runs as fast ones.
    expect(width(ratioInterval(steady, inTurns))).toBe(0);
    expect(width(ratioInterval(steady, forAWhile))).toBeCloseTo(0.2, 10);
    expect(ratioInterval(steady, steady)).toEqual([1, 1]);
  });
});

describe('verdicts', () => {
  const before = report([
    result('slower', times(4, 80, 'a')),
    result('faster', times(4, 80, 'b')),
    result('same', times(4, 80, 'c')),
    result('unclear', times(4, 5, 'd')),
    result('gone', times(4, 80, 'e')),
  ]);
  const after = report([
    result('slower', times(5, 80, 'f')),
    result('faster', times(3, 80, 'g')),
    result('same', times(4, 80, 'h')),
    result('unclear', [3.7, 3.8, 4.1, 4.6, 4.7], { unsteady: true }),
    result('new', times(4, 80, 'i')),
  ]);

  test('a change counts where its whole interval lies beyond the tolerance', () => {
    const { cases, onlyBefore, onlyAfter, mean } = compareReports(before, after, 0.05);
    expect(cases.map(({ name, verdict }) => [name, verdict])).toEqual([
      ['slower', 'slower'],
      ['faster', 'faster'],
      ['same', 'same'],
      ['unclear', 'unclear'],
    ]);
    expect(cases[0]?.ratio).toBeCloseTo(1.25, 1);
    expect(cases[3]?.note).toBe('unsteady after');
    expect([onlyBefore, onlyAfter]).toEqual([['gone'], ['new']]);
    expect(mean).toBeCloseTo((1.25 * 0.75 * 1 * (cases[3]?.ratio as number)) ** 0.25, 1);
    expect(compareReports(before, after, 0.4).cases.map(({ verdict }) => verdict)).not.toContain('slower');
  });

  test('few runs, runs that were not kept and other clocks are not compared, with the reason', () => {
    const old = report([
      result('few', [1, 1, 1]),
      result('old', undefined),
      result('clock', times(1, 50, 'a'), { timed_by: 'timestamps' }),
    ]);
    const now = report(['few', 'old', 'clock'].map((name) => result(name, times(9, 50, name))));
    const { cases, mean } = compareReports(old, now, 0.05);
    expect(cases.map(({ verdict, note, interval }) => [verdict, note, interval])).toEqual([
      ['not compared', '3 runs are too few for an interval', undefined],
      ['not compared', 'a file of before has no single runs', undefined],
      ['not compared', 'timed by timestamps before, by clock after', undefined],
    ]);
    expect(mean).toBeNull();
  });

  test('what is not the code is said: another machine, driver, Node, other peaks', () => {
    const base = before.record;
    const moved = report(after.results as BenchResult[], {
      record: { ...base, machine: '8 cores', driver: 'radv', node: null },
      peaks: { gflops: 80, gbytes_per_s: 10.5 },
    });
    expect(compareReports(before, moved, 0.05).differences).toEqual([
      'machine: 2 cores before, 8 cores after',
      'driver: llvmpipe before, radv after',
      'Node: 20.9.0 before, none after',
      'the measured peak of arithmetic is 0.80 times that of before: not the code alone',
    ]);
    expect(compareReports(before, after, 0.05).differences).toEqual([]);
  });
});

describe('files', () => {
  test('a report comes back as it was, with a line for a list of numbers', () => {
    const made = report([result('a', [1.5, 2, 3e-7, 4, 5])], {
      failures: [{ name: 'b', message: 'why\nnot [1, 2]' }],
      peaks: { gflops: 1, gbytes_per_s: 2, copies: [{ bytes: 1, gbytes_per_s: 3 }] },
    });
    const text = reportText(made);
    expect(text).toContain('"samples_ms": [1.5, 2, 3e-7, 4, 5]');
    expect(readReport(text, 'f.json')).toEqual(made);
  });

  test('the record of an earlier version is read', () => {
    const old = readReport(readFileSync('bench/results/bench.json', 'utf8'), 'bench.json');
    expect(old.results.length).toBeGreaterThan(30);
  });

  test.each([
    ['no JSON', '{', /^f\.json: not valid JSON/],
    [
      'another file',
      '{"name": "aand-webgpu"}',
      /^f\.json: record: .*It must be a file that aand bench --json/,
    ],
    ['a time of 0', reportText(report([result('a', [1], { median_ms: 0 })])), /results\.0\.median_ms/],
    [
      'an unknown kind',
      reportText(report([result('a', [1])])).replace('"kernel"', '"x"'),
      /results\.0\.kind/,
    ],
  ])('%s is refused with its place', (_, text, message) => {
    expect(() => readReport(text, 'f.json')).toThrow(message);
  });
});

describe('aand bench compare', () => {
  const write = (name: string, made: BenchReport | string) => {
    const path = join(folder, name);
    writeFileSync(path, typeof made === 'string' ? made : reportText(made));
    return path;
  };
  const compare = (...args: string[]) =>
    spawnSync(process.execPath, ['dist/cli.js', 'bench', 'compare', ...args], { encoding: 'utf8' });
  const old = write(
    'old.json',
    report([result('conv', times(4, 80, 'a')), result('pool', times(2, 80, 'b'))]),
  );
  const same = write(
    'same.json',
    report([result('conv', times(4, 80, 'c')), result('pool', times(2, 80, 'd'))]),
  );
  const slow = write(
    'slow.json',
    report([result('conv', times(5, 80, 'e')), result('pool', times(2, 80, 'f'))]),
  );

  test('exit code 0 where nothing became slower', () => {
    const { status, stdout, stderr } = compare(old, same);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^before 2026-11-27, version 0\.1\.0, load 0\.1, llvmpipe\n/);
    expect(stdout).toMatch(/\nconv +[34]\.\d\d +[34]\.\d\d +[01]\.\d{3} +0\.\d{3} to 1\.\d{3} +same\n/);
    expect(stdout).toMatch(
      /\n2 same; a change counts beyond 5 %; geometric mean of the ratios [01]\.\d{3}\n$/,
    );
  });

  test('exit code 3 where a case became slower, unless that much does not count', () => {
    const { status, stdout } = compare(old, slow);
    expect(status).toBe(3);
    expect(stdout).toMatch(/\nconv .* slower\n/);
    expect(compare(old, slow, '--tolerance', '40').status).toBe(0);
    // Faster is no fault.
    expect(compare(slow, old).status).toBe(0);
  });

  test('exit code 2 for what cannot be compared', () => {
    const other = write('other.json', report([result('x', times(1, 50, 'a'))]));
    const bare = write('bare.json', report([result('conv', undefined)]));
    const none = write('none.json', '[]');
    for (const [args, message] of [
      [[old, other], 'have no case in common'],
      [[old, bare], 'nothing could be compared: measure again with this version'],
      [[old, none], `${none}: record: `],
      [[old], "missing required argument 'after'"],
    ] as const) {
      const { status, stderr } = compare(...args);
      expect([status, stderr]).toEqual([2, expect.stringContaining(message)]);
    }
    expect(compare(old, join(folder, 'absent.json')).status).toBe(1);
  });
});
