/**
 * What is seen of a running training: its parts with their times, bar and figures, loss curves, example heat
 * maps, notices; the tab's title too.
 */
import { rangeOf } from '../src/base/lists.ts';
import type { TrainingPart } from '../src/session/measured_job.ts';
import { watchBackground } from './background.ts';
import { type Chart, chart, css } from './charts.ts';
import { element } from './dom.ts';
import { colouredCanvas, pixelCanvas } from './heat_map.ts';
import { Pace } from './pace.ts';
import { minutes } from './time.ts';
import type { Example, TrainingCallbacks, TrainingProgress } from './types.ts';

const partTexts: Readonly<Record<string, string>> = {
  storing: 'storing the photographs',
  reading: 'reading the photographs',
  'stage I': 'stage I: learns what does not belong',
  'stage II': 'stage II: learns the good parts',
  features: 'looking at the photographs',
  coreset: 'choosing the patches to remember',
  bank: 'remembering them',
  testing: 'testing',
  calibrating: 'drawing the limit',
};

/** A part of a training, for a person. */
function partText(name: string): string {
  const [, turn] = /^left out (\d+ of \d+)/.exec(name) ?? [];
  if (turn) return `checking the limit, ${turn}`;
  return Object.hasOwn(partTexts, name) ? (partTexts[name] as string) : name;
}

export function createProgress() {
  const title = document.title;
  const status = element('p', { className: 'running', aria: { role: 'status' } });
  const figures = element('p', { className: 'quiet' });
  const notice = element('p', { className: 'quiet', aria: { role: 'status' } });
  const steps = element('ol', { className: 'steps', hidden: true });
  let pace: Pace | undefined;
  let names: readonly string[] = [];
  const warnings = element('p', { className: 'quiet', aria: { role: 'status' } });
  const bar = element('progress', { max: 1, value: 0, aria: { label: 'progress of this stage' } });
  const examples = element('div', { className: 'sheet pairs' });
  const canvas = element('canvas', { aria: { role: 'img', label: 'loss of each epoch' } });
  // Nothing of epochs is seen before there is one: not every method has them.
  const losses = element('div', { className: 'chart', hidden: true }, canvas);
  const shown = element('div', { hidden: true }, element('h3', {}, 'Examples after each epoch'), examples);
  let chartOfLosses: Chart | undefined;

  /** Marks the part that runs. */
  const mark = (place: number) => {
    for (const [i, step] of [...steps.children].entries()) {
      step.className = i + 1 < place ? 'done' : i + 1 === place ? 'now' : '';
      if (i + 1 === place) step.setAttribute('aria-current', 'step');
      else step.removeAttribute('aria-current');
    }
  };

  /** The part that runs, and how long everything still takes where that is known. */
  const left = (name: string, remaining?: number): string => {
    const seconds = pace?.left(name, remaining);
    if (seconds === undefined) return '';
    mark(pace?.place(name) ?? 0);
    return `, about ${minutes(seconds)} left in all`;
  };

  const onParts = (parts: readonly TrainingPart[]) => {
    pace = new Pace(parts, () => performance.now() / 1000);
    names = parts.map(({ name }) => name);
    steps.replaceChildren(
      ...parts.map(({ name, seconds }) =>
        element('li', {}, partText(name), element('small', {}, minutes(seconds))),
      ),
    );
    steps.hidden = false;
    status.textContent = `reading the photographs${left('reading')}`;
  };

  const onTried = (share: number) => {
    bar.value = share;
    status.textContent =
      `trying out this device, ${Math.floor(100 * share)} %: programs are compiled, and first steps taken, ` +
      'to tell how long the training takes';
  };

  const onCounting = (label: string, done: number, total: number) => {
    // Of few good images all are scored again for the threshold.
    const name = names.includes(label) || label.startsWith('left out') ? label : 'testing';
    bar.value = done / total;
    status.textContent = `${partText(label)}: photograph ${done} of ${total}${left(name)}`;
  };

  const onProgress = ({
    stage,
    epoch,
    epochs,
    images,
    unit = 'images',
    total,
    losses: means,
    imagesPerSecond,
    remaining,
  }: TrainingProgress) => {
    bar.value = (epoch + images / total) / epochs;
    document.title = `${stage} ${Math.floor(100 * bar.value)} % – ${title}`;
    const values = Object.entries(means).map(([key, value]) => `${key} ${value.toPrecision(3)}`);
    const rate = `${imagesPerSecond.toFixed(1)} ${unit}/s`;
    const rest = left(stage, remaining) || `, ${minutes(remaining)} left in this stage`;
    const over = epoch + 1 === epochs && images === total;
    const running = values.length
      ? `${stage}, epoch ${epoch + 1} of ${epochs}`
      : `${partText(stage)}: ${images} of ${total} ${unit}`;
    status.textContent = over
      ? `${stage} is done; the programs of what follows are compiled${left(stage, 0)}`
      : `${running}${rest}`;
    figures.textContent = [values.join(', '), rate].filter(Boolean).join('; ');
  };

  const onEpoch = (stage: string, values: Readonly<Record<string, number>>) => {
    if (!chartOfLosses) return;
    const wanted = (stage === 'stage I' ? ['focal', 'amplification'] : ['loss']).filter(
      (key) => key in values,
    );
    if (wanted.length) losses.hidden = false;
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
    bar.value = done / total;
    status.textContent = `storing photograph ${done + 1} of ${total} on this device…`;
  };

  const onWarning = (text: string) => {
    warnings.textContent = `${warnings.textContent} ${text}`.trim();
  };

  const onNotice = (text: string) => {
    notice.textContent = text;
  };

  const onExamples = (list: readonly Example[]) => {
    shown.hidden = false;
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
            colouredCanvas({ map, width: side, height: side }, 'jet', (v) => v / top),
          ),
          element('figcaption', {}, `${name}: ${score.toFixed(3)}`),
        ),
      ),
    );
  };

  const background = watchBackground(onNotice);
  const callbacks: TrainingCallbacks = {
    onStored,
    onTried,
    onParts,
    onCounting,
    onProgress,
    onEpoch,
    onResume,
    onExamples,
    onWarning,
    onNotice,
  };
  return {
    callbacks,
    above: [bar, status, figures, steps, warnings, notice],
    below: [losses, shown],
    /** A sentence in the place of the figures. */
    say(text: string): void {
      status.textContent = text;
    },
    start(): void {
      onNotice('');
      pace = undefined;
      names = [];
      steps.hidden = true;
      figures.textContent = '';
      bar.value = 0;
      status.textContent = 'reading the photographs, and compiling the programs of the first stage…';
      warnings.textContent = '';
      background.start();
      losses.hidden = true;
      shown.hidden = true;
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
      mark(names.length + 1);
      figures.textContent = '';
      status.textContent = text;
      bar.value = 1;
    },
    stop(): void {
      background.stop();
      document.title = title;
    },
  };
}
