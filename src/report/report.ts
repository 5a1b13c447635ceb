/** The report of one run as a page that needs no network: everything is in the one file. */
import { rangeOf } from '../base/lists.ts';
import type { UnreadableFile } from '../data/unreadable.ts';
import type { Evaluation, TestedImage } from '../eval/evaluate.ts';
import { falseAlarmText } from '../eval/false_alarms.ts';
import type { Findings } from '../eval/findings.ts';
import type { Scale } from '../eval/marks.ts';
import { rankCurves } from '../eval/metrics.ts';
import type { Calibration } from '../eval/thresholds.ts';
import { type Html, html, htmlPage } from './html.ts';
import { conditionTable, confusion, defectTable, shown } from './image_tables.ts';
import { keyFigures, metricsTable, percent } from './metrics_table.ts';
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
  /** What the report opens with. */
  readonly findings: Findings;
  /** Null for a detector without a threshold. */
  readonly scale: Scale | null;
  readonly falseAlarms: readonly Figure[];
  readonly misses: readonly Figure[];
  readonly found: readonly Figure[];
  /** Per explained image: what it is, and the maps of its levels. */
  readonly explanations: readonly { readonly title: string; readonly figures: readonly Figure[] }[];
}

function histogram(images: readonly TestedImage[], image: Calibration | null) {
  const { min: low, max: high } = image ? { min: 0, max: 1 } : rangeOf(images.map(({ score }) => score));
  // Bins meet at 0.5: none holds scores of both sides of the limit.
  const bins = 24;
  const step = (high - low) / bins || 1;
  const edges = Array.from({ length: bins + 1 }, (_, i) => low + i * step);
  const count = (wanted: boolean) => {
    const counts = new Array<number>(bins).fill(0);
    for (const { score, anomalous } of images) {
      const bin = Math.min(bins - 1, Math.floor((shown(score, image) - low) / step));
      if (anomalous === wanted) counts[bin] = (counts[bin] as number) + 1;
    }
    return counts;
  };
  return { edges, good: count(false), anomalous: count(true), limit: image && 0.5 };
}

/** A point of a curve over epochs, as metrics.json holds it. */
interface EpochPoint {
  readonly stage: number;
  readonly epoch: number;
  readonly detector?: Readonly<Record<string, number | null>>;
  readonly gates?: Readonly<Record<string, { readonly mean: number | null } | null>>;
}

/** The curves over epochs, as charts: the detector's after stage II's epochs, the gates' after stage I's. */
function epochCurves(points: readonly EpochPoint[]) {
  const line = (name: string, pick: (point: EpochPoint) => number | null | undefined) => ({
    name,
    data: points.flatMap((point) => {
      const value = pick(point);
      return typeof value === 'number' ? [[point.epoch, value]] : [];
    }),
  });
  const charts = [
    {
      id: 'epochs-detector',
      title: 'Test set after epochs of stage II',
      axis: 'area under the curve',
      series: [
        line('image AUROC', ({ detector }) => detector?.image_AUROC),
        line('pixel AUROC', ({ detector }) => detector?.pixel_AUROC),
        line('PRO', ({ detector }) => detector?.AUPRO),
      ],
    },
    {
      id: 'epochs-gates',
      title: 'Gates after epochs of stage I',
      axis: 'AUROC over cells, mean of the levels',
      series: [
        line('synthetic anomalies', ({ gates }) => gates?.synthetic?.mean),
        line('test set', ({ gates }) => gates?.test?.mean),
      ],
    },
  ];
  return charts
    .map(({ series, ...chart }) => ({ ...chart, series: series.filter(({ data }) => data.length) }))
    .filter(({ series }) => series.length);
}

type History = Readonly<Record<string, readonly Readonly<Record<string, number>>[]>>;

const stageTitles: Readonly<Record<string, string>> = {
  stage1: 'stage I: losses; precision and recall of the gate',
  stage2: 'stage II: loss',
};

function lossSeries(history: History) {
  return Object.entries(history)
    .filter(([, epochs]) => epochs.length)
    .map(([stage, epochs], i) => ({
      id: `loss${i}`,
      title: Object.hasOwn(stageTitles, stage) ? (stageTitles[stage] as string) : stage,
      series: Object.keys(epochs[0] ?? {}).map((name) => ({
        name,
        values: epochs.map((epoch) => epoch[name]),
      })),
    }));
}

