/**
 * Jobs of the queue, checked before a worker believes them: whoever can write to the broker can write
 * anything. A schema checks a job, its paths must lie in the worker's root, and the error that a job gets
 * back says nothing of the worker's files.
 */
import { realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import * as v from 'valibot';
import { augmentations } from '../data/augment.ts';
import { formats } from '../data/dataset.ts';
import { parseForeground } from '../data/foreground.ts';
import { modes } from '../model/methods.ts';
import { checkImageSize } from '../model/teacher.ts';
import { type BenchmarkTask, metricsOf, unreadableCount } from './benchmark_tasks.ts';
import { backboneNames } from './options.ts';
import { plainText } from './queue_broker.ts';

/** A job that the worker does not begin; its message may be told to anybody. */
export class RefusedJob extends Error {}

const text = (most: number) =>
  v.pipe(v.string(), v.minLength(1), v.maxLength(most), v.regex(/^\P{Cc}*$/u, 'control characters'));
const path = text(4096);
const whole = (least: number, most: number) =>
  v.pipe(v.number(), v.safeInteger(), v.minValue(least), v.maxValue(most));
const most = Number.MAX_SAFE_INTEGER;
const share = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
/** A check that throws, as the schema's. */
function holds<T>(check: (value: T) => unknown, message: string) {
  return v.check<T, string>((value) => {
    try {
      check(value);
      return true;
    } catch {
      return false;
    }
  }, message);
}

/** The options of a run; `aand benchmark` has an option for each, and no others that travel. */
export const jobOptions = v.strictObject({
  backbone: v.picklist(backboneNames),
  weights: v.exactOptional(path),
  textures: v.exactOptional(path),
  imageSize: v.pipe(v.number(), holds(checkImageSize, 'no image size')),
  batch: whole(1, 4096),
  epochs: v.exactOptional(v.tuple([whole(1, 100_000), whole(1, 100_000)])),
  limit: v.exactOptional(whole(1, most)),
  foreground: v.exactOptional(v.pipe(path, holds(parseForeground, 'no rule'))),
  tile: v.exactOptional(whole(32, 65_536)),
  tileOverlap: v.exactOptional(whole(0, 32_768)),
  threshold: v.exactOptional(text(200)),
  coreset: v.exactOptional(share),
  holdOut: v.exactOptional(share),
  labels: v.exactOptional(v.picklist(['folder', 'mask'])),
  select: v.exactOptional(v.picklist(['last', 'test-oracle'])),
  augment: v.exactOptional(
    v.pipe(v.array(v.picklist(augmentations)), v.minLength(1), v.maxLength(augmentations.length)),
  ),
  robust: v.exactOptional(v.boolean()),
  curve: v.exactOptional(whole(1, 100_000)),
  dropSuspects: v.exactOptional(share),
  strict: v.exactOptional(v.boolean()),
  format: v.exactOptional(v.picklist([...formats, 'auto'])),
  normalDir: v.exactOptional(path),
  abnormalDir: v.exactOptional(v.pipe(v.array(path), v.maxLength(100))),
  normalTestDir: v.exactOptional(path),
  maskDir: v.exactOptional(path),
  extensions: v.exactOptional(v.pipe(v.array(text(20)), v.maxLength(100))),
  testSplitRatio: v.exactOptional(share),
  splitSeed: v.exactOptional(whole(0, most)),
});

const job = v.strictObject({
  dataset: path,
  category: v.pipe(text(255), v.regex(/^(?!\.\.?$)[^/\\]*$/, 'no name of a category')),
  mode: v.picklist(modes),
  seed: whole(0, most),
  out: path,
  options: jobOptions,
});

/** @throws RefusedJob naming the field */
export function parseJob(data: unknown): BenchmarkTask {
  const result = v.safeParse(job, data, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const field = issue.path?.map(({ key }) => String(key)).join('.') ?? '';
  throw new RefusedJob(`the job's ${plainText(field, 60) || 'data'}: ${plainText(issue.message, 160)}`);
}

/** The real path of what may not exist yet: of the nearest folder above that does. */
async function realOf(full: string): Promise<string> {
  try {
    return await realpath(full);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || full === dirname(full)) throw error;
    return join(await realOf(dirname(full)), basename(full));
  }
}

/**
 * The task with absolute, real paths, all of them inside of a folder. Relative ones begin there.
 *
 * @param root a real path
 * @throws RefusedJob naming the field, whatever lies at its path
 */
export async function confine(task: BenchmarkTask, root: string): Promise<BenchmarkTask> {
  const inside = async (given: string, field: string, from = root): Promise<string> => {
    const real = await realOf(resolve(from, given)).catch(() => undefined);
    if (real === root || real?.startsWith(root.endsWith(sep) ? root : root + sep)) return real;
    throw new RefusedJob(`the job's ${field} lies outside of the worker's --root`);
  };
  const { options } = task;
  const dataset = await inside(task.dataset, 'dataset');
  const category = await inside(task.category, 'category', dataset);
  // Folders of the folder layout begin in the category.
  const folders = async (names: readonly string[], field: string) => {
    const found: string[] = [];
    for (const name of names) found.push(await inside(name, field, category));
    return found;
  };
  const optional = async (key: 'weights' | 'textures') => {
    const given = options[key];
    return given === undefined ? {} : { [key]: await inside(given, `options.${key}`) };
  };
  for (const key of ['normalDir', 'normalTestDir', 'maskDir'] as const)
    if (options[key] !== undefined) await folders([options[key]], `options.${key}`);
  if (options.abnormalDir) await folders(options.abnormalDir, 'options.abnormalDir');
  const rule = options.foreground === undefined ? undefined : parseForeground(options.foreground);
  return {
    ...task,
    dataset,
    out: await inside(task.out, 'out'),
    options: {
      ...options,
      ...(await optional('weights')),
      ...(await optional('textures')),
      ...(rule?.kind === 'folder' && {
        foreground: `folder:${await inside(rule.path, 'options.foreground')}`,
      }),
    },
  };
}

const report = v.objectWithRest(
  {
    intervals: v.record(v.string(), v.nullable(v.tuple([v.number(), v.number()]))),
    seconds: v.object({ train: v.number() }),
    adapter: v.pipe(
      v.string(),
      v.maxLength(500),
      v.transform((name) => plainText(name)),
    ),
  },
  v.nullable(v.number()),
);

/** What travels back of a run's report: the row of the table, no paths. */
export function rowOf(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { intervals, seconds, adapter } = values as {
    intervals: unknown;
    seconds: { train: unknown };
    adapter: unknown;
  };
  // How many files were left out, without their names.
  const unreadable = unreadableCount(values);
  return {
    ...metricsOf(values),
    intervals,
    seconds: { train: seconds.train },
    adapter,
    ...(unreadable > 0 && { unreadable }),
  };
}

/** @throws Error where what came back is no row */
export function parseRow(value: unknown): Record<string, unknown> {
  const result = v.safeParse(report, value);
  if (!result.success) throw new Error('the queue gave back something else than the results of a run');
  return result.output;
}
