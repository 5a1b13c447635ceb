/** The bench as a page that needs no network: roofline, times, peers, and the table behind them. */
import type { Provenance } from '../bench/provenance.ts';
import { type BenchReport, type BenchResult, fastestCopy } from '../bench/report.ts';
import { type Html, html, htmlPage, table } from './html.ts';

export interface PeerResult {
  readonly engine: string;
  readonly version: string;
  readonly provider: string;
  readonly adapter: string;
  readonly name: string;
  readonly median_ms: number;
  readonly ratio_to_ours: number;
  readonly spread: number;
  readonly max_abs_error: number;
}

/** The comparison with other engines, as `npm run bench:peers -- --json FILE` writes it. */
export interface PeerReport {
  readonly record: Provenance;
  readonly results: readonly PeerResult[];
}

function caseTable(results: readonly BenchResult[]): Html {
  const rows = results.map((r) => {
    const cells = [
      r.median_ms.toFixed(2),
      `±${(100 * r.spread).toFixed(0)} %${r.unsteady ? ' (unsteady)' : ''}`,
      r.gflops.toFixed(1),
      r.gbytes_per_s.toFixed(1),
      `${(100 * r.share_of_roofline).toFixed(0)} %`,
      `${r.dispatches}${r.copies ? ` + ${r.copies}` : ''}`,
      (r.peak_bytes / 2 ** 20).toFixed(1),
      r.max_abs_error?.toExponential(1) ?? '-',
    ];
    return { head: r.name, cells: [...cells, r.configuration] };
  });
  const heads = ['ms', 'spread', 'GFLOP/s', 'GB/s', 'of roofline', 'dispatches + copies', 'MiB', 'error'];
  const columns = ['case', ...heads].map((head) => ({ head }));
  return table([...columns, { head: 'matrix kernels', text: true }], rows);
}

const style = `
:root {
  color-scheme: light dark;
  --ink: #1d2733;
  --paper: #fff;
  --line: #d7dee6;
  --quiet: #5b6b7c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e4eaf0;
    --paper: #14191f;
    --line: #33404d;
    --quiet: #97a6b5;
  }
}
body {
  font:
    15px / 1.5 system-ui,
    sans-serif;
  color: var(--ink);
  background: var(--paper);
  margin: 0 auto;
  max-width: 1120px;
  padding: 24px;
}
h1 {
  font-size: 22px;
  margin: 0 0 4px;
}
h2 {
  font-size: 17px;
  margin: 32px 0 8px;
}
p {
  color: var(--quiet);
  margin: 4px 0;
  max-width: 80ch;
}
.chart {
  position: relative;
  width: 100%;
}
.scroll {
  overflow-x: auto;
}
table {
  border-collapse: collapse;
  font-size: 13px;
  font-variant-numeric: tabular-nums;
}
th,
td {
  padding: 4px 8px;
  border-bottom: 1px solid var(--line);
  text-align: right;
  white-space: nowrap;
}
th:first-child,
.text {
  text-align: left;
  font-weight: 400;
}
thead th {
  font-weight: 600;
  color: var(--quiet);
}
td.text {
  font-size: 11px;
  color: var(--quiet);
}
`;

