/** A test set by its conditions: the lighting, or the camera's view, that the file's name says. */
import type { Sample } from '../data/dataset.ts';
import { rankMetrics } from './metrics.ts';

/** The images of one condition against each other. */
export interface ConditionMetrics {
  readonly good: number;
  readonly anomalous: number;
  /** Null without images of both kinds. */
  readonly image_AUROC: number | null;
}

type Judged = Pick<Sample, 'condition'> & { readonly anomalous: boolean; readonly score: number };

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
): { readonly [condition: string]: ConditionMetrics } | undefined {
  const groups = byCondition(images);
  if (!groups.size) return undefined;
  const measured = [...groups].map(([name, group]): [string, ConditionMetrics] => {
    const labels = group.map(({ anomalous }) => (anomalous ? 1 : 0));
    const image = rankMetrics(
      Float32Array.from(group, ({ score }) => score),
      labels,
    );
    const anomalous = labels.filter((label) => label).length;
    return [name, { good: group.length - anomalous, anomalous, image_AUROC: image?.auroc ?? null }];
  });
  return Object.fromEntries(measured);
}
