/** The report of one run as a page that needs no network: everything is in the one file. */
import type { Interval } from '../eval/bootstrap.ts';
import type { Evaluation, Metrics, TestedImage } from '../eval/evaluate.ts';
import { rankCurves, rankMetrics } from '../eval/metrics.ts';
import { type Calibration, isAnomalous } from '../eval/thresholds.ts';
import { script } from './script.ts';
import { style } from './style.ts';

/** A picture in the page, as a data URI. */
export interface Figure {
  readonly uri: string;
  readonly caption: string;
}

export interface ReportInput {
  /** What metrics.json holds. */
  readonly report: Readonly<Record<string, unknown>>;
  readonly images: readonly TestedImage[];
  readonly evaluation: Evaluation;
  readonly image: Calibration;
  readonly pixel: Calibration;
  readonly falseAlarms: readonly Figure[];
  readonly misses: readonly Figure[];
  readonly found: readonly Figure[];
  /** Per explained image: what it is, and the maps of its levels. */
  readonly explanations: readonly { readonly title: string; readonly figures: readonly Figure[] }[];
}

export const escapeHtml = (text: unknown) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

const percent = (value: number | null | undefined) => (typeof value === 'number' ? `${(100 * value).toFixed(1)}` : '–');

const metricRows: readonly [keyof Metrics, string, string][] = [
  ['image_AUROC', 'I-AUROC', 'area under the ROC curve over images, ties count one half'],
  ['image_AP', 'I-AP', 'average precision over images, sum of (R_n - R_n-1) P_n'],
  ['image_F1Max', 'I-F1-max', 'largest F1 over all thresholds, score >= threshold'],
  ['pixel_AUROC', 'P-AUROC', 'over all pixels of all test images with known truth'],
  ['pixel_AP', 'P-AP', 'average precision over pixels'],
  ['pixel_F1Max', 'P-F1-max', 'largest F1 over pixels'],
  ['AUPRO', 'PRO', 'per-region overlap to FPR .3, all images together (MVTec)'],
  [
    'AUPRO_per_image',
    'PRO, per image',
    "mean over defective images, 200 thresholds (RD4AD's code); not comparable with the row above",
  ],
];

function metricsTable(metrics: Metrics): string {
  const rows = metricRows.map(([key, paper, rule]) => {
    const interval = metrics.intervals[key as keyof Metrics['intervals']] as Interval | null | undefined;
    const range = interval ? `${percent(interval[0])} – ${percent(interval[1])}` : '';
    return `<tr><th scope="row">${paper}</th><td>${percent(metrics[key] as number | null)}</td><td>${range}</td><td class="text">${key}: ${escapeHtml(rule)}</td></tr>`;
  });
  return `<div class="scroll"><table><thead><tr><th></th><th>per cent</th><th>95 % interval</th><th class="text">rule</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
}

/** Images per kind of defect: how many, how many found, scores, AUROC against the good ones. */
function defectTable(images: readonly TestedImage[], image: Calibration): string {
  const good = images.filter(({ anomalous }) => !anomalous);
  const kinds = [...new Set(images.map(({ defect }) => defect))].sort((a, b) =>
    a === 'good' ? -1 : b === 'good' ? 1 : a.localeCompare(b),
  );
  const rows = kinds.map((kind) => {
    const list = images.filter(({ defect }) => defect === kind);
    const flagged = list.filter(({ score }) => isAnomalous(score, image)).length;
    const mean = list.reduce((sum, { score }) => sum + score, 0) / list.length;
    const both = kind === 'good' ? [] : [...good, ...list];
    const auroc = rankMetrics(
      Float32Array.from(both, ({ score }) => score),
      both.map(({ anomalous }) => (anomalous ? 1 : 0)),
    )?.auroc;
    return `<tr><th scope="row">${escapeHtml(kind)}</th><td>${list.length}</td><td>${flagged} (${percent(flagged / list.length)} %)</td><td>${mean.toFixed(3)}</td><td>${kind === 'good' ? '' : percent(auroc)}</td></tr>`;
  });
  return `<div class="scroll"><table><thead><tr><th>kind</th><th>images</th><th>called anomalous</th><th>mean score</th><th>AUROC against good</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
}

