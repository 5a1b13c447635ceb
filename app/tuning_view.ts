/** Tuning: measures kernels on this device and keeps the fastest. */
import * as Comlink from 'comlink';
import { attempt, machine } from './connection.ts';
import { button, element, field } from './dom.ts';
import type { TuningProgress } from './types.ts';

export interface TuningView {
  readonly root: HTMLElement;
  /** Whether it may be started: not while something else is measured. */
  enable(yes: boolean): void;
}

/** @param onBusy told when it begins and ends */
export function tuningView(onBusy: (busy: boolean) => void): TuningView {
  const status = element('p', { className: 'quiet', aria: { role: 'status' } });
  const showTuned = async () => {
    const count = await machine.tuned();
    status.textContent = count
      ? `${count} products are tuned on this device.`
      : 'Not tuned: kernels are chosen by a table. ' +
        'Tuning measures them on this device and keeps the fastest.';
  };
  const tuneNow = () =>
    attempt(async () => {
      tune.disabled = true;
      stop.disabled = false;
      onBusy(true);
      try {
        await machine.tune(
          Number(imageSize.value),
          Number(batch.value),
          Comlink.proxy(({ done, total, regret }: TuningProgress) => {
            const slower = `${regret.toFixed(2)} times as slow as the best`;
            status.textContent = `${done} of ${total} products; so far the table is ${slower}`;
          }),
        );
        await showTuned();
      } finally {
        tune.disabled = false;
        stop.disabled = true;
        onBusy(false);
      }
    });
  const imageSize = element('input', { type: 'number', value: '128', min: '32', step: '32' });
  const batch = element('input', { type: 'number', value: '8', min: '1' });
  const tune = button('Tune', tuneNow);
  const stop = button('Stop', () => machine.stopTuning());
  stop.disabled = true;
  // Where there is no device, the page has said so already.
  showTuned().catch(() => {});
  return {
    root: element(
      'div',
      { className: 'card' },
      element('h2', {}, 'Tuning'),
      element(
        'div',
        { className: 'fields' },
        field('Image size', imageSize),
        field('Batch of training', batch),
      ),
      element('div', { className: 'row' }, tune, stop),
      status,
    ),
    enable(yes) {
      tune.disabled = !yes;
    },
  };
}
