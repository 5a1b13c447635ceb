/**
 * The most suspicious images of a training, which are left out before it. Its folder keeps the ranking, so
 * that a resumed training leaves out the same ones.
 */
import { join } from 'node:path';
import { readBytes } from '#platform';
import { InvalidDatasetError } from '../base/errors.ts';
import type { Dataset, Sample } from '../data/dataset.ts';
import { nameInList, without } from '../data/leave_out.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import { backboneNamed } from '../model/backbones.ts';
import type { OutputFolder } from '../output/folder.ts';
import type { Reporter } from '../session/ports.ts';
import { clearOutliers, rankImages, suspectCount } from '../session/suspects.ts';
import { chosenGood, setApart, type TrainingPlan } from '../session/training_plan.ts';
import { asRun, differences, type Run } from '../train/run.ts';
import { rankingForm, suspectSize } from '../train/suspects.ts';
import { suspectsFile } from './run_folder.ts';
import { fileDigest, filesDigest, regionInput } from './run_request.ts';
import { note } from './style.ts';
import type { TrainPlan } from './training_options.ts';

interface RankedName {
  readonly file: string;
  readonly score: number;
}

/** What was left out, as metrics.json has it. */
export interface LeftOut {
  readonly dataset: Dataset;
  /** Names of the suspects, the most suspicious first. */
  readonly suspects: readonly string[];
}

/** What a ranking depends on. */
async function rankingRequest(plan: TrainingPlan, candidates: readonly Sample[]): Promise<Run> {
  return {
    settings: {
      backbone: plan.backbone,
      'image size of the comparison': suspectSize,
      'form of the ranking': rankingForm,
    },
    inputs: {
      'the photographs': await filesDigest(candidates.map(({ path }) => path)),
      'the teacher': { digest: await fileDigest(plan.teacherPath) },
      ...(await regionInput(plan)),
    },
  };
}

/** The ranking that a folder keeps; undefined where there is none of these photographs. */
async function keptRanking(output: OutputFolder, request: Run): Promise<RankedName[] | undefined> {
  if (!(await output.has(suspectsFile))) return undefined;
  try {
    const text = new TextDecoder().decode(await readBytes(join(output.path, suspectsFile)));
    const { run, ranking } = JSON.parse(text) as { run: unknown; ranking: RankedName[] };
    return differences(asRun(run), request, 'the ranking').length ? undefined : ranking;
  } catch {
    return undefined;
  }
}

/** Rankings of this process: runs of a benchmark have the same photographs. */
const known = new Map<string, readonly RankedName[]>();

/** Names that a log shows one by one. */
const shownNames = 40;

function say(left: readonly RankedName[], rest: readonly RankedName[], total: number): void {
  console.error(`suspects: ${left.length} of ${total} good images are left out (--drop-suspects):`);
  for (const { file, score } of left.slice(0, shownNames)) console.error(`  ${file}  ${score.toFixed(3)}`);
  if (left.length > shownNames)
    console.error(`  and ${left.length - shownNames} more; ${suspectsFile} names them all`);
  const more = clearOutliers([...left, ...rest].map(({ score }) => score)) - left.length;
  if (more > 0)
    note(
      `${more} more of the good images stand out clearly, the first is ${rest[0]?.file}; ` +
        'aand data --suspects shows them',
    );
}

/**
 * Ranks the good images of a plan that asks for it, those for the threshold too, and leaves out the most
 * suspicious share. The ranking goes into the run's folder.
 *
 * @throws Error where no image would be left, and as {@link rankImages}
 */
export async function leaveOutSuspects(
  engine: Engine,
  plan: TrainPlan,
  listed: Dataset,
  output: OutputFolder,
  { reporter, signal }: { readonly reporter: Reporter; readonly signal: AbortSignal },
): Promise<LeftOut> {
  const share = plan.dropSuspects;
  if (!share) {
    if (!plan.resume) await output.remove(suspectsFile);
    return { dataset: listed, suspects: [] };
  }
  const candidates = [...chosenGood(plan, listed), ...setApart(plan, listed)];
  const count = suspectCount(share, candidates.length);
  const request = await rankingRequest(plan, candidates);
  const key = JSON.stringify([request, candidates.map(({ path }) => path)]);
  const ranking =
    (plan.resume && (await keptRanking(output, request))) ||
    known.get(key) ||
    (
      await rankImages(engine, candidates, {
        backbone: backboneNamed(plan.backbone),
        teacher: plan.teacher,
        teacherName: plan.teacherPath,
        strict: plan.unreadable.strict,
        region: plan.region,
        reporter,
        signal,
      })
    ).map(({ sample, score }) => ({ file: nameInList(sample, listed), score }));
  known.set(key, ranking);
  const left = ranking.slice(0, count);
  const names = new Set(left.map(({ file }) => file));
  const dataset = without(
    listed,
    new Set(candidates.filter((sample) => names.has(nameInList(sample, listed)))),
  );
  if (!dataset.train.length)
    throw new InvalidDatasetError(`--drop-suspects ${share} leaves out all of the images to learn from`);
  await output.write(
    suspectsFile,
    `${JSON.stringify({ share, left_out: [...names], ranking, run: request }, null, 2)}\n`,
  );
  say(left, ranking.slice(count), candidates.length);
  return { dataset, suspects: [...names] };
}
