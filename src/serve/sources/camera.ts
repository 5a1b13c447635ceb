/**
 * A camera: an address of the network, a device of Linux (V4L2), or a film for trying out. ffmpeg reads it
 * and gives a frame at every interval. Of the frames the newest alone is judged: while the server is full,
 * older ones are dropped.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import type { Inspector } from '../inspector.ts';
import type { ServedModel } from '../served_model.ts';
import { BitmapSplitter } from './bitmap_splitter.ts';
import type { Source } from './source.ts';

export interface CameraOptions {
  readonly model: ServedModel;
  readonly inspector: Inspector;
  /** Seconds between frames. */
  readonly interval: number;
  /** How long a frame may take, in milliseconds. */
  readonly timeout: number;
  /** The program that reads cameras. */
  readonly ffmpeg: string;
  readonly onNote: (text: string) => void;
}

const shortestPause = 1000;
const longestPause = 30_000;
const stopMilliseconds = 2000;
// A camera that gives nothing for so long is opened anew; slow intervals have more time.
const silenceMilliseconds = 20_000;
const mostMessageBytes = 4000;

/**
 * @throws Error where ffmpeg cannot be run, with what to do
 */
export async function checkFfmpeg(ffmpeg: string): Promise<void> {
  const child = spawn(ffmpeg, ['-version'], { stdio: 'ignore' });
  const reason = await new Promise<string | undefined>((resolve) => {
    child.once('error', ({ message }) => resolve(message));
    child.once('close', (code) => resolve(code ? `it ends with code ${code}` : undefined));
  });
  if (reason !== undefined)
    throw new Error(
      `--camera needs ffmpeg, and '${ffmpeg}' cannot be run (${reason}): install it (Debian, Ubuntu: ` +
        'apt-get install ffmpeg; macOS: brew install ffmpeg), or name its file in the variable AAND_FFMPEG',
    );
}

const isFile = (source: string) => existsSync(source) && statSync(source).isFile();

/** What ffmpeg must know of a source beside its address. */
function inputOptions(source: string): string[] {
  if (/^rtsps?:/i.test(source)) return ['-rtsp_transport', 'tcp'];
  if (/^\/dev\//.test(source)) return ['-f', 'v4l2'];
  // A film runs as fast as it was taken.
  return isFile(source) ? ['-re'] : [];
}

/** An address without user, password and query. */
export function shownCamera(source: string): string {
  if (!/^[a-z]+:\/\//i.test(source) || !URL.canParse(source)) return source;
  const { protocol, host, pathname } = new URL(source);
  return `${protocol}//${host}${pathname}`;
}

/** Judges the frames of a camera. */
export class Camera implements Source {
  readonly name: string;
  readonly #source: string;
  readonly #options: CameraOptions;
  readonly #end = new AbortController();
  readonly #working: Promise<unknown>;
  /** The newest frame that is not taken yet. */
  #newest: Uint8Array | undefined;
  #wake: () => void = () => {};
  #failures = 0;

  /** Opens a camera, and again when it goes. {@link checkFfmpeg} has found ffmpeg. */
  constructor(source: string, options: CameraOptions) {
    this.name = shownCamera(source);
    this.#source = source;
    this.#options = options;
    this.#working = Promise.all([this.#read(), this.#judge()]);
  }

  async close(): Promise<void> {
    this.#end.abort();
    this.#wake();
    await this.#working;
  }

  /** Reads frames until the end, and opens the camera again where it goes. */
  async #read(): Promise<void> {
    const { onNote, interval } = this.#options;
    const { signal } = this.#end;
    while (!signal.aborted) {
      const { frames, failure } = await this.#run();
      if (signal.aborted) return;
      if (frames) this.#failures = 0;
      const film = isFile(this.#source);
      if (film && !failure) return onNote(`${this.name} has ended`);
      let pause = interval * 1000;
      // An address that gives one picture and ends well, as snapshots do, is asked again in silence.
      if (failure || !frames) {
        pause = Math.min(longestPause, shortestPause * 2 ** Math.min(this.#failures, 10));
        if (!this.#failures++) onNote(`${this.name}: ${failure ?? 'it gives no picture'}; it is tried again`);
      }
      await wait(pause, undefined, { signal }).catch(() => {});
    }
  }

  /** One run of ffmpeg: how many frames there were, and what went wrong. */
  async #run(): Promise<{ readonly frames: number; readonly failure: string | undefined }> {
    const { ffmpeg, interval, onNote } = this.#options;
    const child = spawn(
      ffmpeg,
      [
        ...['-hide_banner', '-nostdin', '-loglevel', 'error'],
        ...inputOptions(this.#source),
        ...['-i', this.#source, '-an', '-vf', `fps=1/${interval}:round=up`],
        ...['-c:v', 'bmp', '-pix_fmt', 'bgr24', '-f', 'image2pipe', 'pipe:1'],
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    let said = '';
    child.stderr.on('data', (data) => {
      said = `${said}${data}`.slice(-mostMessageBytes);
    });
    let frames = 0;
    let broken: Error | undefined;
    let silent = false;
    const patience = Math.max(silenceMilliseconds, 3000 * interval);
    const startClock = () =>
      setTimeout(() => {
        silent = true;
        child.kill('SIGKILL');
      }, patience);
    let clock = startClock();
    const splitter = new BitmapSplitter((frame) => {
      clearTimeout(clock);
      clock = startClock();
      if (!frames++ && this.#failures) onNote(`${this.name} gives pictures again`);
      if (this.#newest) this.#options.inspector.metrics.sourceImage(this.name, 'dropped');
      this.#newest = frame;
      this.#wake();
    });
    child.stdout.on('data', (data: Buffer) => {
      try {
        splitter.add(data);
      } catch (error) {
        broken = error as Error;
        child.kill('SIGKILL');
      }
    });
    const stop = () => this.#stop(child);
    this.#end.signal.addEventListener('abort', stop, { once: true });
    const ended = await new Promise<string | undefined>((resolve) => {
      child.once('error', ({ message }) => resolve(message));
      child.once('close', (code, by) => resolve(code || by ? `ffmpeg ends with ${code ?? by}` : undefined));
    });
    clearTimeout(clock);
    this.#end.signal.removeEventListener('abort', stop);
    const quiet = silent ? `it has given no picture for ${Math.round(patience / 1000)} s` : undefined;
    const text = said.replaceAll(this.#source, this.name).trim().split(/\r?\n/).at(-1);
    return { frames, failure: broken?.message ?? quiet ?? (ended && (text || ended)) };
  }

  /** Asks ffmpeg to end; kills it where it does not. */
  #stop(child: ChildProcess): void {
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGKILL'), stopMilliseconds).unref();
  }

  /** Judges the newest frame, one after the other. */
  async #judge(): Promise<void> {
    const { model, inspector, timeout, onNote } = this.#options;
    const { signal } = this.#end;
    while (!signal.aborted) {
      if (!this.#newest) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      try {
        await inspector.places.take(signal);
      } catch {
        return;
      }
      const frame = this.#newest;
      this.#newest = undefined;
      try {
        await inspector.judge(model, frame, this.name, AbortSignal.timeout(timeout));
        inspector.metrics.sourceImage(this.name, 'judged');
      } catch (error) {
        inspector.metrics.sourceImage(this.name, 'failed');
        onNote(`a picture of ${this.name} was not judged: ${(error as Error).message}`);
      } finally {
        inspector.places.give();
      }
    }
  }
}
