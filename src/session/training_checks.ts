/** What can be known before a training begins is checked before it begins, for it may take days. */
import { loadResized } from '#platform';
import { mapConcurrently } from '../base/concurrently.ts';
import type { Dataset } from '../data/dataset.ts';
import { withBands } from '../data/image_files.ts';
import { checkInspects } from '../data/region.ts';
import type { Tiling } from '../data/tiles.ts';
import { reading, type UnreadableFiles } from '../data/unreadable.ts';
import { backboneNamed } from '../model/backbones.ts';
import { groups } from '../model/groups.ts';
import { detectorParameters, methodNamed } from '../model/methods.ts';
import { matchParameters } from '../weights/parameters.ts';
import type { Reporter } from './ports.ts';
import type { TrainingPlan } from './training_plan.ts';

/**
 * Rules that need what the data set does not have, a region of interest that inspects nothing, and a teacher
 * that does not fit the backbone.
 *
 * @throws Error naming the option or the file
 */
export function checkPlan(plan: TrainingPlan, { test }: Dataset): void {
  const good = test.filter(({ defect }) => defect === 'good').length;
  if (plan.region) checkInspects(plan.region, plan.tiling ? undefined : plan.imageSize);
  const counted = `the test set holds ${good} good and ${test.length - good} defective images`;
  if (plan.threshold?.kind === 'f1' && (!good || good === test.length))
    throw new Error(
      `--threshold f1 needs good and defective images to test with: ${counted}; ` +
        'rules for good images alone are max, quantile:Q and false-alarms:RATE',
    );
  if (plan.select === 'test-oracle' && !test.length)
    throw new Error(`--select test-oracle needs a test set: ${counted}`);
  if (plan.curve !== undefined && !test.length) throw new Error(`--curve needs a test set: ${counted}`);
  if (
    methodNamed(plan.mode).learns === 'memory' &&
    (plan.select === 'test-oracle' || plan.curve !== undefined)
  )
    throw new Error(`--select test-oracle and --curve are about epochs: ${plan.mode} has none`);
  const set = detectorParameters(backboneNamed(plan.backbone), plan.mode);
  matchParameters(set, [groups.teacher], plan.teacher, plan.teacherPath, 'teacher.');
}

/**
 * Decodes images once, so that none turns out to be unreadable after the training.
 *
 * @returns those that can be read, in order
 * @throws Error by the rules of `unreadable`
 */
export async function checkReadable<T extends string | { readonly path: string }>(
  samples: readonly T[],
  options: {
    readonly unreadable: UnreadableFiles;
    readonly reporter: Reporter;
    readonly signal?: AbortSignal | undefined;
    readonly tiling?: Tiling | undefined;
    readonly label: string;
  },
): Promise<T[]> {
  const { unreadable, reporter, signal, tiling } = options;
  unreadable.expect(samples.length);
  // The result is thrown away: the smallest is enough.
  const side = 32;
  const progress = reporter.counting(options.label);
  const readable = await mapConcurrently(
    samples,
    (sample) =>
      unreadable.skip(async () => {
        const path = typeof sample === 'string' ? sample : sample.path;
        if (tiling) await withBands(path, (bands) => bands.rows(0, Math.min(bands.height, tiling.size)));
        else await reading(path, () => loadResized(path, side));
        return true;
      }),
    (done, total) => {
      signal?.throwIfAborted();
      progress(done, total);
    },
    8,
  );
  reporter.stop();
  return samples.filter((_, i) => readable[i]);
}
