/** What asks for a judgement of the camera's picture: a key, a clock, or that something came to rest. */
import { greyReader } from './grey_reader.ts';
import { Stillness } from './stillness.ts';

export type TriggerKind = 'button' | 'interval' | 'stillness' | 'always';

export const triggerTexts: Readonly<Record<TriggerKind, string>> = {
  button: 'the button, or the space key',
  stillness: 'a part came to rest',
  interval: 'every few seconds',
  always: 'without a pause',
};

const looksPerSecond = 12;

/** A trigger that works. */
export interface Trigger {
  stop(): void;
  /** Takes what the camera sees as the place without a part: for the trigger `stillness`. */
  setEmpty?(): void;
}

/**
 * Calls `judge` whenever the trigger asks for it, until it is stopped. Keys and buttons are the view's own.
 *
 * @param judge resolves once the picture is judged
 */
export function startTrigger(
  kind: TriggerKind,
  video: HTMLVideoElement,
  { seconds, judge }: { readonly seconds: number; readonly judge: () => Promise<void> },
): Trigger {
  if (kind === 'button') return { stop() {} };
  if (kind === 'always') {
    let running = true;
    const loop = async () => {
      while (running) {
        await judge();
        // Lets the page draw and listen, whatever the device does.
        await new Promise((resolve) => setTimeout(resolve));
      }
    };
    loop();
    return {
      stop() {
        running = false;
      },
    };
  }
  if (kind === 'interval') {
    const clock = setInterval(judge, 1000 * seconds);
    return { stop: () => clearInterval(clock) };
  }
  const read = greyReader(video);
  const stillness = new Stillness();
  const clock = setInterval(() => {
    if (stillness.add(read(), performance.now())) judge();
  }, 1000 / looksPerSecond);
  return { stop: () => clearInterval(clock), setEmpty: () => stillness.setEmpty(read()) };
}
