/** The report's table of metrics, and the few that stand at its top. */
import { append } from '../base/lists.ts';
import type { Interval } from '../eval/bootstrap.ts';
import type { Metrics, SaturatedMetrics } from '../eval/evaluate.ts';
import { type Html, table } from './html.ts';

/** Per cent with one decimal; a dash where there is no value. */
export const percent = (value: number | null | undefined): string =>
  typeof value === 'number' ? `${(100 * value).toFixed(1)}` : '–';

/** The metrics at the report's top, by what they are called there. */
export const keyFigures: readonly (readonly [keyof Metrics, string])[] = [
  ['image_AUROC', 'image AUROC'],
  ['pixel_AUROC', 'pixel AUROC'],
  ['AUPRO', 'PRO (data set, .3)'],
  ['image_F1Max', 'image F1-max'],
];

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

/** Each kind of defect with the good images alone, and the mean of the kinds. */
function saturatedRows({ image_AUROC, AUsPRO, kinds }: SaturatedMetrics) {
  const names = Object.keys(kinds).join(' and ');
  const sPro = 'saturated per-region overlap to FPR .05, as MVTec LOCO AD reports it';
  return [
    {
      head: 'I-AUROC, by kind',
      cells: [percent(image_AUROC), '', `mean of ${names}, each with the good images alone`],
    },
    { head: 'sPRO', cells: [percent(AUsPRO), '', `AUsPRO: mean of ${names}; ${sPro}`] },
    ...Object.entries(kinds).map(([kind, own]) => ({
      head: `sPRO, ${kind}`,
      cells: [percent(own.AUsPRO), '', `image AUROC ${percent(own.image_AUROC)}`],
    })),
  ];
}

/** Every metric with its interval and its rule. */
export function metricsTable(metrics: Metrics): Html {
  const rows = metricRows.map(([key, paper, rule]) => {
    const interval = metrics.intervals[key as keyof Metrics['intervals']] as Interval | null | undefined;
    // Spaces that do not break: an interval stands in one line.
    const range = interval ? `${percent(interval[0])}\u00a0–\u00a0${percent(interval[1])}` : '';
    return { head: paper, cells: [percent(metrics[key] as number | null), range, `${key}: ${rule}`] };
  });
  if (metrics.saturated) append(rows, saturatedRows(metrics.saturated));
  if (metrics.parts) {
    const { good, anomalous, image_AUROC } = metrics.parts;
    const rule = `${good} good and ${anomalous} anomalous parts, each with the largest score of its images`;
    rows.push({ head: 'I-AUROC, by part', cells: [percent(image_AUROC), '', rule] });
  }
  const columns = [
    { head: '' },
    { head: 'per cent' },
    { head: '95 % interval' },
    { head: 'rule', text: true },
  ];
  return table(columns, rows);
}
