/** What is said of one image that was sent, in the units of its sender: pixels of the image as it was. */
import type { Prediction } from '../detector/detector.ts';
import { markedRegions } from '../eval/blobs.ts';
import type { Scale } from '../eval/marks.ts';

/** A marked region. */
export interface MarkedRegion {
  /** Its box in pixels of the image that was sent, x and y from the top left corner. */
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** Its share of the image, 0 to 1. */
  readonly area: number;
  /** Its largest value, 0 to 1; 0.5 is at the threshold. */
  readonly peak: number;
}

/** The answer to one image. Names are those of `aand predict --json`. */
export interface Judgement {
  readonly model: string;
  /** What the sender calls the image; null where it has no name. */
  readonly name: string | null;
  /** When it was judged, as ISO 8601 in UTC. */
  readonly time: string;
  readonly raw_score: number;
  /** 0 to 1, 0.5 is at the threshold; null, as the label, for a model without a threshold. */
  readonly pred_score: number | null;
  readonly pred_label: 'good' | 'anomalous' | null;
  /** Size of the image that was sent, after EXIF rotation. */
  readonly width: number;
  readonly height: number;
  /** Share of the image that is marked, 0 to 1; null for a model without a threshold. */
  readonly marked_area: number | null;
  /** The largest first, {@link mostRegions} at most. */
  readonly regions: readonly MarkedRegion[];
  /** From the whole image being there to the answer. */
  readonly milliseconds: number;
  /** What to do where the model's scores have left those of its calibration; null while they have not. */
  readonly drift: string | null;
}

/** Regions that an answer names at most. */
export const mostRegions = 20;

/** What is known of an image beside its prediction. */
export interface Judged {
  readonly model: string;
  readonly name: string | null;
  readonly width: number;
  readonly height: number;
  readonly milliseconds: number;
  readonly drift: string | null;
}

/**
 * The marked part of an image, in its own pixels.
 *
 * @param scale the detector's
 */
export function markedPart(
  { map, mask, width: mapWidth, height: mapHeight }: Prediction,
  scale: Scale | null,
  { width, height }: { readonly width: number; readonly height: number },
): Pick<Judgement, 'marked_area' | 'regions'> {
  if (!scale || !mask) return { marked_area: null, regions: [] };
  const regions = markedRegions({ map, mask, width: mapWidth, height: mapHeight }, scale.map);
  const [scaleX, scaleY] = [width / mapWidth, height / mapHeight];
  return {
    marked_area: regions.reduce((sum, { pixels }) => sum + pixels, 0) / map.length,
    regions: regions.slice(0, mostRegions).map(({ area, box: [x, y, w, h], peak }) => {
      const [left, top] = [Math.floor(x * scaleX), Math.floor(y * scaleY)];
      return {
        x: left,
        y: top,
        width: Math.min(width, Math.ceil((x + w) * scaleX)) - left,
        height: Math.min(height, Math.ceil((y + h) * scaleY)) - top,
        area,
        peak,
      };
    }),
  };
}

/** The box of a judgement's largest region for a cell of a table; null where nothing is marked. */
export function largestBox({ regions: [largest] }: Pick<Judgement, 'regions'>): string | null {
  return largest ? `${largest.x} ${largest.y} ${largest.width} ${largest.height}` : null;
}

/**
 * The answer for a prediction.
 *
 * @param scale the detector's
 */
export function judgementOf(
  prediction: Prediction,
  scale: Scale | null,
  { model, name, width, height, milliseconds, drift }: Judged,
): Judgement {
  const { score, normalizedScore, anomalous } = prediction;
  return {
    model,
    name,
    time: new Date().toISOString(),
    raw_score: score,
    pred_score: normalizedScore,
    pred_label: anomalous === null ? null : anomalous ? 'anomalous' : 'good',
    width,
    height,
    ...markedPart(prediction, scale, { width, height }),
    milliseconds,
    drift,
  };
}