// Runs in the page; reads the data from the element with id "data".
const script = `
const { report, peers } = JSON.parse(document.getElementById('data').textContent);
const style = getComputedStyle(document.documentElement);
for (const chart of document.querySelectorAll('[data-height]'))
  chart.style.height = chart.dataset.height + 'px';
Chart.defaults.color = style.getPropertyValue('--quiet');
Chart.defaults.borderColor = style.getPropertyValue('--line');
Chart.defaults.font.family = 'system-ui, sans-serif';
Chart.defaults.animation = false;
const colours = { kernel: '#2f6fb3', model: '#d1752f', training: '#4c9a5b' };
const { gflops, copies = [] } = report.peaks;
const gbytes_per_s = Math.max(report.peaks.gbytes_per_s, ...copies.map((copy) => copy.gbytes_per_s));
const points = report.results.map((r) => ({ x: r.intensity, y: r.gflops, name: r.name, kind: r.kind }));
const low = points.reduce((least, p) => Math.min(least, p.x), Infinity) / 1.5,
  high = points.reduce((most, p) => Math.max(most, p.x), 0) * 1.5,
  knee = gflops / gbytes_per_s;
const roof = [low, Math.min(Math.max(knee, low), high), high].map((x) => ({
  x,
  y: Math.min(gflops, gbytes_per_s * x),
}));
const log = (title) => ({
  type: 'logarithmic',
  title: { display: true, text: title },
  ticks: { callback: (v) => (/^[125]/.test(String(v).replace(/^0\\.0*/, '')) ? v : '') },
});
new Chart('roofline', {
  type: 'scatter',
  data: {
    datasets: [
      {
        label: 'measured peaks',
        data: roof,
        showLine: true,
        pointRadius: 0,
        borderColor: '#8895a3',
        borderDash: [6, 4],
        borderWidth: 1.5,
      },
      ...Object.entries(colours).map(([kind, colour]) => ({
        label: kind,
        data: points.filter((p) => p.kind === kind),
        backgroundColor: colour,
        pointRadius: 5,
      })),
    ],
  },
  options: {
    maintainAspectRatio: false,
    scales: { x: log('FLOP per byte of operands'), y: log('GFLOP/s') },
    plugins: {
      tooltip: {
        callbacks: {
          label: (c) => (c.raw.name ? c.raw.name + ': ' + c.raw.y.toFixed(1) + ' GFLOP/s' : 'peak'),
        },
      },
    },
  },
});
const bars = (id, labels, values, colour, text) =>
  new Chart(id, {
    type: 'bar',
    data: { labels, datasets: [{ data: values, backgroundColor: colour, barThickness: 16 }] },
    options: {
      indexAxis: 'y',
      maintainAspectRatio: false,
      scales: { x: { title: { display: true, text } } },
      plugins: { legend: { display: false } },
    },
  });
const whole = report.results.filter((r) => r.kind !== 'kernel');
bars(
  'models',
  whole.map((r) => r.name),
  whole.map((r) => r.median_ms),
  whole.map((r) => colours[r.kind]),
  'milliseconds, median',
);
const groups = [...new Set(peers.map((p) => p.adapter + ' · ' + p.name))];
groups.forEach((group, i) => {
  const list = peers
    .filter((p) => p.adapter + ' · ' + p.name === group)
    .sort((a, b) => a.median_ms - b.median_ms);
  bars(
    'peers' + i,
    list.map((p) => p.engine + ' ' + p.provider),
    list.map((p) => p.median_ms),
    list.map((p) => (p.engine === 'aand-webgpu' ? '#d1752f' : '#8fa3b8')),
    'milliseconds, median',
  );
});
`;

const chart = (id: string, height: number, label: string) => html`<div class="chart" data-height="${height}">
<canvas id="${id}" role="img" aria-label="${label}"></canvas></div>`;

/**
 * The page as HTML text.
 *
 * @param charts the text of Chart.js
 */
export function benchPage(
  report: BenchReport,
  peers: readonly PeerResult[],
  charts: string,
): Promise<string> {
  const whole = report.results.filter((r) => r.kind !== 'kernel').length;
  const groups = [...new Set(peers.map((p) => `${p.adapter} · ${p.name}`))];
  const peerSections = groups.map((group, i) => {
    const count = peers.filter((p) => `${p.adapter} · ${p.name}` === group).length;
    return html`<h2>Peers: ${group}</h2>${chart(`peers${i}`, 60 + 30 * count, 'times of engines')}\n`;
  });
  const { record } = report;
  const { description } = report.adapter;
  const body = html`<h1>Bench on ${description}</h1>
<p>${record.date} · <code>${record.command}</code> · commit ${record.commit} · ${record.machine}</p>
<p>Measured peaks: ${report.peaks.gflops.toFixed(0)} GFLOP/s of multiply-adds,
${report.peaks.gbytes_per_s.toFixed(1)} GB/s of large copies by a kernel,
${fastestCopy(report.peaks).toFixed(1)} GB/s of the fastest copy. Winograd's forms count the
multiplications that they do, not those that they save. The share of the roofline takes multiply-adds, or a
copy of a kernel's own size, for each kernel of a case.</p>
<h2>Roofline</h2>${chart('roofline', 420, 'GFLOP/s over arithmetic intensity')}
<h2>Models and training steps</h2>${chart('models', 60 + 30 * whole, 'times of models')}
${peerSections}
<h2>All cases</h2><p>Error: largest absolute difference to 200 samples in float64 (kernels), to the direct
kernels without textures (models).</p>${caseTable(report.results)}`;
  return htmlPage({
    title: `Bench: ${description}`,
    style,
    body,
    data: { report, peers },
    scripts: [charts, script],
  });
}
