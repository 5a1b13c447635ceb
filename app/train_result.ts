/** The result of a training: figures, threshold, histogram, and the model. */
import { falseAlarmText } from '../src/eval/false_alarms.ts';
import { chart, css } from './charts.ts';
import { attempt, training } from './connection.ts';
import { button, element } from './dom.ts';
import { saveModel } from './kept_box.ts';
import { minutes } from './time.ts';
import type { TrainingResult } from './types.ts';

export function showResult(
  result: HTMLElement,
  done: TrainingResult,
  onModel: (model: File) => Promise<void>,
): void {
  const { settings, auroc, f1, trainedOn, heldOut, seconds } = done;
  const figure = (value: string, text: string) => element('div', {}, element('b', {}, value), text);
  const percent = (value: number | null) => (value === null ? '–' : `${(100 * value).toFixed(1)} %`);
  const canvas = element('canvas', { aria: { role: 'img', label: 'scores of good and bad images' } });
  result.replaceChildren(
    element(
      'div',
      { className: 'figures' },
      figure(percent(auroc), 'image AUROC'),
      figure(percent(f1), 'F1 at the threshold'),
      figure(settings.image?.threshold.toFixed(4) ?? 'none', 'threshold'),
      figure(String(trainedOn), `good images learned${heldOut ? `, ${heldOut} held out` : ''}`),
      figure(minutes(seconds), 'this run'),
    ),
    element(
      'p',
      { className: 'quiet' },
      `Threshold: ${settings.image?.rule ?? 'none'}. ` +
        (settings.image?.evidence ? falseAlarmText(settings.image.evidence) : '') +
        (auroc === null ? ' Without bad images nothing can be measured.' : ''),
    ),
    element('div', { className: 'chart' }, canvas),
    element(
      'div',
      { className: 'row' },
      button(
        'Inspect with it',
        () => attempt(async () => onModel(await (await training).model())),
        'primary',
      ),
      button('Save model', () => attempt(saveModel)),
    ),
  );
  const scores = settings.calibrationScores;
  const [low, high] = [settings.image?.min ?? 0, settings.image?.max ?? 1];
  const bins = 16;
  const step = (high - low) / bins || 1;
  const counts = (anomalous: boolean) =>
    Array.from(
      { length: bins },
      (_, bin) =>
        scores.filter(
          (s) => s.anomalous === anomalous && Math.min(bins - 1, Math.floor((s.score - low) / step)) === bin,
        ).length,
    );
  chart(canvas, {
    type: 'bar',
    data: {
      labels: Array.from({ length: bins }, (_, i) => (low + (i + 0.5) * step).toFixed(3)),
      datasets: [
        { label: 'good', data: counts(false), backgroundColor: css('--good') },
        { label: 'bad', data: counts(true), backgroundColor: css('--bad') },
      ],
    },
    options: {
      scales: {
        x: { stacked: true, title: { display: true, text: 'raw score' } },
        y: { stacked: true, ticks: { precision: 0 } },
      },
    },
  });
}
