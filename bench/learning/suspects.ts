/**
 * How well training images are ranked by suspicion: data sets with known defects among the good images
 * (dirty.ts), several forms of the ranking.
 */
import { basename, dirname } from 'node:path';
import { realPath } from '#platform';
import type { Provenance } from '../../src/bench/provenance.ts';
import { categoriesIn, openDataset } from '../../src/data/open.ts';
import { loadTrainingImages } from '../../src/data/training_images.ts';
import type { Engine } from '../../src/engine/runtime/engine.ts';
import { rankMetrics } from '../../src/eval/metrics.ts';
import type { Teacher } from '../../src/model/teacher.ts';
import {
  compareImages,
  type RankingForm,
  rankedSuspects,
  rankingForm,
  suspicionsOf,
} from '../../src/train/suspects.ts';
import type { SafetensorsFile } from '../../src/weights/safetensors.ts';
import type { MeasuredTable } from '../figures/sections.ts';

const forms: readonly (readonly [name: string, form: RankingForm])[] = [
  ['as the program does', rankingForm],
  ['nearest image alone', { ...rankingForm, neighbours: [1] }],
  ['two nearest images', { ...rankingForm, neighbours: [1, 2] }],
  ['third nearest alone', { ...rankingForm, neighbours: [3] }],
  ['nothing taken off', { ...rankingForm, off: 'nothing' }],
  ['median of the position taken off', { ...rankingForm, off: 'position' }],
  ['three patches', { ...rankingForm, patches: 3 }],
];

const ours = forms[0]?.[0] as string;

export interface SuspectsRow {
  readonly set: string;
  /** The teacher and the side of the images. */
  readonly features: string;
  readonly images: number;
  readonly defects: number;
  readonly form: string;
  /** Chance that a defective image ranks above a good one. */
  readonly auroc: number;
  /** Share of the defective images among the first of the ranking: as many as there are, and twice that. */
  readonly found: number;
  readonly foundInTwice: number;
}

export interface SuspectsOptions {
  readonly backbone: Teacher;
  readonly teacher: SafetensorsFile;
  readonly teacherName: string;
  readonly imageSize: number;
}

function rowOf(
  where: Pick<SuspectsRow, 'set' | 'features' | 'form'>,
  scores: readonly number[],
  defective: readonly boolean[],
): SuspectsRow {
  const defects = defective.filter(Boolean).length;
  const labels = defective.map((is) => (is ? 1 : 0));
  const ranking = rankedSuspects(scores.map((score) => ({ score })));
  const among = (count: number) => ranking.slice(0, count).filter((i) => defective[i]).length / defects;
  return {
    ...where,
    images: scores.length,
    defects,
    auroc: rankMetrics(Float32Array.from(scores), labels)?.auroc ?? Number.NaN,
    found: among(defects),
    foundInTwice: among(2 * defects),
  };
}

/**
 * Ranks the training images of sets that `dirty` made. Their defects are links to folders of defects.
 *
 * @param folders of the sets, each with one category
 * @throws Error where a set has no defect among its training images
 */
export async function measureSuspects(
  engine: Engine,
  folders: readonly string[],
  o: SuspectsOptions,
): Promise<SuspectsRow[]> {
  const rows: SuspectsRow[] = [];
  for (const folder of folders)
    for (const category of await categoriesIn(folder)) {
      const dataset = await openDataset(`${folder}/${category}`);
      const data = await loadTrainingImages(dataset.train, o.imageSize, { foreground: { kind: 'none' } });
      const defective: boolean[] = [];
      for (const path of data.paths)
        defective.push(basename(dirname(await realPath(path))) !== basename(dirname(path)));
      if (!defective.includes(true))
        throw new Error(`${folder}: no training image is a link to one of another folder, such as a defect`);
      const { nearest, patches } = await compareImages({ ...o, engine, images: data.images });
      for (const [name, form] of forms) {
        const scores = suspicionsOf(nearest, patches, form).map(({ score }) => score);
        const features = `${o.backbone.name}, ${o.imageSize} pixels`;
        const row = rowOf(
          { set: `${category}, ${basename(folder)}`, features, form: name },
          scores,
          defective,
        );
        rows.push(row);
      }
    }
  return rows;
}

/** Means of rows, as one row. */
function meanRow(rows: readonly SuspectsRow[]): SuspectsRow {
  const mean = (value: (row: SuspectsRow) => number) =>
    rows.reduce((sum, row) => sum + value(row), 0) / rows.length;
  return {
    ...(rows[0] as SuspectsRow),
    set: `mean of ${rows.length} sets`,
    auroc: mean(({ auroc }) => auroc),
    found: mean(({ found }) => found),
    foundInTwice: mean(({ foundInTwice }) => foundInTwice),
  };
}

/**
 * The rows as a section of docs/results.md: the program's own ranking by set, everything else as means.
 *
 * @param teacher what the teacher is, in words
 */
export function suspectsSection(
  rows: readonly SuspectsRow[],
  teacher: string,
  record: Provenance,
): MeasuredTable {
  const first = rows[0]?.features;
  const own = rows.filter(({ features, form }) => features === first && form === ours);
  const groups = new Map<string, SuspectsRow[]>();
  for (const row of rows) {
    const key = `${row.features} ${row.form}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return {
    record: { ...record },
    order: 40,
    title: 'Suspects among training images',
    about: [
      'How well `aand data --suspects` and `--drop-suspects` find defective images among the good ones ' +
        '(`src/train/suspects.ts`). The sets are those of `npm run learning -- dirty`: so many per cent of ' +
        `the training images are defective. The teacher is ${teacher}. Found: the share of the defective ` +
        'images among the first of the ranking, as many as there are defects, and twice as many. Other ' +
        'forms of the ranking differ from it in the one point that they name. The form was chosen by these ' +
        'sets.',
    ],
    digits: 1,
    heads: ['set', 'defective', 'features', 'ranking', 'AUROC', 'found, %', 'in twice as many, %'],
    rows: [
      ...own.map((row) => [row, `${row.defects} of ${row.images}`] as const),
      ...[...groups.values()].map((group) => [meanRow(group), '-'] as const),
    ].map(([{ set, features, form, auroc, found, foundInTwice }, defects]) => [
      ...[set, defects, features, form],
      ...[100 * auroc, 100 * found, 100 * foundInTwice],
    ]),
    commands: [],
  };
}
