/**
 * A SHA-256 digest inside a safetensors file, so that damage is noticed before anything is used: metadata entry `sha256`, over
 * everything else in the file. It tells damage from what was written, not who wrote it.
 *
 * The digest is SHA-256(head || SHA-256(data)), in hexadecimal digits: head is the 8-byte length and the header with 64 zeros in
 * the digest's place, data is what follows it.
 */
import { readSafetensors, type SafetensorsFile, type TensorToStore, writeSafetensors } from './safetensors.ts';

/** Name of the digest in a file's metadata. */
export const digestKey = 'sha256';

const digits = 64;
const encoder = new TextEncoder();
// Quotes inside of JSON strings are escaped, so these bytes can only be a key.
const mark = encoder.encode(`"${digestKey}":"`);

function hash(bytes: Uint8Array): Promise<ArrayBuffer> {
  return crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>);
}

function headLength(data: Uint8Array): number {
  return 8 + Number(new DataView(data.buffer, data.byteOffset, data.byteLength).getBigUint64(0, true));
}

/** Where the digits begin in the header; undefined unless there is exactly one such place. */
function placeOfDigits(head: Uint8Array): number | undefined {
  const places: number[] = [];
  for (let at = head.indexOf(0x22, 8); at >= 0; at = head.indexOf(0x22, at + 1))
    if (mark.every((byte, i) => head[at + i] === byte)) places.push(at + mark.length);
  const [place] = places;
  return places.length === 1 && place !== undefined && place + digits < head.length ? place : undefined;
}

async function digestOf(data: Uint8Array, place: number): Promise<string> {
  const length = headLength(data);
  const joined = new Uint8Array(length + 32);
  joined.set(data.subarray(0, length));
  joined.fill(0x30, place, place + digits);
  joined.set(new Uint8Array(await hash(data.subarray(length))), length);
  return Array.from(new Uint8Array(await hash(joined)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * Writes a safetensors file with its digest; the same input gives the same bytes.
 *
 * @param metadata an entry `sha256` of an earlier file is replaced
 */
export async function writeWithDigest(
  tensors: ReadonlyMap<string, TensorToStore>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const data = writeSafetensors(tensors, { ...metadata, [digestKey]: '0'.repeat(digits) });
  const place = placeOfDigits(data.subarray(0, headLength(data)));
  if (place === undefined) throw new Error(`no tensor or metadata entry may be called '${digestKey}'`);
  data.set(encoder.encode(await digestOf(data, place)), place);
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
  const written = Object.hasOwn(metadata, digestKey) ? metadata[digestKey] : undefined;
  const place = placeOfDigits(data.subarray(0, headLength(data)));
  if (written === undefined && place === undefined) return false;
  if (written === undefined || place === undefined || (await digestOf(data, place)) !== written)
    throw new Error(
      `${what}: the file is damaged or was changed by another program: its content does not fit its SHA-256 digest. ` +
        'Take an intact copy, or make it anew',
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
    throw new Error(
      `${what}: the file has no SHA-256 digest: it is damaged, was changed by another program, or comes from an ` +
        'earlier version. Take an intact copy, or make it anew',
    );
  return file;
}
