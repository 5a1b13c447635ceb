/**
 * Progress on a terminal as a bar, on a pipe as a line now and then; when a stage is done, one line of it
 * stays. Always on stderr, so that results stay clean.
 */
import { SingleBar } from 'cli-progress';
import type { Progress } from '../train/trainer.ts';
import { onErrors } from './style.ts';

export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

/** How far a part of the work is. */
export interface Shown {
  /** Changes when another part begins. */
  readonly key: string;
  readonly label: string;
  /** Items of the label's part. */
  readonly value: number;
  readonly total: number;
  /** Share of the whole stage that is done, 0 to 1. */
  readonly share: number;
  /** Seconds that the stage still needs. */
  readonly remaining: number;
  /** More of it, what matters most first. */
  readonly details: readonly string[];
}

const widestBar = 40;
const narrowestBar = 8;
const drawnPerSecond = 10;
const pipeMilliseconds = 10_000;
const usualColumns = 80;

/**
 * A line that fits a terminal: label, numbers and remaining time are always there, then come a short bar,
 * details as they fit, and a longer bar.
 *
 * @param columns of the terminal
 */
export function fitLine({ label, value, total, share, remaining, details }: Shown, columns: number): string {
  const numbers = `${value}/${total}`;
  const left = `${duration(remaining)} left`;
  // A line that fills the last column wraps on some terminals.
  let room = columns - 1 - label.length - numbers.length - left.length - 4;
  const shown: string[] = [];
  for (const detail of details) {
    if (room - detail.length - 2 < narrowestBar + 3) break;
    shown.push(detail);
    room -= detail.length + 2;
  }
  const width = Math.min(widestBar, room - 3);
  const done = Math.round(width * Math.min(1, Math.max(0, share)));
  const bar = width >= narrowestBar ? `[${'█'.repeat(done)}${'░'.repeat(width - done)}] ` : '';
  return [`${label} ${bar}${numbers}`, left, ...shown].join('  ').slice(0, Math.max(1, columns - 1));
}

/** Where and how often progress goes. */
export class ProgressReporter {
  readonly #stream: Pick<NodeJS.WriteStream, 'isTTY' | 'columns' | 'write'>;
  /** Draws on terminals alone. */
  readonly #bar: SingleBar | undefined;
  #shown: Shown | undefined;
  #begun = 0;
  #last = 0;

  constructor(stream: Pick<NodeJS.WriteStream, 'isTTY' | 'columns' | 'write'> = process.stderr) {
    this.#stream = stream;
    if (stream.isTTY)
      this.#bar = new SingleBar({
        stream: stream as NodeJS.WriteStream,
        format: (_options, _parameters, shown: Shown) => fitLine(shown, stream.columns || usualColumns),
        fps: drawnPerSecond,
        clearOnComplete: true,
        // Signals are the commands' own: a training writes its checkpoint first.
        gracefulExit: false,
      });
  }

  #update(shown: Shown): void {
    const now = performance.now();
    const again = (this.#shown?.share ?? 0) >= 1 && shown.share < 1;
    if (this.#shown?.key !== shown.key || again) {
      this.stop();
      this.#begun = now;
      // A part that is done at once needs no line of its beginning.
      this.#last = shown.share < 1 ? Number.NEGATIVE_INFINITY : now;
    }
    const first = this.#shown === undefined;
    this.#shown = shown;
    if (this.#bar) {
      if (first) this.#bar.start(1, shown.share, shown);
      else this.#bar.update(shown.share, shown);
      return;
    }
    if (shown.share >= 1 || now - this.#last < pipeMilliseconds) return;
    this.#last = now;
    this.#stream.write(`${this.#line(`${duration(shown.remaining)} left`)}\n`);
  }

  #line(end: string): string {
    const { label, value, total, details } = this.#shown as Shown;
    return [`${label}: ${value}/${total}`, ...details, end].join('  ');
  }

  /** Progress of a training stage. */
  training = (progress: Progress): void => {
    const { stage, epoch, epochs, images, total, losses, imagesPerSecond, remaining } = progress;
    const { unit = 'images' } = progress;
    this.#update({
      key: stage,
      label: `${stage} ${epoch + 1}/${epochs}`,
      value: images,
      total,
      share: (epoch + images / total) / epochs,
      remaining,
      details: [
        `${imagesPerSecond.toFixed(1)} ${unit}/s`,
        ...Object.entries(losses).map(([name, value]) => `${name} ${value.toPrecision(4)}`),
      ],
    });
  };

  /** Progress of anything that counts items. */
  counting(label: string): (done: number, total: number) => void {
    const started = performance.now();
    return (done, total) => {
      const seconds = (performance.now() - started) / 1000;
      const remaining = (seconds / done) * (total - done);
      // A large image counts by its tiles.
      const value = Math.floor(done);
      this.#update({ key: label, label, value, total, share: done / total, remaining, details: [] });
    };
  }

  /** Runs what prints to the terminal: the bar's line is cleared first, and comes back below. */
  aside(print: () => void): void {
    const between = process.stdout.isTTY && this.#shown !== undefined;
    if (between) this.#bar?.stop();
    print();
    if (between && this.#shown) this.#bar?.start(1, this.#shown.share, this.#shown);
  }

  /** The part is over: one line of it stays. */
  stop(): void {
    if (!this.#shown) return;
    this.#bar?.stop();
    const took = duration((performance.now() - this.#begun) / 1000);
    const done = this.#shown.share >= 1;
    // On a pipe the last line of a part that was cut off is there already.
    if (done) this.#stream.write(`${this.#line(`took ${took}`)}\n`);
    else if (this.#bar) this.#stream.write(`${onErrors.dim(this.#line(`stopped after ${took}`))}\n`);
    this.#shown = undefined;
  }
}