function facts(values: Readonly<Record<string, unknown>>): Html {
  const text = (value: unknown): string => {
    if (value === null || value === undefined) return '–';
    if (Array.isArray(value)) return value.map(text).join(', ');
    if (typeof value === 'object')
      return Object.entries(value)
        .map(([key, part]) => `${key.replaceAll('_', ' ')} ${text(part)}`)
        .join(', ');
    return typeof value === 'number' ? String(Number(value.toPrecision(6))) : String(value);
  };
  return html`<dl>${Object.entries(values).map(
    ([key, value]) => html`<dt>${key.replaceAll('_', ' ')}</dt><dd>${text(value)}</dd>`,
  )}</dl>`;
}

function figureOf({ uri, caption }: Figure): Html {
  return html`<figure><img src="${uri}" alt="${caption}"><figcaption>${caption}</figcaption></figure>`;
}

function gallery(title: string, figures: readonly Figure[], none: string): Html {
  if (!figures.length) return html`<h3>${title}</h3><p class="quiet">${none}</p>`;
  return html`<h3>${title}</h3><div class="gallery">${figures.map(figureOf)}</div>`;
}

const chart = (id: string, title: string) => html`<div><h3>${title}</h3>
<div class="chart"><canvas id="${id}" role="img" aria-label="${title}"></canvas></div></div>`;

function limitText(scale: Scale | null): string {
  if (!scale)
    return (
      'This detector is not calibrated: it has no threshold, so there are raw scores and no verdicts. ' +
      'aand calibrate draws one from good images.'
    );
  const { score, map, marks } = scale;
  const optimistic = score.rule.startsWith('F1')
    ? ' Drawn on the test set itself, so the counts below are optimistic.'
    : '';
  return (
    'Scores run from 0 to 1; an image is called anomalous from 0.5 on. ' +
    `There the raw score is ${score.threshold.toPrecision(5)} (${score.rule}).${optimistic} ` +
    (marks === 'pixels'
      ? `Marks are drawn by the limit of pixels, raw ${map.threshold.toPrecision(5)} (${map.rule}).`
      : 'Marks are drawn at the same limit: every anomalous image has its peak outlined, no good one has ' +
        'a mark.') +
    (score.evidence ? ` ${falseAlarmText(score.evidence)}` : '')
  );
}

function metricsSection(
  { report, evaluation }: ReportInput,
  settings: Readonly<Record<string, unknown>>,
): Html {
  const labels =
    settings.labels === 'mask'
      ? `by mask (${report.relabelled_by_mask} images differ from their folder)`
      : 'by folder';
  const overlap = evaluation.pixel && chart('overlap', 'Per-region overlap');
  return html`<h2>Metrics</h2>${metricsTable(evaluation.metrics)}
<p class="quiet">Labels ${labels}; ${String(settings.checkpoint ?? 'last epoch')}; intervals: 1000 bootstrap
resamples of the images.</p>
<div class="charts">${chart('roc', 'ROC')}${chart('pr', 'Precision and recall')}${overlap}</div>`;
}

function picturesSection(input: ReportInput): Html {
  return html`<h2>Pictures</h2><p class="quiet">Image, ground truth, heat map (from 0, blue, to 1,
red, with 0.5, the limit, in the middle; red outline: marked, white: ground truth), mask.</p>
${gallery('Worst false alarms', input.falseAlarms, 'No good image is called anomalous.')}
${gallery('Worst misses', input.misses, 'No defective image is called good.')}
${gallery('Clearest finds', input.found, 'No defective image was found.')}`;
}

function explanationSection({ explanations }: ReportInput): Html {
  return html`<h2>Explanation</h2><p class="quiet">Per level: distance of the amplified and the rebuilt
features (what the heat map sums up), gate (how much a place looks like a synthetic anomaly, 0 to 1) and
residual (how far amplification moves the features, relative).</p>${explanations.map(
    ({ title, figures }) => html`<h3>${title}</h3><div class="levels">${figures.map(figureOf)}</div>`,
  )}`;
}

/** What was found wanting: files that were left out stand open, for every figure is without them. */
function warningsOf(warnings: readonly unknown[], unreadable: readonly UnreadableFile[]): Html {
  if (!warnings.length && !unreadable.length)
    return html`<p class="quiet">Every defect has its mask, every file could be read.</p>`;
  const [files, texts] = [unreadable.length, warnings.length];
  const sentence =
    `${files} file${files > 1 ? 's' : ''} could not be read, and every figure is ` +
    `without ${files > 1 ? 'them' : 'it'}`;
  const left = unreadable.map(({ path, reason }) => html`<li>${path}: ${reason}</li>`);
  const said = warnings.map((warning) => html`<li>${String(warning)}</li>`);
  return html`${files > 0 && html`<div class="warning">${sentence}:<ul>${left}</ul></div>`}${
    texts > 0 &&
    html`<details><summary>${texts} warning${texts > 1 && 's'}</summary><ul>${said}</ul></details>`
  }`;
}

