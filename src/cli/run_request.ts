/**
 * What a training was asked for: settings and digests of every file that its result depends on. It lies in
 * metrics.json, so that a finished run is only taken for one that is asked for where nothing differs.
 */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { readBytes } from '#platform';
import { mapConcurrently } from '../base/concurrently.ts';
import { type Dataset, masksOf, type Sample } from '../data/dataset.ts';
import { imagesIn } from '../data/files.ts';
import { describeForeground } from '../data/foreground.ts';
import { usesAnomalies } from '../model/method.ts';
import { methodNamed } from '../model/methods.ts';
import { chosenGood, foregroundOf, type TrainingPlan } from '../session/training_plan.ts';
import { defaultCoreset } from '../train/memory_bank.ts';
import { type InputDigest, listDigest, type Run, sha256 } from '../train/run.ts';

const known = new Map<string, string>();

/**
 * SHA-256 of a file; read again only where its size or time changed. One that cannot be read has a digest
 * too.
 */
export async function fileDigest(path: string): Promise<string> {
  try {
    const { size, mtimeMs } = await stat(path);
    const key = `${size} ${mtimeMs} ${path}`;
    const digest =
      known.get(key) ??
      createHash('sha256')
        .update(await readBytes(path))
        .digest('hex');
    known.set(key, digest);
    return digest;
  } catch {
    return sha256('unreadable');
  }
}

/** The digests of some files, in order. */
export async function filesDigest(paths: readonly string[]): Promise<InputDigest> {
  return listDigest(await mapConcurrently(paths, fileDigest));
}

/** Test photographs with what they are called, so that a moved one is another one. */
async function testDigest(samples: readonly Sample[]): Promise<InputDigest> {
  return listDigest(
    await mapConcurrently(samples, async ({ path, defect }) => sha256(defect, '\n', await fileDigest(path))),
  );
}

/** The masks of a test photograph; a good one's, and where there is none an empty name. */
function maskFiles(sample: Sample): string[] {
  const masks = masksOf(sample);
  return masks.length ? masks : [sample.goodMaskPath ?? ''];
}

/** The region of interest of a plan, where it has one. */
export async function regionInput({ region }: Pick<TrainingPlan, 'region'>): Promise<Run['inputs']> {
  return region ? { 'the region of interest': { digest: await sha256(JSON.stringify(region)) } } : {};
}

/** Test photographs and their masks, for what depends on the test set alone. */
export async function testInputs(test: readonly Sample[]): Promise<Run['inputs']> {
  return {
    'the test photographs': await testDigest(test),
    'the masks of the test photographs': await filesDigest(test.flatMap(maskFiles)),
  };
}

/** What a plan asks for on a data set. */
export async function runRequest(plan: TrainingPlan, dataset: Dataset): Promise<Run> {
  const rule = foregroundOf(plan, dataset);
  return {
    settings: {
      backbone: plan.backbone,
      mode: plan.mode,
      'image size': plan.imageSize,
      batch: plan.batch,
      epochs: plan.epochs,
      seed: plan.seed,
      limit: plan.limit ?? null,
      // The masks of a folder have their own digest, wherever they lie.
      foreground: rule.kind === 'folder' ? 'folder' : describeForeground(rule),
      tiles: plan.tiling ?? null,
      threshold: plan.threshold ?? null,
      'share held out': plan.holdOut ?? null,
      ...(plan.folds > 0 && { 'parts left out in turn': plan.folds }),
      labels: plan.labels,
      'choice of the epoch': plan.select,
      augmentations: plan.augment ?? null,
      'changes in every epoch': plan.robust ?? null,
      'epochs between points of the curve': plan.curve ?? null,
      'share of suspects left out': plan.dropSuspects ?? null,
      ...(methodNamed(plan.mode).learns === 'memory' && {
        coreset: plan.coreset ?? defaultCoreset,
      }),
    },
    inputs: {
      'the photographs': await filesDigest(chosenGood(plan, dataset).map(({ path }) => path)),
      ...(await testInputs(dataset.test)),
      ...(await regionInput(plan)),
      'the teacher': { digest: await fileDigest(plan.teacherPath) },
      ...(usesAnomalies(methodNamed(plan.mode)) && {
        'the textures': { digest: await sha256(plan.textures.digest) },
      }),
      ...(rule.kind === 'folder' && {
        'the foreground masks': await filesDigest(
          (await imagesIn(rule.path)).map((name) => `${rule.path}/${name}`),
        ),
      }),
    },
  };
}

/** Names of the items of a request's lists, for messages. */
export function requestNames(plan: TrainingPlan, dataset: Dataset): Record<string, string[]> {
  return {
    'the photographs': chosenGood(plan, dataset).map(({ path }) => path),
    'the test photographs': dataset.test.map(({ path }) => path),
    'the masks of the test photographs': dataset.test.flatMap((sample) =>
      maskFiles(sample).map((path) => path || `none for ${sample.path}`),
    ),
  };
}
