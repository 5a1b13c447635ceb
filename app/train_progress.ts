/**
 * What is seen of a running training: bar and figures, loss curves, example heat maps, notices; the tab's
 * title too.
 */
import { rangeOf } from '../src/base/lists.ts';
import { watchBackground } from './background.ts';
import { type Chart, chart, css } from './charts.ts';
import { element } from './dom.ts';
import { colouredCanvas, pixelCanvas } from './heat_map.ts';
import { minutes } from './time.ts';
import type { Example, TrainingCallbacks, TrainingProgress } from './types.ts';

export function createProgress() {
  const title = document.title;
  const status = element('p', { aria: { role: 'status' } });
  const notice = element('p', { className: 'quiet', aria: { role: 'status' } });
  const warnings = element('p', { className: 'quiet', aria: { role: 'status' } });
  const bar = element('progress', { max: 1, value: 0, aria: { label: 'progress of this stage' } });
  const examples = element('div', { className: 'sheet pairs' });
  const canvas = element('canvas', { aria: { role: 'img', label: 'loss of each epoch' } });
  let chartOfLosses: Chart | undefined;

  const onProgress = ({
    stage,
    epoch,
    epochs,
    images,
    total,
    losses,
    imagesPerSecond,
    remaining,
  }: TrainingProgress) => {
    bar.value = (epoch + images / total) / epochs;
    document.title = `${stage} ${Math.floor(100 * bar.value)} % – ${title}`;
    const values = Object.entries(losses)
      .map(([key, value]) => `${key} ${value.toPrecision(3)}`)
      .join(', ');
    status.textContent =
      `${stage}, epoch ${epoch + 1} of ${epochs}: ${values}; ` +
      `${imagesPerSecond.toFixed(1)} images/s, ${minutes(remaining)} left in this stage`;
  };

  const onEpoch = (stage: string, values: Readonly<Record<string, number>>) => {
    if (!chartOfLosses) return;
    const wanted = stage === 'stage I' ? ['focal', 'amplification'] : ['loss'];
    for (const [i, key] of wanted.entries()) {
      const label = `${stage} ${key}`;
      let series = chartOfLosses.data.datasets.find((dataset) => dataset.label === label);
      if (!series) {
        const colour = [css('--accent'), css('--bad'), css('--good')][stage === 'stage I' ? i : 2] as string;
        series = {
          label,
          data: [],
          borderColor: colour,
          backgroundColor: colour,
          pointRadius: 2,
          showLine: true,
        };
        chartOfLosses.data.datasets.push(series);
      }
      const data = series.data as { x: number; y: number }[];
      data.push({ x: data.length + 1, y: values[key] as number });
    }
    chartOfLosses.update();
  };

  const onResume = (stage: string, history: readonly Readonly<Record<string, number>>[]) => {
    // After a lost device the epochs are on the chart already, and those after the checkpoint come again.
    if (chartOfLosses)
      chartOfLosses.data.datasets = chartOfLosses.data.datasets.filter(
        ({ label }) => !label?.startsWith(`${stage} `),
      );
    for (const values of history) onEpoch(stage, values);
  };

  const onStored = (done: number, total: number) => {
    status.textContent = `storing image ${done + 1} of ${total} on this device…`;
  };

  const onWarning = (text: string) => {
    warnings.textContent = `${warnings.textContent} ${text}`.trim();
  };

  const onNotice = (text: string) => {
    notice.textContent = text;
  };

  const onExamples = (list: readonly Example[]) => {
    const top = Math.max(rangeOf(list.map(({ score }) => score)).max, 1e-6);
    examples.replaceChildren(
      ...list.map(({ pixels, side, map, name, score }) =>
        element(
          'figure',
          {},
          element(
            'div',
            { className: 'pair' },
            pixelCanvas(pixels, side, side),
            colouredCanvas(map, side, side, 'jet', (v) => v / top),
          ),
          element('figcaption', {}, `${name}: ${score.toFixed(3)}`),
        ),
      ),
    );
  };

  const background = watchBackground(onNotice);
  const callbacks: TrainingCallbacks = {
    onStored,
    onProgress,
    onEpoch,
    onResume,
    onExamples,
    onWarning,
    onNotice,
  };
  return {
    callbacks,
    above: [bar, status, warnings, notice],
    below: [
      element('div', { className: 'chart' }, canvas),
      element('h3', {}, 'Examples after each epoch'),
      examples,
    ],
    /** A sentence in the place of the figures. */
    say(text: string): void {
      status.textContent = text;
    },
    start(): void {
      onNotice('');
      warnings.textContent = '';
      background.start();
      chartOfLosses?.destroy();
      chartOfLosses = chart(canvas, {
        type: 'scatter',
        data: { datasets: [] },
        options: {
          scales: {
            x: { title: { display: true, text: 'epoch' }, ticks: { precision: 0 } },
            y: { type: 'logarithmic' },
          },
        },
      });
    },
    done(text: string): void {
      status.textContent = text;
      bar.value = 1;
    },
    stop(): void {
      background.stop();
      document.title = title;
    },
  };
}
