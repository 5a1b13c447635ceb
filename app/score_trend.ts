/** The scores of the last judgements, with the limit, as a chart. */
import { type Chart, chart, css } from './charts.ts';
import { element } from './dom.ts';

const shownScores = 200;

export function createScoreTrend() {
  const canvas = element('canvas', { aria: { role: 'img', label: 'scores of the last judgements' } });
  const root = element('div', { className: 'chart low' }, canvas);
  let scores: { x: number; y: number }[] = [];
  let drawn: Chart | undefined;

  const make = () =>
    chart(canvas, {
      type: 'scatter',
      data: {
        datasets: [
          // Scores of exactly 0 and 1 are drawn whole.
          { label: 'score', data: [], backgroundColor: css('--accent'), pointRadius: 3, clip: 4 },
          {
            label: 'limit',
            data: [],
            showLine: true,
            pointRadius: 0,
            borderColor: css('--bad'),
            borderWidth: 1.5,
          },
        ],
      },
      options: {
        plugins: { legend: { display: false } },
        scales: {
          x: { ticks: { precision: 0 }, title: { display: true, text: 'judgement' } },
          y: { min: 0, max: 1, title: { display: true, text: 'score' } },
        },
      },
    });

  const show = () => {
    drawn ??= make();
    const [first, last] = [scores[0]?.x ?? 0, scores.at(-1)?.x ?? 1];
    const [points, limit] = drawn.data.datasets;
    if (points) points.data = scores;
    if (limit)
      limit.data = [
        { x: first, y: 0.5 },
        { x: last, y: 0.5 },
      ];
    drawn.update();
  };

  return {
    root,
    add(number: number, score: number): void {
      scores = [...scores, { x: number, y: score }].slice(-shownScores);
      show();
    },
    clear(): void {
      scores = [];
      if (drawn) show();
    },
  };
}
