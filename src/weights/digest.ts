/**
 * SHA-256 digests inside a safetensors file, so that damage is noticed before anything is used. They tell
 * damage from what was written, not who wrote it.
 *
 * Two entries of the metadata, in hexadecimal digits: `data_sha256` is the digest of everything behind the
 * header; `head_sha256` that of the head, which is the 8-byte length and the header with 64 zeros in the
 * place of `head_sha256`. The head is checked first.
 */
import { InvalidWeightsError } from '../base/errors.ts';
import {
  readSafetensors,
  type SafetensorsFile,
  type TensorToStore,
  writeSafetensors,
} from './safetensors.ts';

/** Names of the digests of the head and of the data in a file's metadata. */
const headKey = 'head_sha256';
const dataKey = 'data_sha256';

const digits = 64;
const zeros = '0'.repeat(digits);
const encoder = new TextEncoder();

async function hash(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function headLength(data: Uint8Array): number {
  return 8 + Number(new DataView(data.buffer, data.byteOffset, data.byteLength).getBigUint64(0, true));
}

/** Where the digits of an entry begin in the head; undefined unless there is exactly one such place. */
function placeOf(key: string, head: Uint8Array): number | undefined {
  // JSON escapes quotes inside of strings, so these bytes can only be a key.
  const mark = encoder.encode(`"${key}":"`);
  const places: number[] = [];
  for (let at = head.indexOf(0x22, 8); at >= 0; at = head.indexOf(0x22, at + 1))
    if (mark.every((byte, i) => head[at + i] === byte)) places.push(at + mark.length);
  const [place] = places;
  return places.length === 1 && place !== undefined && place + digits < head.length ? place : undefined;
}

function headDigest(head: Uint8Array, place: number): Promise<string> {
  // `slice` of a Buffer would be a view of the caller's memory.
  const bare = new Uint8Array(head);
  bare.fill(0x30, place, place + digits);
  return hash(bare);
}

/**
 * Writes a safetensors file with its digest; the same input gives the same bytes.
 *
 * @param metadata digests of an earlier file are replaced
 */
export async function writeWithDigest(
  tensors: ReadonlyMap<string, TensorToStore>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const data = writeSafetensors(tensors, { ...metadata, [headKey]: zeros, [dataKey]: zeros });
  const head = data.subarray(0, headLength(data));
  const places = [placeOf(headKey, head), placeOf(dataKey, head)];
  const [headPlace, dataPlace] = places;
  if (headPlace === undefined || dataPlace === undefined)
    throw new InvalidWeightsError(`no tensor or metadata entry may be called '${headKey}' or '${dataKey}'`);
  head.set(encoder.encode(await hash(data.subarray(head.length))), dataPlace);
  head.set(encoder.encode(await headDigest(head, headPlace)), headPlace);
  return data;
}

/**
 * Compares a file with its digest.
 *
 * @param metadata that of the file
 * @param what name of the file, for error messages
 * @returns whether there is a digest; files of other programs have none
 * @throws Error on a file that differs from what was written
 */
export async function verifyDigest(
  data: Uint8Array,
  metadata: Readonly<Record<string, string>>,
  what: string,
): Promise<boolean> {
  const head = data.subarray(0, headLength(data));
  const place = placeOf(headKey, head);
  const entry = (key: string) => (Object.hasOwn(metadata, key) ? metadata[key] : undefined);
  const written = { head: entry(headKey), data: entry(dataKey) };
  if (place === undefined && written.head === undefined && written.data === undefined) return false;
  const intact =
    place !== undefined &&
    (await headDigest(head, place)) === written.head &&
    (await hash(data.subarray(head.length))) === written.data;
  if (!intact)
    throw new InvalidWeightsError(
      `${what}: the file is damaged or was changed by another program: its content does not fit its ` +
        'SHA-256 digest. Take an intact copy, or make it anew',
    );
  return true;
}

/**
 * Reads a file of {@link writeWithDigest}.
 *
 * @param what name of the file, for error messages
 * @throws Error on a malformed file, one that differs from what was written, or one without a digest
 */
export async function readWithDigest(data: Uint8Array, what: string): Promise<SafetensorsFile> {
  const file = readSafetensors(data, what);
  if (!(await verifyDigest(data, file.metadata, what)))
    throw new InvalidWeightsError(
      `${what}: the file has no SHA-256 digest: it is damaged, was changed by another program, or comes ` +
        'from an earlier version. Take an intact copy, or make it anew',
    );
  return file;
}
