/** What got worse on the host's side of a run than bench/results/host.json has it. */
import type { Provenance } from '../../src/bench/provenance.ts';
import type { HostFigures, HostReport } from './host.ts';

/** As bench/results/host.json has it. */
export interface RecordedHost extends HostReport {
  readonly record: Provenance;
}

/** Figures that are the same in every measurement: one more is worse. */
const exact = [
  ['dispatches', 'dispatches'],
  ['calls', 'calls of WebGPU'],
  ['uploaded_bytes', 'bytes written to the device'],
] as const satisfies readonly (readonly [keyof HostFigures, string])[];

/**
 * JavaScript of a run, as a multiple of a fixed piece of work, may grow to so many times what was recorded.
 * Counts are exact and find what adds calls. This bound is for what makes every call slower; it is wide,
 * because other processes disturb both times.
 */
export const timeBound = 3;

/** Whether counts can be compared: another driver gets other kernels. */
export const hostComparable = (driver: string, recorded: RecordedHost): boolean =>
  driver === recorded.record.driver;

/** A line for every figure that is worse than recorded. */
export function hostFindings(now: HostReport, recorded: HostReport): string[] {
  return recorded.programs.flatMap((before) => {
    const found = now.programs.find(({ program }) => program === before.program);
    if (!found) return [`${before.program}: recorded, and not measured any more`];
    const more = exact
      .filter(([name]) => found[name] > before[name])
      .map(([name, words]) => `${before.program}: ${found[name]} ${words}, recorded ${before[name]}`);
    const growth = found.relative / before.relative;
    if (growth <= timeBound) return more;
    const times = `${growth.toFixed(1)} times as much JavaScript beside the same fixed work`;
    return [...more, `${before.program}: ${times} as recorded, at most ${timeBound} are taken for noise`];
  });
}

/** A line for every count that is better than recorded: to be recorded, or it may be lost again unseen. */
export function hostGains(now: HostReport, recorded: HostReport): string[] {
  return recorded.programs.flatMap((before) => {
    const found = now.programs.find(({ program }) => program === before.program);
    return exact
      .filter(([name]) => found && found[name] < before[name])
      .map(([name, words]) => `${before.program}: ${found?.[name]} ${words}, recorded ${before[name]}`);
  });
}
