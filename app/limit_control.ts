/** The limit between good and anomalous as a slider: 0 to 1, 0.5 is where the calibration drew it. */
import { scaleOf } from '../src/detector/scale.ts';
import { normalizeScore } from '../src/eval/thresholds.ts';
import { button, element, field } from './dom.ts';
import type { Inspection } from './inspection.ts';

const steps = 1000;
const uncalibrated =
  'none: this model is not calibrated, scores are raw. ' +
  'Inspect some images, mark them below as good or bad and recalibrate.';

export function createLimitControl(inspection: Inspection) {
  const slider = element('input', {
    type: 'range',
    min: '0',
    max: String(steps),
    value: '500',
    id: 'threshold',
  });
  slider.disabled = true;
  const text = element('output');
  text.htmlFor.add('threshold');
  const back = button('Back to the calibration', () =>
    inspection.setLimit(inspection.settings?.image ?? null),
  );
  back.hidden = true;

  /** The scale that the slider moves on: that of the calibration. */
  const calibrated = () => (inspection.settings ? scaleOf(inspection.settings)?.score : undefined);

  const draw = () => {
    const { limit } = inspection;
    const from = calibrated();
    slider.disabled = !limit || !from;
    if (!limit || !from) {
      back.hidden = true;
      text.textContent = inspection.settings ? uncalibrated : '';
      return;
    }
    const at = normalizeScore(limit.threshold, from);
    const moved = limit.threshold !== from.threshold;
    slider.value = String(Math.round(steps * at));
    const where = moved
      ? `${at.toFixed(2)} of the calibration is 0.5 now: ${at > 0.5 ? 'fewer' : 'more'} alarms`
      : '0.50: as calibrated';
    slider.setAttribute('aria-valuetext', where);
    text.textContent = `${where} (raw ${limit.threshold.toFixed(4)}, ${limit.rule})`;
    back.hidden = !moved;
  };
  inspection.onChange((change) => change === 'limit' && draw());
  slider.addEventListener('input', () => {
    const { limit } = inspection;
    const from = calibrated();
    if (!limit || !from) return;
    // What was known of the old limit's false alarms does not hold for this one.
    const { evidence: _, ...rest } = limit;
    const threshold = from.threshold + (Number(slider.value) / steps - 0.5) * (from.max - from.min);
    inspection.setLimit({ ...rest, threshold, rule: 'set by hand' });
  });
  return field(
    'Limit',
    element(
      'div',
      {},
      slider,
      element(
        'div',
        { className: 'ends quiet' },
        element('span', {}, 'more alarms'),
        element('span', {}, 'fewer'),
      ),
      text,
      element('div', {}, back),
    ),
  );
}
