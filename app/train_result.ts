/** The result of a training: what was found, missed and rejected, what to do, and the model; then figures. */
import { scaleOf } from '../src/detector/scale.ts';
import { falseAlarmText } from '../src/eval/false_alarms.ts';
import { type Calibration, normalizeScore } from '../src/eval/thresholds.ts';
import { chart, css } from './charts.ts';
import { attempt, training } from './connection.ts';
import { button, element } from './dom.ts';
import { saveModel } from './kept_box.ts';
import { minutes } from './time.ts';
import type { TrainingResult } from './types.ts';

const bins = 20;

/** How many good and bad images have which score, from 0 to 1, with the limit in the middle. */
function drawScores(canvas: HTMLCanvasElement, { settings }: TrainingResult, limit: Calibration): void {
  const scores = settings.calibrationScores;
  const counts = (anomalous: boolean) => {
    const counted = new Array<number>(bins).fill(0);
    for (const { score, anomalous: bad } of scores) {
      const bin = Math.min(bins - 1, Math.floor(normalizeScore(score, limit) * bins));
      if (bad === anomalous) counted[bin] = (counted[bin] as number) + 1;
    }
    return counted;
  };
  const series = [
    { label: 'good parts', data: counts(false), backgroundColor: css('--good') },
    { label: 'bad parts', data: counts(true), backgroundColor: css('--bad') },
  ];
  chart(canvas, {
    type: 'bar',
    data: {
      labels: Array.from({ length: bins }, (_, i) => ((i + 0.5) / bins).toFixed(2)),
      datasets: series.filter(({ data }) => data.some(Boolean)),
    },
    options: {
      scales: {
        x: {
          stacked: true,
          ticks: { maxRotation: 0, autoSkipPadding: 12 },
          title: { display: true, text: 'score; from 0.5 on a part is called bad' },
        },
        y: { stacked: true, ticks: { precision: 0 }, title: { display: true, text: 'photographs' } },
      },
    },
  });
}

const verbs = { found: 'found', missed: 'missed', rejected: 'wrongly rejected' } as const;

export function showResult(
  result: HTMLElement,
  done: TrainingResult,
  onModel: (model: File) => Promise<void>,
): void {
  const { settings, findings, auroc, f1, trainedOn, heldOut, seconds } = done;
  const { grade, headline, counts, advice } = findings;
  const figure = (value: string, text: string, note = '') =>
    element('div', {}, element('b', {}, value), text, note !== '' && element('small', {}, note));
  const percent = (value: number | null) => (value === null ? '–' : `${(100 * value).toFixed(1)} %`);
  const canvas = element('canvas', { aria: { role: 'img', label: 'scores of good and bad photographs' } });
  const limit = scaleOf(settings)?.score ?? null;
  result.replaceChildren(
    element('p', { className: `headline ${grade}`, aria: { role: 'status' } }, headline),
    counts.length > 0
      ? element(
          'div',
          { className: 'figures' },
          ...counts.map(({ label, value, of, text }) => figure(value, `${of} ${verbs[label]}`, text)),
        )
      : '',
    advice.length > 0
      ? element('ul', { className: 'advice' }, ...advice.map((text) => element('li', {}, text)))
      : '',
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
    limit ? element('div', { className: 'chart' }, canvas) : '',
    element(
      'details',
      {},
      element('summary', {}, 'Figures for experts'),
      element(
        'div',
        { className: 'figures' },
        figure(percent(auroc), 'image AUROC'),
        figure(percent(f1), 'F1 at the threshold'),
        figure(limit?.threshold.toFixed(4) ?? 'none', 'threshold, raw'),
        figure(String(trainedOn), `good images learned${heldOut ? `, ${heldOut} held out` : ''}`),
        figure(minutes(seconds), 'this run'),
      ),
      element(
        'p',
        { className: 'quiet' },
        `Threshold: ${limit?.rule ?? 'none'}. ` +
          (limit?.evidence ? falseAlarmText(limit.evidence) : '') +
          (auroc === null ? ' Without bad images nothing can be measured.' : ''),
      ),
    ),
  );
  if (limit) drawScores(canvas, done, limit);
}
