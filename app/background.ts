/** While a training runs: keeps the screen on, and says what happens to a page in the background. */
import { minutes } from './time.ts';

export interface BackgroundWatch {
  start(): void;
  stop(): void;
}

/** @param tell shows a sentence. A hidden page shows it when it is seen again */
export function watchBackground(tell: (text: string) => void): BackgroundWatch {
  let running = false;
  let lock: WakeLockSentinel | undefined;
  let hiddenSince: number | undefined;

  // The browser takes the lock away from hidden pages.
  const hold = async () => {
    lock = await navigator.wakeLock?.request('screen').catch(() => undefined);
    if (!running) await lock?.release();
  };
  document.addEventListener('visibilitychange', () => {
    if (!running) return;
    if (document.hidden) {
      hiddenSince = performance.now();
      tell(
        'This page is in the background: the training goes on, but browsers slow such pages down and may ' +
          'put them to sleep. ' +
          'Keep it in a window of its own; what it has learned is kept as it goes.',
      );
      return;
    }
    const seconds = (performance.now() - (hiddenSince ?? performance.now())) / 1000;
    hiddenSince = undefined;
    tell(
      `The page was in the background for ${minutes(seconds)}; ` +
        'the training went on as far as the browser let it.',
    );
    hold();
  });
  return {
    start() {
      running = true;
      hold();
    },
    stop() {
      running = false;
      lock?.release().catch(() => {});
    },
  };
}
