/**
 * Progress on a terminal as a bar, on a pipe as plain lines; always on stderr, so that results stay clean.
 */
import { Presets, SingleBar } from 'cli-progress';
import type { Progress } from '../train/trainer.ts';

export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

function lossText(progress: Progress): string {
  return Object.entries(progress.losses)
    .map(([name, value]) => `${name} ${value.toPrecision(4)}`)
    .join('  ');
}

/** Where and how often progress goes. */
export class ProgressReporter {
  readonly #bar: SingleBar | undefined;
  #key = '';
  #lastLine = 0;

  constructor() {
    if (process.stderr.isTTY)
      this.#bar = new SingleBar(
        {
          stream: process.stderr,
          format: '{label} [{bar}] {value}/{total}  {text}',
          hideCursor: true,
          clearOnComplete: false,
          fps: 5,
        },
        Presets.shades_classic,
      );
  }

  #update(key: string, label: string, value: number, total: number, text: string): void {
    if (this.#bar) {
      if (this.#key !== key) {
        this.#bar.stop();
        this.#bar.start(total, value, { label, text });
        this.#key = key;
      }
      this.#bar.update(value, { label, text });
      return;
    }
    const now = performance.now();
    if (value < total && now - this.#lastLine < 10_000) return;
    this.#lastLine = now;
    console.error(`${label}: ${value}/${total}  ${text}`);
  }

  /** Progress of a training stage. */
  training = (progress: Progress): void => {
    const label = `${progress.stage} ${progress.epoch + 1}/${progress.epochs}`;
    const text =
      `${lossText(progress)}  ${progress.imagesPerSecond.toFixed(1)} images/s  ` +
      `${duration(progress.remaining)} left`;
    this.#update(label, label, progress.images, progress.total, text);
  };

  /** Progress of anything that counts items. */
  counting(label: string): (done: number, total: number) => void {
    const started = performance.now();
    return (done, total) => {
      const seconds = (performance.now() - started) / 1000;
      this.#update(label, label, done, total, `${duration((seconds / done) * (total - done))} left`);
    };
  }

  /** Runs what prints to the terminal: the bar's line is cleared first, and comes back below. */
  aside(print: () => void): void {
    if (this.#bar && process.stdout.isTTY) process.stderr.write('\r\x1b[K');
    print();
  }

  stop(): void {
    this.#bar?.stop();
    this.#key = '';
  }
}
