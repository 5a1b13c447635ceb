/** The roofline as a chart: what the device could reach, and what the cases reach. */
import { rangeOf } from '../src/base/lists.ts';
import { type BenchResult, fastestCopy, type PrintedPeaks } from '../src/bench/report.ts';
import { type Chart, chart, css } from './charts.ts';
import { element } from './dom.ts';

export interface RooflineChart {
  readonly root: HTMLElement;
  show(peaks: PrintedPeaks, results: readonly BenchResult[]): void;
  clear(): void;
}

const kinds = {
  kernel: ['kernels', '--accent'],
  model: ['networks', '--good'],
  training: ['training', '--bad'],
} as const;

export function rooflineChart(): RooflineChart {
  let shown: Chart | undefined;
  const canvas = element('canvas', {
    aria: { role: 'img', label: 'roofline: GFLOP/s over arithmetic intensity' },
  });
  const root = element('div', { className: 'chart', hidden: true }, canvas);
  const clear = () => {
    shown?.destroy();
    shown = undefined;
    root.hidden = true;
  };
  return {
    root,
    clear,
    show(peaks, results) {
      clear();
      // Both axes are logarithmic: copies alone have no place on them.
      const points = results.filter((r) => r.intensity > 0 && r.gflops > 0);
      if (!points.length) return;
      root.hidden = false;
      const { gflops } = peaks;
      const gbytes = fastestCopy(peaks);
      const intensities = points.map(({ intensity }) => intensity);
      const { min, max } = rangeOf(intensities);
      const [low, high] = [min / 2, max * 2];
      const knee = Math.min(Math.max(gflops / gbytes, low), high);
      const roof = [low, knee, high].map((x) => ({ x, y: Math.min(gflops, gbytes * x) }));
      shown = chart(canvas, {
        type: 'scatter',
        data: {
          datasets: [
            {
              label: 'peaks of arithmetic and copies',
              data: roof,
              showLine: true,
              pointRadius: 0,
              borderColor: css('--quiet'),
              backgroundColor: css('--quiet'),
            },
            ...Object.entries(kinds).flatMap(([kind, [label, colour]]) => {
              const own = points.filter((r) => r.kind === kind);
              const data = own.map(({ intensity, gflops }) => ({ x: intensity, y: gflops }));
              return own.length ? [{ label, data, backgroundColor: css(colour), pointRadius: 5 }] : [];
            }),
          ],
        },
        options: {
          scales: {
            x: { type: 'logarithmic', title: { display: true, text: 'FLOP per byte of operands' } },
            y: {
              type: 'logarithmic',
              suggestedMax: 2 * gflops,
              title: { display: true, text: 'GFLOP/s' },
            },
          },
        },
      });
    },
  };
}
