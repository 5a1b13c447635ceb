/** The report's tables of images: by kind of defect, by lighting or view, by verdict. */
import { byCondition } from '../eval/conditions.ts';
import type { Metrics, TestedImage } from '../eval/evaluate.ts';
import { rankMetrics } from '../eval/metrics.ts';
import { type Calibration, isAnomalous, normalizeScore } from '../eval/thresholds.ts';
import { type Html, html, table } from './html.ts';
import { percent } from './metrics_table.ts';

/** Images per kind of defect: how many, how many found, scores, AUROC against the good ones. */
export function defectTable(images: readonly TestedImage[], image: Calibration | null): Html {
  const good = images.filter(({ anomalous }) => !anomalous);
  const kinds = [...new Set(images.map(({ defect }) => defect))].sort((a, b) =>
    a === 'good' ? -1 : b === 'good' ? 1 : a.localeCompare(b),
  );
  const rows = kinds.map((kind) => {
    const list = images.filter(({ defect }) => defect === kind);
    const flagged = list.filter(({ score }) => isAnomalous(score, image)).length;
    const mean = list.reduce((sum, { score }) => sum + shown(score, image), 0) / list.length;
    const both = kind === 'good' ? [] : [...good, ...list];
    const auroc = rankMetrics(
      Float32Array.from(both, ({ score }) => score),
      both.map(({ anomalous }) => (anomalous ? 1 : 0)),
    )?.auroc;
    const called = image ? [`${flagged} (${percent(flagged / list.length)} %)`] : [];
    const own = kind === 'good' ? '' : percent(auroc);
    return { head: kind, cells: [list.length, ...called, mean.toFixed(3), own] };
  });
  const called = image ? ['called anomalous'] : [];
  const columns = [
    'kind',
    'images',
    ...called,
    image ? 'mean score' : 'mean raw score',
    'AUROC against good',
  ];
  return table(
    columns.map((head) => ({ head })),
    rows,
  );
}

/** Lightings or views, where the images are of several. */
export function conditionTable(
  images: readonly TestedImage[],
  { conditions }: Metrics,
  image: Calibration | null,
): Html | false {
  const groups = byCondition(images);
  if (!groups.size) return false;
  const rows = [...groups].map(([name, group]) => {
    const called = (wanted: boolean) =>
      group.filter(({ score, anomalous }) => anomalous === wanted && isAnomalous(score, image) !== wanted);
    const { good, anomalous, image_AUROC } = conditions?.[name] ?? {};
    const verdicts = image ? [called(false).length, called(true).length] : [];
    return { head: name, cells: [good ?? 0, anomalous ?? 0, percent(image_AUROC), ...verdicts] };
  });
  const verdicts = image ? ['false alarms', 'missed'] : [];
  const columns = ['lighting or view', 'good', 'anomalous', 'image AUROC', ...verdicts];
  return html`<h3>By lighting or view</h3>${table(
    columns.map((head) => ({ head })),
    rows,
  )}`;
}

/** Verdicts against the truth. */
export function confusion(images: readonly TestedImage[], image: Calibration): Html {
  const count = (anomalous: boolean, called: boolean) =>
    images.filter((tested) => tested.anomalous === anomalous && isAnomalous(tested.score, image) === called)
      .length;
  return table(
    [{ head: '' }, { head: 'called good' }, { head: 'called anomalous' }],
    [
      { head: 'good', cells: [count(false, false), `${count(false, true)} (false alarms)`] },
      { head: 'anomalous', cells: [`${count(true, false)} (missed)`, count(true, true)] },
    ],
  );
}

/** The score as it is shown: 0 to 1, raw without a threshold. */
export const shown = (score: number, image: Calibration | null) => normalizeScore(score, image) ?? score;
