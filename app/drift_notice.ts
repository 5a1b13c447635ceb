/** A calm notice in the Inspect view: the scores have moved away from those of the model's calibration. */

import { driftText, ScoreWatch } from '../src/detector/score_watch.ts';
import type { DetectorSettings } from '../src/detector/settings.ts';
import { button, element } from './dom.ts';

/** The camera's frames follow each other so closely that they show the same part: one of them counts. */
const millisecondsBetweenFrames = 1000;

export function createDriftNotice() {
  let watch: ScoreWatch | undefined;
  let lastFrame = Number.NEGATIVE_INFINITY;
  const text = element('p', { aria: { role: 'status' } });
  const again = button('Watch anew', () => {
    watch?.reset();
    show();
  });
  const card = element('div', { className: 'card notice', hidden: true }, text, again);

  const show = () => {
    const alarm = watch?.alarm;
    card.hidden = !alarm;
    text.textContent = alarm ? `After ${alarm.after} images ${driftText(alarm)}.` : '';
  };

  const add = (score: number) => {
    watch?.add(score);
    show();
  };

  return {
    card,
    /** Watches by this calibration from now on; undefined: not at all. */
    watch(settings: DetectorSettings | undefined): void {
      watch = settings && ScoreWatch.of(settings);
      show();
    },
    add,
    /** The score of a frame of the camera. */
    addFrame(score: number): void {
      const now = performance.now();
      if (now - lastFrame < millisecondsBetweenFrames) return;
      lastFrame = now;
      add(score);
    },
  };
}
