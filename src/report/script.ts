/** Draws the report's charts in the page, from the element with id "data"; Chart.js is there before it. */
export const script = `
const data = JSON.parse(document.getElementById('data').textContent);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
function draw() {
  for (const shown of Object.values(Chart.instances)) shown.destroy();
  Chart.defaults.color = css('--quiet');
  Chart.defaults.borderColor = css('--line');
  Chart.defaults.font.family = 'system-ui, sans-serif';
  Chart.defaults.animation = false;
  Chart.defaults.maintainAspectRatio = false;
  const axis = (text, extra) => ({ title: { display: true, text }, ...extra });
  const unit = { min: 0, max: 1 };
  const line = (id, datasets, x, y, extra = {}) =>
    document.getElementById(id) &&
    new Chart(id, {
      type: 'scatter',
      data: {
        datasets: datasets.map((d) => ({
          showLine: true,
          pointRadius: d.data.length < 3 ? 3 : 0,
          borderWidth: 2,
          ...d,
          data: d.data.map(([x, y]) => ({ x, y })),
        })),
      },
      options: { scales: { x, y }, plugins: { legend: { display: datasets.length > 1 } }, ...extra },
    });
  for (const stage of data.losses)
    line(
      stage.id,
      stage.series.map((s, i) => ({
        label: s.name,
        data: s.values.map((v, e) => [e + 1, v]),
        borderColor: [css('--good'), css('--bad'), '#4c9a5b', '#9160b8'][i],
      })),
      axis('epoch', { min: 1 }),
      axis('value'),
    );
  for (const c of data.epochs)
    line(
      c.id,
      c.series.map((s, i) => ({
        label: s.name,
        data: s.data,
        borderColor: [css('--good'), css('--bad'), '#4c9a5b'][i],
      })),
      axis('epoch', { min: 1 }),
      axis(c.axis, { max: 1 }),
    );
  const both = (id, key, x, y, extra) =>
    line(
      id,
      data.curves.map((c, i) => ({
        label: c.name,
        data: c[key],
        borderColor: [css('--good'), css('--bad')][i],
      })),
      axis(x, { ...unit, ...extra }),
      axis(y, unit),
    );
  both('roc', 'roc', 'false-positive rate', 'true-positive rate');
  both('pr', 'precisionRecall', 'recall', 'precision');
  if (data.overlap)
    line(
      'overlap',
      [{ label: 'per-region overlap', data: data.overlap, borderColor: css('--good') }],
      axis('false-positive rate', { min: 0, max: 0.3 }),
      axis('per-region overlap', unit),
    );
  const h = data.histogram;
  if (document.getElementById('histogram'))
    new Chart('histogram', {
      type: 'bar',
      data: {
        labels: h.edges
          .slice(0, -1)
          .map((edge, i) => ((edge + h.edges[i + 1]) / 2).toFixed(h.limit === null ? 3 : 2)),
        datasets: [
          { label: 'good', data: h.good, backgroundColor: css('--good') },
          { label: 'anomalous', data: h.anomalous, backgroundColor: css('--bad') },
        ].filter((d) => d.data.some(Boolean)),
      },
      options: {
        scales: {
          x: axis(h.limit === null ? 'raw score' : 'score (0.5 is the limit)', {
            stacked: true,
            grid: { display: false },
            ticks: { maxTicksLimit: 9 },
          }),
          y: axis('images', { stacked: true, ticks: { precision: 0 } }),
        },
      },
      plugins: [
        {
          id: 'limit',
          afterDatasetsDraw(chart) {
            const { ctx, chartArea: a } = chart;
            if (h.limit === null) return;
            const x = a.left + h.limit * (a.right - a.left);
            ctx.save();
            ctx.strokeStyle = css('--ink');
            ctx.setLineDash([5, 4]);
            ctx.beginPath();
            ctx.moveTo(x, a.top);
            ctx.lineTo(x, a.bottom);
            ctx.stroke();
            ctx.fillStyle = css('--ink');
            ctx.textAlign = 'left';
            ctx.fillText('limit 0.5', x + 5, a.top + 10);
            ctx.restore();
          },
        },
      ],
    });
}
draw();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
// Paper is light, and cannot be opened: charts are drawn anew in its colours, and what is folded is shown.
let opened = [];
addEventListener('beforeprint', () => {
  document.documentElement.classList.add('printing');
  opened = [...document.querySelectorAll('details:not([open])')];
  for (const details of opened) details.open = true;
  draw();
});
addEventListener('afterprint', () => {
  document.documentElement.classList.remove('printing');
  for (const details of opened) details.open = false;
  draw();
});
`;