/** The result in plain words. */
function findingsSection({ grade, headline, counts, advice }: Findings): Html {
  const figures = counts.map(
    ({ label, value, of, text }) => html`<div class="figure ${label}"><b>${value}</b><span>${of}
${label}</span><small>${text}</small></div>`,
  );
  const said = advice.map((text) => html`<li>${text}</li>`);
  return html`<section class="result ${grade}" aria-label="Result"><p class="headline">${headline}</p>
${counts.length > 0 && html`<div class="figures">${figures}</div>`}
${advice.length > 0 && html`<ul>${said}</ul>`}</section>`;
}

/**
 * The report as HTML text; strings of the input may come from anywhere, they are escaped.
 *
 * @param charts source text of Chart.js, inlined
 */
export function reportPage(input: ReportInput, charts: string): Promise<string> {
  const { report, images, evaluation, scale } = input;
  const image = scale?.score ?? null;
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
  const epochs = epochCurves((report.curve ?? []) as readonly EpochPoint[]);
  const data = {
    losses,
    epochs,
    curves,
    overlap: evaluation.pixel?.overlapCurve.filter(([rate]) => rate <= 0.35),
    histogram: histogram(images, image),
  };
  const oracle = String(settings.checkpoint ?? '').includes('test-oracle');
  const chosen = oracle && ' (test-oracle)';
  const big = keyFigures.map(([key, name]) => {
    const value = percent(metrics[key] as number | null);
    return html`<div class="figure"><b>${value}</b><span>${name}, %${chosen}</span></div>`;
  });
  const title = `${report.category ?? 'Detector'}: ${settings.mode ?? ''} ${settings.backbone ?? ''}`;
  const made = [settings.mode, settings.backbone].filter(Boolean).join(', ');
  const origin = `${made} · seed ${report.seed} · ${report.adapter} · version ${report.version}`;
  const verdicts = image && html`<h3>Verdicts</h3>${confusion(images, image)}`;
  const training =
    losses.length > 0 &&
    html`<h2>Training</h2><div class="charts">${[...losses, ...epochs].map(({ id, title }) =>
      chart(id, title),
    )}</div>${
      epochs.length > 0 &&
      html`<p class="quiet">Curves of the test set: measured for the report, never used for choosing. Values
are in curve.csv.</p>`
    }`;
  const licences =
    settings.weights !== undefined &&
    `The teacher's weights and the textures have licences of their own (${settings.weights}; ` +
      `${settings.textures}).`;
  const body = html`<h1>${String(report.category ?? 'Detector')}</h1>
${findingsSection(input.findings)}
${
  oracle &&
  html`<p class="warning">The epoch was chosen on the test set (--select test-oracle): these figures do not
hold for new images.</p>`
}
${
  measured
    ? html`<div class="figures">${big}</div>`
    : html`<p class="warning">There is no test set with good and defective images: nothing could be
measured.</p>`
}
<p class="quiet">${origin}</p>
<h2>Data</h2>${facts(report.counts as Record<string, unknown>)}
${warningsOf((report.warnings ?? []) as unknown[], (report.unreadable ?? []) as UnreadableFile[])}
${measured && metricsSection(input, settings)}
<h2>Scores and threshold</h2><p>${limitText(scale)}</p>
<div class="charts">${chart('histogram', 'Scores of images')}<div>
${verdicts}<h3>By kind</h3>${defectTable(images, image)}
${conditionTable(images, metrics, image)}</div></div>
${training}
${measured && image && picturesSection(input)}
${input.explanations.length > 0 && explanationSection(input)}
<h2>Settings</h2>${facts({ ...settings, ...((report.seconds as object) && { seconds: report.seconds }) })}
<h2>Model card</h2><p>Learns one product from photographs of good parts (AAND, arXiv 2405.02068) and marks
what differs. Meant for parts photographed as in the training set; other cameras, light or products need a
training of their own. Scores say how far a part is from the good ones, not how bad a defect is.
${licences}</p>`;
  return htmlPage({ title, style, body, data, scripts: [charts, script] });
}
