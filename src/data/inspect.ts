/** A look at every file of a data set before work is put into it: sizes, channels, what cannot be read, what is there twice. */
import { decodeImage, inspectImage, readBytes } from '#platform';
import { type Dataset, mapConcurrently, type Sample } from './dataset.ts';

export interface ImageFacts {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  /** Bits per channel. */
  readonly depth: number;
  readonly format: string;
}

export interface DatasetFacts {
  readonly counts: Readonly<Record<string, number>>;
  /** How many images have which size, channels and format, the most frequent first. */
  readonly kinds: readonly { readonly kind: string; readonly count: number }[];
  readonly warnings: readonly string[];
  /** Samples that can be read. */
  readonly readable: ReadonlySet<string>;
}

async function digest(bytes: Uint8Array): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
  return [...hash.subarray(0, 16)].map((value) => value.toString(16).padStart(2, '0')).join('');
}

async function inspectMask(sample: Sample, facts: ImageFacts): Promise<string[]> {
  const { maskPath } = sample;
  if (!maskPath) return [];
  try {
    const mask = await decodeImage(await readBytes(maskPath), maskPath, 1);
    const warnings: string[] = [];
    if (mask.width * facts.height !== mask.height * facts.width)
      warnings.push(
        `${maskPath}: ${mask.width}x${mask.height}, its image is ${facts.width}x${facts.height}: they do not lie on each other`,
      );
    const limit = sample.maskOfClasses ? 0 : 127;
    if (!mask.data.some((value) => value > limit)) warnings.push(`${maskPath}: the mask is empty`);
    return warnings;
  } catch (error) {
    return [(error as Error).message];
  }
}

/**
 * Reads every image and mask of a data set.
 *
 * @param onProgress told after each image
 */
export async function inspectDataset(
  dataset: Dataset,
  onProgress?: (done: number, total: number) => void,
): Promise<DatasetFacts> {
  const warnings = [...dataset.warnings];
  const kinds = new Map<string, number>();
  const byDigest = new Map<string, string>();
  const readable = new Set<string>();
  const found = await mapConcurrently(
    [...dataset.train, ...dataset.test],
    async (sample) => {
      try {
        const bytes = await readBytes(sample.path);
        const facts = await inspectImage(bytes, sample.path);
        return { sample, facts, digest: await digest(bytes), mask: await inspectMask(sample, facts) };
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
    const kind = `${facts.width}x${facts.height}, ${facts.channels} channel${facts.channels > 1 ? 's' : ''}, ${facts.depth} bit, ${facts.format}`;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    const twin = byDigest.get(entry.digest);
    if (twin) warnings.push(`${sample.path}: the same picture as ${twin}`);
    else byDigest.set(entry.digest, sample.path);
    warnings.push(...entry.mask);
  }
  const counts: Record<string, number> = { 'train good': dataset.train.length };
  for (const { defect } of dataset.test) counts[`test ${defect}`] = (counts[`test ${defect}`] ?? 0) + 1;
  const masks = dataset.test.filter(({ maskPath }) => maskPath).length;
  return {
    counts: { ...counts, masks },
    kinds: [...kinds].map(([kind, count]) => ({ kind, count })).sort((a, b) => b.count - a.count),
    warnings,
    readable,
  };
}
