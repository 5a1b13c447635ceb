/** Bench: this engine on this device, with the roofline, as a table and as JSON to share. */
import * as Comlink from 'comlink';
import { type Chart, chart, css } from './charts.ts';
import { attempt, machine } from './connection.ts';
import { button, element, field, save } from './dom.ts';
import type { BenchReport, TuningProgress } from './types.ts';

export function createBenchView(root: HTMLElement): void {
  let report: BenchReport | undefined;
  let roofline: Chart | undefined;
  const status = element(
    'p',
    { className: 'quiet', aria: { role: 'status' } },
    'Half a minute on a GPU, some minutes on a software driver.',
  );
  const rows = element('tbody');
  const canvas = element('canvas', {
    aria: { role: 'img', label: 'roofline: GFLOP/s over arithmetic intensity' },
  });
  const share = button('Save JSON', () =>
    save('bench.json', JSON.stringify(report, null, 2), 'application/json'),
  );
  share.disabled = true;

  const show = ({ results, peaks, adapter }: BenchReport) => {
    rows.replaceChildren(
      ...results.map((line) =>
        element(
          'tr',
          {},
          element('td', { className: 'name' }, line.name),
          element('td', {}, line.median_ms.toFixed(1)),
          element('td', {}, `±${(100 * line.spread).toFixed(0)} %`),
          element('td', {}, line.gflops.toFixed(1)),
          element('td', {}, String(line.dispatches)),
        ),
      ),
    );
    const { gflops, gbytesPerSecond } = peaks;
    const measured = `${gflops.toFixed(0)} GFLOP/s and ${gbytesPerSecond.toFixed(1)} GB/s`;
    status.textContent = `${adapter}: peaks ${measured}, measured`;
    const intensities = results.map(({ intensity }) => intensity);
    const [low, high] = [Math.min(...intensities) / 2, Math.max(...intensities) * 2];
    const knee = Math.min(Math.max(gflops / gbytesPerSecond, low), high);
    const roof = [low, knee, high].map((x) => ({ x, y: Math.min(gflops, gbytesPerSecond * x) }));
    roofline?.destroy();
    roofline = chart(canvas, {
      type: 'scatter',
      data: {
        datasets: [
          { label: 'peaks', data: roof, showLine: true, pointRadius: 0, borderColor: css('--quiet') },
          {
            label: 'networks',
            data: results.map(({ intensity, gflops }) => ({ x: intensity, y: gflops })),
            backgroundColor: css('--accent'),
            pointRadius: 5,
          },
        ],
      },
      options: {
        scales: {
          x: { type: 'logarithmic', title: { display: true, text: 'FLOP per byte of operands' } },
          y: { type: 'logarithmic', title: { display: true, text: 'GFLOP/s' } },
        },
      },
    });
  };

  const run = () =>
    attempt(async () => {
      start.disabled = true;
      try {
        report = await machine.bench(
          Comlink.proxy((done: number, total: number) => {
            status.textContent = `measuring ${Math.min(done + 1, total)} of ${total}`;
          }),
        );
        show(report);
        share.disabled = false;
      } finally {
        start.disabled = false;
      }
    });
  const tuneStatus = element('p', { className: 'quiet', aria: { role: 'status' } });
  const showTuned = async () => {
    const count = await machine.tuned();
    tuneStatus.textContent = count
      ? `${count} products are tuned on this device.`
      : 'Not tuned: kernels are chosen by a table. ' +
        'Tuning measures them on this device and keeps the fastest.';
  };
  const tuneNow = () =>
    attempt(async () => {
      start.disabled = tune.disabled = true;
      stop.disabled = false;
      try {
        await machine.tune(
          Number(imageSize.value),
          Number(batch.value),
          Comlink.proxy(({ done, total, regret }: TuningProgress) => {
            const slower = `${regret.toFixed(2)} times as slow as the best`;
            tuneStatus.textContent = `${done} of ${total} products; so far the table is ${slower}`;
          }),
        );
        await showTuned();
      } finally {
        start.disabled = tune.disabled = false;
        stop.disabled = true;
      }
    });
  const imageSize = element('input', { type: 'number', value: '128', min: '32', step: '32' });
  const batch = element('input', { type: 'number', value: '8', min: '1' });
  const tune = button('Tune', tuneNow);
  const stop = button('Stop', () => machine.stopTuning());
  stop.disabled = true;
  const start = button('Run the bench', run, 'primary');
  root.append(
    element(
      'div',
      { className: 'card' },
      element('h2', {}, 'This engine on this device'),
      element('div', { className: 'row' }, start, share),
      status,
      element(
        'div',
        { className: 'scroll', tabIndex: 0, aria: { role: 'region', label: 'Results' } },
        element(
          'table',
          {},
          element(
            'thead',
            {},
            element(
              'tr',
              {},
              ...['network', 'ms', 'spread', 'GFLOP/s', 'dispatches'].map((text) =>
                element('th', { scope: 'col' }, text),
              ),
            ),
          ),
          rows,
        ),
      ),
      element('div', { className: 'chart' }, canvas),
    ),
    element(
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
      tuneStatus,
    ),
  );
  // Where there is no device, the page has said so already.
  showTuned().catch(() => {});
}
