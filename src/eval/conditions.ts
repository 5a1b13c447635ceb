/**
 * A test set by its conditions (the lighting, or the camera's view, that the file's name says), and by the
 * parts that several images show.
 */
import type { Sample } from '../data/dataset.ts';
import { rankMetrics } from './metrics.ts';

/** The images of one condition against each other, or parts against each other. */
export interface GroupMetrics {
  readonly good: number;
  readonly anomalous: number;
  /** Null without images of both kinds. */
  readonly image_AUROC: number | null;
}

type Judged = Pick<Sample, 'condition' | 'part'> & { readonly anomalous: boolean; readonly score: number };

/** Images whose names say no condition. */
export const noCondition = 'not named';

/** The images of each condition, in the order of their names; none where there is one condition alone. */
export function byCondition<T extends Judged>(images: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const image of images) {
    const name = image.condition ?? noCondition;
    const group = groups.get(name);
    if (group) group.push(image);
    else groups.set(name, [image]);
  }
  const known = [...groups].sort(([a], [b]) => a.localeCompare(b));
  return new Map(known.length > 1 ? known : []);
}

/** Undefined where the images have one condition alone. */
export function conditionMetrics(
  images: readonly Judged[],
): { readonly [condition: string]: GroupMetrics } | undefined {
  const groups = byCondition(images);
  if (!groups.size) return undefined;
  return Object.fromEntries([...groups].map(([name, group]) => [name, metricsOf(group)]));
}

function metricsOf(judged: readonly Pick<Judged, 'anomalous' | 'score'>[]): GroupMetrics {
  const labels = judged.map(({ anomalous }) => (anomalous ? 1 : 0));
  const image = rankMetrics(
    Float32Array.from(judged, ({ score }) => score),
    labels,
  );
  const anomalous = labels.filter((label) => label).length;
  return { good: labels.length - anomalous, anomalous, image_AUROC: image?.auroc ?? null };
}

/**
 * Parts against each other: a part has the largest score of its images, and is anomalous where one of them
 * is, as Real-IAD counts its samples (Wang et al., 2024, https://arxiv.org/abs/2403.12580).
 *
 * @returns undefined where every image shows a part of its own, or one says none
 */
export function partMetrics(images: readonly Judged[]): GroupMetrics | undefined {
  const parts = new Map<string, { anomalous: boolean; score: number }>();
  for (const { part, anomalous, score } of images) {
    if (part === undefined) return undefined;
    const known = parts.get(part);
    parts.set(part, {
      anomalous: anomalous || known?.anomalous === true,
      score: Math.max(score, known?.score ?? score),
    });
  }
  return parts.size < images.length ? metricsOf([...parts.values()]) : undefined;
}
