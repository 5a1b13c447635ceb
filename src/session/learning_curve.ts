/**
 * The curve of a training: what its detector and its gates are worth on the test set every so many epochs.
 * It is measured for the report and never used for choosing, so the training is the same with and without it.
 */
import * as v from 'valibot';
import { type CsvValue, csvTable } from '../eval/csv.ts';
import type { Metrics } from '../eval/evaluate.ts';
import type { FinishedEpoch } from '../train/check_options.ts';
import { openCheckpoint, parse, type RunCheckpoint, refusing, saveCheckpoint } from '../train/checkpoint.ts';

const stage = 'the curve over epochs';

/** How well the gates tell anomalous cells from good ones: areas under the ROC curve, 0 to 1. */
export interface GateSeparation {
  /** Over all cells of a level, finest level first; null where a level has no anomalous cell. */
  readonly levels: readonly (number | null)[];
  /** Over the levels that have one. */
  readonly mean: number | null;
}

/** What was measured after one epoch. */
export interface CurvePoint {
  readonly stage: 1 | 2;
  readonly epoch: number;
  /** Means over the epoch, by name. */
  readonly losses: Readonly<Record<string, number>>;
  /** Stage II: the detector on the test set, 0 to 1. */
  readonly detector?: {
    readonly image_AUROC: number | null;
    readonly pixel_AUROC: number | null;
    readonly AUPRO: number | null;
  };
  /** Stage I: the gates over the cells of their levels; on the test set null where nobody knows the truth. */
  readonly gates?: { readonly synthetic: GateSeparation; readonly test: GateSeparation | null };
}

// The types are written out, because those of the package name no other package.
const share = v.nullable(v.pipe(v.number(), v.minValue(0), v.maxValue(1)));
const separation = v.strictObject({ levels: v.array(share), mean: share });
/** A point as files hold it. */
export const curvePoint: v.GenericSchema<unknown, CurvePoint> = v.strictObject({
  stage: v.picklist([1, 2]),
  epoch: v.pipe(v.number(), v.integer(), v.minValue(1)),
  losses: v.record(v.string(), v.pipe(v.number(), v.finite())),
  detector: v.exactOptional(v.strictObject({ image_AUROC: share, pixel_AUROC: share, AUPRO: share })),
  gates: v.exactOptional(v.strictObject({ synthetic: separation, test: v.nullable(separation) })),
});
const kept = v.strictObject({ points: v.array(curvePoint) });

/** What every curve says of itself. */
export const curveNote = 'Measured for the report, never used for choosing.';

/** The figures of a detector that a curve holds. */
export function curveFigures({ image_AUROC, pixel_AUROC, AUPRO }: Metrics) {
  return { image_AUROC, pixel_AUROC, AUPRO };
}

/** The points of a curve, kept beside the checkpoints: a resumed training continues its curve. */
export class LearningCurve {
  readonly #checkpoint: RunCheckpoint;
  readonly #points: CurvePoint[];

  private constructor(checkpoint: RunCheckpoint, points: CurvePoint[]) {
    this.#checkpoint = checkpoint;
    this.#points = points;
  }

  /**
   * @param checkpoint where the points are kept; its run has the test set's digests too
   * @param resume continue from the points that are there
   * @throws CheckpointError on kept points that are damaged or of another run
   */
  static async open(checkpoint: RunCheckpoint, resume: boolean): Promise<LearningCurve> {
    const data = resume ? await checkpoint.storage.load() : undefined;
    if (!data) return new LearningCurve(checkpoint, []);
    const file = await openCheckpoint(checkpoint, data, stage);
    const { points } = await refusing(checkpoint.storage, () => v.parse(kept, parse(file.metadata.state)));
    return new LearningCurve(checkpoint, points);
  }

  get points(): readonly CurvePoint[] {
    return this.#points;
  }

  /** Whether an epoch was measured already: a resumed training sees its last one again. */
  has({ stage, epoch }: Pick<FinishedEpoch, 'stage' | 'epoch'>): boolean {
    return this.#points.some((point) => point.stage === stage && point.epoch === epoch);
  }

  /** Adds a point and keeps the curve. */
  async add(point: CurvePoint): Promise<void> {
    this.#points.push(point);
    await saveCheckpoint(this.#checkpoint, stage, new Map(), { points: this.#points });
  }
}

/** A curve as CSV: a line per point; cells are empty where a stage does not have the figure. */
export function curveCsv(points: readonly CurvePoint[]): string {
  const figures = (point: CurvePoint): Record<string, CsvValue> => {
    const { gates, detector, losses } = point;
    const row: Record<string, CsvValue> = { stage: point.stage, epoch: point.epoch, ...detector };
    for (const [of, found] of Object.entries(gates ?? {})) {
      row[`gate_AUROC_${of}`] = found?.mean ?? null;
      found?.levels.forEach((area, level) => {
        row[`gate_AUROC_${of}_level${level + 1}`] = area;
      });
    }
    for (const [name, value] of Object.entries(losses)) row[`training_${name}`] = value;
    return row;
  };
  const rows = points.map(figures);
  const first = ['stage', 'epoch', 'image_AUROC', 'pixel_AUROC', 'AUPRO'];
  const columns = [...new Set([...first, ...rows.flatMap((row) => Object.keys(row))])];
  return csvTable(
    columns,
    rows.map((row) => columns.map((column) => row[column] ?? null)),
  );
}

/** A curve as JSON. */
export function curveJson(points: readonly CurvePoint[]): string {
  return `${JSON.stringify({ note: curveNote, points }, null, 2)}\n`;
}
