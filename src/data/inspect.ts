/**
 * A look at every file of a data set before work begins: sizes, channels, files that cannot be read, pictures
 * that are there twice.
 */
import { inspectImage, readBytes } from '#platform';
import { mapConcurrently } from '../base/concurrently.ts';
import type { Dataset, MaskSummary } from './dataset.ts';
import { hiddenBelow } from './files.ts';
import { surveyMasks } from './masks.ts';

export interface DatasetFacts {
  readonly counts: Readonly<Record<string, number>>;
  /** How many images have which size, channels, format and (of 16 bits) values, the most frequent first. */
  readonly kinds: readonly { readonly kind: string; readonly count: number }[];
  /** How the masks are read; null without masks. */
  readonly masks: MaskSummary | null;
  /** Files and folders that are hidden or of a system, and therefore left out. */
  readonly ignored: readonly string[];
  readonly warnings: readonly string[];
  /** The data set, with the encoding that its masks show. */
  readonly dataset: Dataset;
  /** Samples that can be read. */
  readonly readable: ReadonlySet<string>;
}

async function digest(bytes: Uint8Array): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
  return [...hash.subarray(0, 16)].map((value) => value.toString(16).padStart(2, '0')).join('');
}

/**
 * Reads every image and mask of a data set.
 *
 * @param onProgress told after each image
 */
export async function inspectDataset(
  listed: Dataset,
  onProgress?: (done: number, total: number) => void,
): Promise<DatasetFacts> {
  const dataset = await surveyMasks(listed);
  const warnings = [...dataset.warnings];
  const kinds = new Map<string, { count: number; low: number; high: number }>();
  const byDigest = new Map<string, string>();
  const readable = new Set<string>();
  const { train, validation = [], test, unlabelled = [] } = dataset;
  const samples = [...train, ...validation, ...test];
  const found = await mapConcurrently(
    samples,
    async (sample) => {
      try {
        const bytes = await readBytes(sample.path);
        const facts = await inspectImage(bytes, sample.path);
        return { sample, facts, digest: await digest(bytes) };
      } catch (error) {
        return error as Error;
      }
    },
    onProgress,
  );
  for (const entry of found) {
    if (entry instanceof Error) {
      warnings.push(entry.message);
      continue;
    }
    const { sample, facts } = entry;
    readable.add(sample.path);
    const kind =
      `${facts.width}x${facts.height}, ${facts.channels} channel${facts.channels > 1 ? 's' : ''}, ` +
      `${facts.depth} bit, ${facts.format}`;
    const { count, low, high } = kinds.get(kind) ?? { count: 0, low: Number.POSITIVE_INFINITY, high: 0 };
    const [least, most] = facts.range ?? [low, high];
    kinds.set(kind, { count: count + 1, low: Math.min(low, least), high: Math.max(high, most) });
    const twin = byDigest.get(entry.digest);
    if (twin) warnings.push(`${sample.path}: the same picture as ${twin}`);
    else byDigest.set(entry.digest, sample.path);
  }
  const counts: Record<string, number> = { 'train good': train.length };
  const count = (name: string) => {
    counts[name] = (counts[name] ?? 0) + 1;
  };
  for (const _ of validation) count('validation good');
  for (const { defect } of test) count(`test ${defect}`);
  for (const { condition } of samples) if (condition !== undefined) count(`of all, ${condition}`);
  for (const { folder, count } of unlabelled) counts[`${folder.replace(/^.*\//, '')}, no labels`] = count;
  return {
    counts: { ...counts, masks: dataset.masks?.count ?? 0 },
    kinds: [...kinds]
      .map(([kind, { count, low, high }]) => ({
        kind: low <= high ? `${kind}, values ${low} to ${high}` : kind,
        count,
      }))
      .sort((a, b) => b.count - a.count),
    masks: dataset.masks ?? null,
    ignored: await hiddenBelow(dataset.folder),
    warnings,
    dataset,
    readable,
  };
}
