/**
 * Dawn's warnings that mean nothing to a user. Dawn has no level of messages to set: it prints from native
 * code, straight to the process's standard error. For the moment in which it looks for adapters, that is led
 * into a file; everything but those warnings then goes to where it belongs.
 */
import {
  closeSync,
  constants,
  fstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isatty } from 'node:tty';

const standardError = 2;
// Dawn's own bound of dynamic offsets, which no kernel here uses.
const meaningless = /^Warning: maxDynamic\w+ artificially reduced from .*\n?/gm;

/** The rest of a native text, without the warnings that mean nothing. */
export function meaningful(text: string): string {
  return text.replace(meaningless, '');
}

/**
 * Whether standard error can be opened a second time and be the same: a terminal, a pipe that somebody reads,
 * or a file that is written at its end. A socket cannot; a file that several programs write from a common
 * place would lose what they write.
 */
function canBeOpenedAgain(): boolean {
  if (process.platform !== 'linux') return false;
  if (isatty(standardError)) return true;
  const info = fstatSync(standardError);
  if (info.isFIFO()) return true;
  const flags = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${standardError}`, 'utf8'))?.[1];
  return info.isFile() && (Number.parseInt(flags ?? '0', 8) & constants.O_APPEND) !== 0;
}

// What else could take the number 2 between its closing and its opening.
const busy = /^(FS|GetAddrInfo|Worker|MessagePort|Zlib|Crypto|.*Job)/;

/** Standard error a second time, and a folder for texts; undefined where it cannot be led aside safely. */
function prepare(): { readonly saved: number; readonly folder: string } | undefined {
  try {
    if (!canBeOpenedAgain() || process.getActiveResourcesInfo().some((name) => busy.test(name)))
      return undefined;
    // A pipe that nobody reads any more is an error here, and not a wait.
    const { O_WRONLY, O_APPEND, O_NONBLOCK, O_NOCTTY } = constants;
    const saved = openSync(`/proc/self/fd/${standardError}`, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY);
    try {
      return { saved, folder: mkdtempSync(join(tmpdir(), 'aand-messages-')) };
    } catch {
      closeSync(saved);
      return undefined;
    }
  } catch {
    return undefined;
  }
}

/**
 * Runs native work that prints, and prints what it said without the warnings that mean nothing. Where
 * standard error cannot be led aside safely, everything is printed as it comes.
 *
 * @param work must not wait: nothing else may run in this thread meanwhile
 */
export function withoutChatter<T>(work: () => T): T {
  const prepared = prepare();
  if (!prepared) return work();
  const { saved, folder } = prepared;
  // The lowest free number is taken: that of what was closed.
  closeSync(standardError);
  const aside = openSync(join(folder, 'text'), 'w+', 0o600);
  try {
    return work();
  } finally {
    const bytes = Buffer.alloc(fstatSync(aside).size);
    readSync(aside, bytes, 0, bytes.length, 0);
    closeSync(aside);
    openSync(`/proc/self/fd/${saved}`, constants.O_WRONLY | constants.O_APPEND | constants.O_NOCTTY);
    closeSync(saved);
    rmSync(folder, { recursive: true, force: true });
    const text = meaningful(bytes.toString());
    if (text) writeSync(standardError, text);
  }
}
