/** What npm run check:gpu fails for on the host's side of a run. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { HostFigures, HostReport } from '../bench/static/host.ts';
import {
  hostComparable,
  hostFindings,
  hostGains,
  type RecordedHost,
  timeBound,
} from '../bench/static/host_ratchet.ts';

const recorded = JSON.parse(
  readFileSync(new URL('../bench/results/host.json', import.meta.url), 'utf8'),
) as RecordedHost;

/** The record with changes of its first program. */
function changed(changes: Partial<HostFigures>): HostReport {
  const [first, ...others] = recorded.programs as [HostFigures, ...HostFigures[]];
  return { ...recorded, programs: [{ ...first, ...changes }, ...others] };
}

const [detector] = recorded.programs as [HostFigures];

describe("the host's figures", () => {
  test('that are as recorded are not found', () => {
    expect(hostFindings(recorded, recorded)).toEqual([]);
    expect(hostGains(recorded, recorded)).toEqual([]);
  });

  test.each([
    ['dispatches', 'dispatches'],
    ['calls', 'calls of WebGPU'],
    ['uploaded_bytes', 'bytes written to the device'],
  ] as const)('one more of %s is found, one less is a gain', (name, words) => {
    const before = detector[name];
    const line = (value: number) => `detector: ${value} ${words}, recorded ${before}`;
    expect(hostFindings(changed({ [name]: before + 1 }), recorded)).toEqual([line(before + 1)]);
    expect(hostGains(changed({ [name]: before + 1 }), recorded)).toEqual([]);
    expect(hostFindings(changed({ [name]: before - 1 }), recorded)).toEqual([]);
    expect(hostGains(changed({ [name]: before - 1 }), recorded)).toEqual([line(before - 1)]);
  });

  test('JavaScript is found when it grew beyond the bound, beside the same fixed work', () => {
    const grown = (times: number) => hostFindings(changed({ relative: times * detector.relative }), recorded);
    expect(grown(timeBound - 0.1)).toEqual([]);
    expect(grown(timeBound + 0.5)).toEqual([
      'detector: 3.5 times as much JavaScript beside the same fixed work as recorded, at most 3 are taken ' +
        'for noise',
    ]);
    // Milliseconds alone say nothing: a slower machine has more of them.
    expect(hostFindings(changed({ submitted_ms: 100 * detector.submitted_ms }), recorded)).toEqual([]);
  });

  test('a program that is not measured any more is found', () => {
    const rest = { ...recorded, programs: recorded.programs.slice(1) };
    expect(hostFindings(rest, recorded)).toEqual(['detector: recorded, and not measured any more']);
  });

  test('of another driver are not compared', () => {
    expect(hostComparable(recorded.record.driver, recorded)).toBe(true);
    expect(hostComparable('VANGOGH by Mesa, on a device that does nothing', recorded)).toBe(false);
  });

  test('the record has every figure of every program', () => {
    for (const { dispatches, calls, uploaded_bytes, relative } of recorded.programs)
      for (const figure of [dispatches, calls, uploaded_bytes, relative]) expect(figure).toBeGreaterThan(0);
  });
});
