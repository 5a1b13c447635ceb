/**
 * One writer at a time for an output: a lock file that names its holder. A lock whose holder is gone is
 * broken. A holder on this machine is looked up; of a holder on another machine or in another container the
 * lock file must have been untouched for half a minute.
 */
import { createHash, randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { type FileHandle, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import { identityText, processState, thisProcess } from '../platform/node/process.ts';
import { removeStaleTemporaries, writeBytes } from '../platform/node/write.ts';

const heartbeatMilliseconds = 5_000;
const staleMilliseconds = 30_000;
// Clocks of two machines differ: an old lock is watched for longer than a heartbeat before it is broken.
const watchMilliseconds = 6_000;

const holderSchema = v.object({
  command: v.string(),
  host: v.string(),
  since: v.string(),
  machine: v.pipe(v.string(), v.regex(/^[0-9a-f]{8}$/)),
  pid: v.pipe(v.number(), v.integer(), v.minValue(1)),
  started: v.pipe(v.number(), v.integer(), v.minValue(0)),
});

type Holder = v.InferOutput<typeof holderSchema>;

/** A lock file as it is now. */
interface Found {
  readonly text: string;
  /** Undefined where the file is not whole. */
  readonly holder: Holder | undefined;
  readonly touched: number;
}

async function look(path: string): Promise<Found | undefined> {
  try {
    const [text, { mtimeMs }] = [await readFile(path, 'utf8'), await stat(path)];
    let holder: Holder | undefined;
    try {
      const read = v.safeParse(holderSchema, JSON.parse(text));
      holder = read.success ? read.output : undefined;
    } catch {
      holder = undefined;
    }
    return { text, holder, touched: mtimeMs };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function describe(holder: Holder | undefined): string {
  if (!holder) return 'another process';
  const { command, pid, host, since } = holder;
  const where = host === hostname() ? '' : ` on ${host}`;
  return `${command} (process ${pid}${where}, since ${since.replace('T', ' ').slice(0, 19)} UTC)`;
}

export interface LockOptions {
  /** Who takes it, such as `aand train`. */
  readonly command: string;
  /** How long to wait for a holder, in milliseconds. Default 0: refuse at once. */
  readonly wait?: number;
}

export class OutputLock implements AsyncDisposable {
  readonly #path: string;
  readonly #what: string;
  readonly #text: string;
  readonly #file: FileHandle;
  readonly #timer: NodeJS.Timeout;
  #lost: string | undefined;
  #released = false;

  private constructor(path: string, what: string, text: string, file: FileHandle) {
    this.#path = path;
    this.#what = what;
    this.#text = text;
    this.#file = file;
    this.#timer = setInterval(() => void this.#beat(), heartbeatMilliseconds);
    this.#timer.unref();
    process.on('exit', this.#atExit);
  }

  /**
   * @param path of the lock file; its folder is made
   * @param what is locked, for messages
   * @throws Error naming the holder where another process holds the lock
   */
  static async take(path: string, what: string, { command, wait = 0 }: LockOptions): Promise<OutputLock> {
    const holder: Holder = { command, host: hostname(), since: new Date().toISOString(), ...thisProcess() };
    const text = `${JSON.stringify({ ...holder, nonce: randomBytes(8).toString('hex') })}\n`;
    const give = performance.now() + wait;
    let seen: (Found & { readonly at: number }) | undefined;
    for (;;) {
      try {
        await writeBytes(path, text, { exclusive: true, durable: false });
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const found = await look(path);
      if (!found) continue;
      if (!seen || seen.text !== found.text || seen.touched !== found.touched)
        seen = { ...found, at: performance.now() };
      const state = found.holder ? processState(found.holder) : 'unknown';
      const watched = performance.now() - seen.at;
      const old = Math.max(watched, Date.now() - found.touched) >= staleMilliseconds;
      if (state === 'gone' || (state === 'unknown' && old && watched >= watchMilliseconds)) {
        if (await replace(path, found, text)) break;
      } else if (!(state === 'unknown' && old) && performance.now() >= give)
        throw new Error(
          `${what} is in use by ${describe(found.holder)}: wait for it or stop it, or give another --out`,
        );
      await sleep(200);
    }
    await removeMarkers(path);
    return new OutputLock(path, what, text, await open(path, 'r+'));
  }

  /** Touches the file, so that others see a living holder; its text stays what it was. */
  async #beat(): Promise<void> {
    try {
      const found = await look(this.#path);
      if (this.#released) return;
      if (found?.text === this.#text) await this.#file.write('\n', this.#text.length - 1);
      else this.#lost = found ? describe(found.holder) : 'someone who deleted the lock file';
    } catch {
      // A disk that does not answer now may answer the next time.
    }
  }

  /** @throws Error where someone else took the lock, because this process was not heard of for too long */
  check(): void {
    if (this.#lost)
      throw new Error(`${this.#what} was taken over by ${this.#lost}: this run ends without writing`);
  }

  readonly #atExit = () => {
    if (!this.#lost) rmSync(this.#path, { force: true });
  };

  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    clearInterval(this.#timer);
    process.off('exit', this.#atExit);
    await this.#file.close();
    const found = await look(this.#path);
    if (found?.text === this.#text) await rm(this.#path, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}

/** Removes markers of processes that died while they broke a lock: whoever holds the lock needs none. */
async function removeMarkers(path: string): Promise<void> {
  const start = `${basename(path)}.`;
  for (const name of await readdir(dirname(path)))
    if (name.startsWith(start) && /^[0-9a-f]{16}$/.test(name.slice(start.length)))
      await rm(join(dirname(path), name), { force: true });
}

/**
 * Puts this process's lock in the place of a dead one. One process alone may break a lock: the one that makes
 * the marker of the lock's text. So nobody removes a lock that was taken a moment ago.
 *
 * @returns whether the lock is this process's now
 */
async function replace(path: string, dead: Found, text: string): Promise<boolean> {
  const digest = createHash('sha256').update(dead.text).digest('hex').slice(0, 16);
  const marker = `${path}.${digest}`;
  try {
    await (await open(marker, 'wx')).close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    // Whoever breaks the lock needs milliseconds; one that died at it left the marker.
    const info = await stat(marker).catch(() => undefined);
    if (info && Date.now() - info.mtimeMs > staleMilliseconds) await rm(marker, { force: true });
    return false;
  }
  try {
    if ((await look(path))?.text !== dead.text) return false;
    if (dead.holder) await removeStaleTemporaries(dirname(path), identityText(dead.holder));
    await writeBytes(path, text, { durable: false });
    return true;
  } finally {
    await rm(marker, { force: true });
  }
}
