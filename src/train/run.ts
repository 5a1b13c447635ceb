/** What makes a training this one and no other: its settings, and digests of all that it learns from. */
import * as v from 'valibot';
import type { Image } from '../image/image.ts';
import type { StoredTensor } from '../weights/safetensors.ts';

/**
 * The digest of an input; of a list also the first digits of every item's, so that it can be said which one
 * changed.
 */
export interface InputDigest {
  /** SHA-256 in hexadecimal digits. */
  readonly digest: string;
  /** Eight hexadecimal digits per item, in order. */
  readonly each?: string | undefined;
}

/** What tells a training from others: its settings, and digests of what it learns from. */
export interface Run {
  /** By their names in words, such as 'learning rate'. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** By what they are, such as 'the teacher'. */
  readonly inputs: Readonly<Record<string, InputDigest>>;
}

const digits = 8;

const schema = v.strictObject({
  settings: v.record(v.string(), v.unknown()),
  inputs: v.record(
    v.string(),
    v.strictObject({
      digest: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
      each: v.optional(v.pipe(v.string(), v.regex(/^([0-9a-f]{8})*$/))),
    }),
  ),
});

/**
 * Takes a run from a value that was read.
 *
 * @throws Error on anything else
 */
export function asRun(value: unknown): Run {
  return v.parse(schema, value);
}

const encoder = new TextEncoder();

/** SHA-256 of texts and bytes one after the other, in hexadecimal digits. */
export async function sha256(...parts: readonly (string | Uint8Array)[]): Promise<string> {
  const pieces = parts.map((part) => (typeof part === 'string' ? encoder.encode(part) : part));
  const joined = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', joined));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The digest of a list from those of its items, in order. */
export async function listDigest(items: readonly string[]): Promise<InputDigest> {
  return {
    digest: await sha256(items.join('\n')),
    each: items.map((item) => item.slice(0, digits)).join(''),
  };
}

/** The digest of images as they are: sizes and pixels, in order. */
export async function imagesDigest(images: Iterable<Image> | AsyncIterable<Image>): Promise<InputDigest> {
  const items: string[] = [];
  for await (const { width, height, channels, data } of images)
    items.push(await sha256(`${width} ${height} ${channels}\n`, data));
  return listDigest(items);
}

/** The digest of 0/1 masks, in order. */
export async function masksDigest(masks: readonly Uint8Array[]): Promise<InputDigest> {
  const items: string[] = [];
  for (const mask of masks) items.push(await sha256(mask));
  return listDigest(items);
}

/**
 * The digest of tensors by name, whatever file they lie in and in which order.
 *
 * @param names those that count; ones that are missing are left out
 */
export async function tensorsDigest(
  tensors: ReadonlyMap<string, Pick<StoredTensor, 'shape' | 'values'>>,
  names: readonly string[],
): Promise<InputDigest> {
  const items: string[] = [];
  for (const name of [...names].sort()) {
    const tensor = tensors.get(name);
    if (!tensor) continue;
    const { buffer, byteOffset, byteLength } = tensor.values;
    items.push(await sha256(`${name} ${tensor.shape}\n`, new Uint8Array(buffer, byteOffset, byteLength)));
  }
  return { digest: await sha256(items.join('\n')) };
}

function itemsOf(each: string): string[] {
  return each.match(/.{8}/g) ?? [];
}

/** How a list changed, in words. */
function listDifference(saved: string, now: string, names: readonly string[]): string {
  const [before, after] = [itemsOf(saved), itemsOf(now)];
  if (before.length !== after.length) return `there were ${before.length}, now there are ${after.length}`;
  if (`${[...before].sort()}` === `${[...after].sort()}`) return 'they are the same in another order';
  const changed = after.flatMap((item, i) => (item === before[i] ? [] : [i]));
  const first = changed[0] ?? 0;
  const name = names[first] ?? `number ${first + 1}`;
  return `${changed.length} of ${after.length} changed, the first is ${name}`;
}

/**
 * What differs between two runs, one sentence each; empty where they are the same.
 *
 * @param of what the saved run is, such as 'the checkpoint'
 * @param names of the items of lists, for instance the files of 'the photographs'
 */
export function differences(
  saved: Run,
  now: Run,
  of: string,
  names: Readonly<Record<string, readonly string[]>> = {},
): string[] {
  const found: string[] = [];
  const keys = <T>(a: Readonly<Record<string, T>>, b: Readonly<Record<string, T>>) =>
    new Set([...Object.keys(a), ...Object.keys(b)]);
  for (const key of keys(saved.settings, now.settings)) {
    const [before, after] = [saved.settings[key], now.settings[key]].map((value) =>
      JSON.stringify(value ?? null),
    );
    if (before !== after) found.push(`${key} was ${before} and is now ${after}`);
  }
  for (const key of keys(saved.inputs, now.inputs)) {
    const [before, after] = [saved.inputs[key], now.inputs[key]];
    const [are, those] = key.endsWith('s') ? ['are', 'those'] : ['is', 'that'];
    if (!before) found.push(`${of} knows nothing of ${key}`);
    else if (!after) found.push(`${key} of ${of} ${are} missing`);
    else if (before.digest !== after.digest) {
      const how =
        before.each !== undefined && after.each !== undefined
          ? listDifference(before.each, after.each, names[key] ?? [])
          : '';
      found.push(`${key} ${are} not ${those} of ${of}${how && `: ${how}`}`);
    }
  }
  return found;
}