function confusion(images: readonly TestedImage[], image: Calibration): string {
  const count = (anomalous: boolean, called: boolean) =>
    images.filter((tested) => tested.anomalous === anomalous && isAnomalous(tested.score, image) === called).length;
  return `<div class="scroll"><table><thead><tr><th></th><th>called good</th><th>called anomalous</th></tr></thead><tbody>
<tr><th scope="row">good</th><td>${count(false, false)}</td><td>${count(false, true)} (false alarms)</td></tr>
<tr><th scope="row">anomalous</th><td>${count(true, false)} (missed)</td><td>${count(true, true)}</td></tr></tbody></table></div>`;
}

function histogram(images: readonly TestedImage[], threshold: number) {
  const scores = images.map(({ score }) => score);
  const [low, high] = [Math.min(...scores, threshold), Math.max(...scores, threshold)];
  const bins = 24;
  const step = (high - low) / bins || 1;
  const edges = Array.from({ length: bins + 1 }, (_, i) => low + i * step);
  const count = (wanted: boolean) => {
    const counts = new Array<number>(bins).fill(0);
    for (const { score, anomalous } of images) {
      const bin = Math.min(bins - 1, Math.floor((score - low) / step));
      if (anomalous === wanted) counts[bin] = (counts[bin] as number) + 1;
    }
    return counts;
  };
  return { edges, good: count(false), anomalous: count(true), threshold };
}

type History = Readonly<Record<string, readonly Readonly<Record<string, number>>[]>>;

function lossSeries(history: History) {
  return Object.entries(history)
    .filter(([, epochs]) => epochs.length)
    .map(([stage, epochs]) => ({
      id: `loss-${stage}`,
      title: stage === 'stage1' ? 'stage I: losses; precision and recall of the gate' : 'stage II: loss',
      series: Object.keys(epochs[0] ?? {}).map((name) => ({ name, values: epochs.map((epoch) => epoch[name]) })),
    }));
}

function facts(values: Readonly<Record<string, unknown>>): string {
  const text = (value: unknown): string => {
    if (value === null || value === undefined) return '–';
    if (Array.isArray(value)) return value.map(text).join(', ');
    if (typeof value === 'object')
      return Object.entries(value)
        .map(([key, part]) => `${key.replaceAll('_', ' ')} ${text(part)}`)
        .join(', ');
    return typeof value === 'number' ? String(Number(value.toPrecision(6))) : String(value);
  };
  return `<dl>${Object.entries(values)
    .map(([key, value]) => `<dt>${escapeHtml(key.replaceAll('_', ' '))}</dt><dd>${escapeHtml(text(value))}</dd>`)
    .join('')}</dl>`;
}

function gallery(title: string, figures: readonly Figure[], none: string): string {
  const list = figures.map(
    ({ uri, caption }) =>
      `<figure><img src="${uri}" alt="${escapeHtml(caption)}"><figcaption>${escapeHtml(caption)}</figcaption></figure>`,
  );
  return `<h3>${title}</h3>${list.length ? `<div class="gallery">${list.join('')}</div>` : `<p class="quiet">${none}</p>`}`;
}

const chart = (id: string, title: string) =>
  `<div><h3>${title}</h3><div class="chart"><canvas id="${id}" role="img" aria-label="${escapeHtml(title)}"></canvas></div></div>`;

/**
 * The report as HTML text.
 *
 * @param charts source text of Chart.js, inlined
 */
