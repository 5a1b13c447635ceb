/**
 * Which process wrote a file, and whether it still lives. Names of temporary files and of locks hold this.
 */
import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/**
 * A process, distinct from those of other machines and containers, and from earlier and later ones with its
 * number.
 */
export interface ProcessIdentity {
  /** Eight digits for what process numbers belong to: machine, its start, container. */
  readonly machine: string;
  readonly pid: number;
  /** When it started, in ticks since the machine's start; 0 where the system does not tell. */
  readonly started: number;
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

/** State and start of a process from Linux's /proc; undefined where there is none. */
function procStat(pid: number | 'self'): { readonly state: string; readonly started: number } | undefined {
  const stat = text(`/proc/${pid}/stat`);
  // The name stands in parentheses and may hold anything; the state is the third field, the start the 22nd.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return stat && fields[0] ? { state: fields[0], started: Number(fields[19]) } : undefined;
}

let own: ProcessIdentity | undefined;

/** This process. */
export function thisProcess(): ProcessIdentity {
  if (!own) {
    const machine = [hostname(), text('/proc/sys/kernel/random/boot_id'), link('/proc/self/ns/pid')].join(
      '\n',
    );
    own = {
      machine: createHash('sha256').update(machine).digest('hex').slice(0, 8),
      pid: process.pid,
      started: procStat('self')?.started ?? 0,
    };
  }
  return own;
}

/** As part of a file's name. */
export function identityText({ machine, pid, started }: ProcessIdentity): string {
  return `${machine}-${pid}-${started}`;
}

export function parseIdentity(text: string): ProcessIdentity | undefined {
  const [, machine, pid, started] = /^([0-9a-f]{8})-(\d+)-(\d+)$/.exec(text) ?? [];
  return machine ? { machine, pid: Number(pid), started: Number(started) } : undefined;
}

/** Whether a process still runs; `unknown` for one on another machine or in another container. */
export function processState(identity: ProcessIdentity): 'alive' | 'gone' | 'unknown' {
  if (identity.machine !== thisProcess().machine) return 'unknown';
  try {
    process.kill(identity.pid, 0);
  } catch (error) {
    // EPERM: the process is there, and belongs to someone else.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return 'gone';
  }
  // In a container /proc may show another container's processes.
  const comparable = link('/proc/self') === String(process.pid) && identity.started > 0;
  const stat = comparable ? procStat(identity.pid) : undefined;
  if (!stat) return 'unknown';
  // Z and X: the process has ended, and its parent has not read its exit code yet.
  return stat.started === identity.started && !/[ZX]/.test(stat.state) ? 'alive' : 'gone';
}
