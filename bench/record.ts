/** What every file of bench/results says about itself: how, where, with what and when it was measured. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { packagedFile } from '../src/cli/package.ts';

/** Where figures come from. */
export interface Provenance {
  /** The command that gives them again. */
  readonly command: string;
  /** The day, as YYYY-MM-DD. */
  readonly date: string;
  /** The commit that was checked out; `+` after it: files differed from it. */
  readonly commit: string;
  /** Number of cores, processor, memory. */
  readonly machine: string;
  /** The WebGPU adapter as its driver describes it. */
  readonly driver: string;
  /** Version of Node; null where an old record does not say. */
  readonly node: string | null;
  /**
   * Processes that wanted a core when the measuring began (mean of a minute); 0 on a quiet machine, null
   * where an old record does not say.
   */
  readonly load: number | null;
  /** What a reader must know besides. */
  readonly note?: string;
}

function git(...args: string[]): string {
  return execFileSync('git', ['-C', packagedFile('.'), ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim();
}

function commit(): string {
  try {
    const changed = git('status', '--porcelain', '--untracked-files=no', '--', '.', ':!bench/results') !== '';
    return git('rev-parse', '--short=7', 'HEAD') + (changed ? '+' : '');
  } catch {
    return 'unknown (no git checkout)';
  }
}

/** Linux alone says which processor of a series it is. */
function processor(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor';
  try {
    const text = readFileSync('/proc/cpuinfo', 'utf8');
    const value = (key: string) => new RegExp(`^${key}\\s*: (.*)$`, 'm').exec(text)?.[1];
    const [family, number] = [value('cpu family'), value('model')];
    return family && number ? `${model} (family ${family}, model ${number})` : model;
  } catch {
    return model;
  }
}

/**
 * Describes this machine and checkout, before measuring begins.
 * @param command what was called, as a user types it
 * @param driver description of the adapter
 */
export function provenance(command: string, driver: string): Provenance {
  return {
    command: command.trim(),
    date: new Date().toISOString().slice(0, 10),
    commit: commit(),
    machine: `${cpus().length} cores, ${processor()}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    driver,
    node: process.versions.node,
    load: Number((loadavg()[0] ?? 0).toFixed(1)),
  };
}