export function reportPage(input: ReportInput, charts: string): string {
  const { report, images, evaluation, image, pixel } = input;
  const { metrics } = evaluation;
  const scores = Float32Array.from(images, ({ score }) => score);
  const labels = images.map(({ anomalous }) => (anomalous ? 1 : 0));
  const measured = evaluation.image !== null;
  const settings = (report.settings ?? {}) as Record<string, unknown>;
  const losses = lossSeries((report.history ?? {}) as History);
  const curves = measured ? [{ name: 'images', ...rankCurves(scores, labels) }] : [];
  if (evaluation.pixel)
    curves.push({
      name: 'pixels',
      roc: evaluation.pixel.roc as [number, number][],
      precisionRecall: evaluation.pixel.precisionRecall as [number, number][],
    });
  const data = JSON.stringify({
    losses,
    curves,
    overlap: evaluation.pixel?.overlapCurve.filter(([rate]) => rate <= 0.35),
    histogram: histogram(images, image.threshold),
  }).replaceAll('<', '\\u003c');
  const warnings = (report.warnings ?? []) as string[];
  const oracle = String(settings.checkpoint ?? '').includes('test-oracle');
  const big = measured
    ? (
        [
          ['image_AUROC', 'image AUROC'],
          ['pixel_AUROC', 'pixel AUROC'],
          ['AUPRO', 'PRO (data set, .3)'],
          ['image_F1Max', 'image F1-max'],
        ] as const
      ).map(
        ([key, name]) =>
          `<div class="figure"><b>${percent(metrics[key])}</b><span>${name}, %${oracle ? ' (test-oracle)' : ''}</span></div>`,
      )
    : [];
  const title = `${report.category ?? 'Detector'}: ${settings.mode ?? ''} ${settings.backbone ?? ''}`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><style>${style}</style></head><body>
<h1>${escapeHtml(title)}</h1>
<p class="quiet">seed ${escapeHtml(report.seed)} · ${escapeHtml(report.adapter)} · version ${escapeHtml(report.version)}</p>
${oracle ? '<p class="warning">The epoch was chosen on the test set (--select test-oracle): these figures do not hold for new images.</p>' : ''}
${measured ? `<div class="figures">${big.join('')}</div>` : '<p class="warning">There is no test set with good and defective images: nothing could be measured.</p>'}
<h2>Data</h2>${facts(report.counts as Record<string, unknown>)}
${warnings.length ? `<details><summary>${warnings.length} warning${warnings.length > 1 ? 's' : ''}</summary><ul>${warnings.map((w) => `<li>${escapeHtml(w)}</li>`).join('')}</ul></details>` : '<p class="quiet">Every defect has its mask, every file could be read.</p>'}
${
  measured
    ? `<h2>Metrics</h2>${metricsTable(metrics)}<p class="quiet">Labels ${escapeHtml(settings.labels === 'mask' ? `by mask (${report.relabelled_by_mask} images differ from their folder)` : 'by folder')}; ${escapeHtml(settings.checkpoint ?? 'last epoch')}; intervals: 1000 bootstrap resamples of the images.</p>
<div class="charts">${chart('roc', 'ROC')}${chart('pr', 'Precision and recall')}${evaluation.pixel ? chart('overlap', 'Per-region overlap') : ''}</div>`
    : ''
}
<h2>Scores and threshold</h2><p>Threshold ${image.threshold.toPrecision(5)} for images (${escapeHtml(image.rule)}), ${pixel.threshold.toPrecision(5)} for pixels (${escapeHtml(pixel.rule)}). ${image.rule.startsWith('F1') ? 'Drawn on the test set itself, so the counts below are optimistic.' : ''}</p>
<div class="charts">${chart('histogram', 'Scores of images')}<div><h3>Verdicts</h3>${confusion(images, image)}<h3>By kind</h3>${defectTable(images, image)}</div></div>
${losses.length ? `<h2>Training</h2><div class="charts">${losses.map(({ id, title }) => chart(id, title)).join('')}</div>` : ''}
${
  measured
    ? `<h2>Pictures</h2><p class="quiet">Image, ground truth, heat map (its middle colour is the threshold; red outline: marked, white: ground truth), mask.</p>
${gallery('Worst false alarms', input.falseAlarms, 'No good image is called anomalous.')}
${gallery('Worst misses', input.misses, 'No defective image is called good.')}
${gallery('Clearest finds', input.found, 'No defective image was found.')}`
    : ''
}
${input.explanations.length ? `<h2>Explanation</h2><p class="quiet">Per level: distance of the amplified and the rebuilt features (what the heat map sums up), gate (how much a place looks like a synthetic anomaly, 0 to 1) and residual (how far amplification moves the features, relative).</p>${input.explanations.map(({ title, figures }) => `<h3>${escapeHtml(title)}</h3><div class="levels">${figures.map(({ uri, caption }) => `<figure><img src="${uri}" alt="${escapeHtml(caption)}"><figcaption>${escapeHtml(caption)}</figcaption></figure>`).join('')}</div>`).join('')}` : ''}
<h2>Settings</h2>${facts({ ...settings, ...((report.seconds as object) && { seconds: report.seconds }) })}
<h2>Model card</h2><p>Learns one product from photographs of good parts (AAND, arXiv 2405.02068) and marks what differs. Meant for parts photographed as in the training set; other cameras, light or products need a training of their own. Scores say how far a part is from the good ones, not how bad a defect is. ${settings.weights ? `The teacher's weights and the textures have licences of their own (${escapeHtml(settings.weights)}; ${escapeHtml(settings.textures)}).` : ''}</p>
<script type="application/json" id="data">${data}</script><script>${charts}</script><script>${script}</script>
</body></html>
`;
}
