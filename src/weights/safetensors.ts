/**
 * safetensors, reading and writing: an 8-byte header length, a JSON header, then raw little-endian data. Float32
 * tensors are views of the file's bytes, not copies: every platform with WebGPU is little-endian.
 */

import { floatToHalf, halfToFloat } from '../engine/half.ts';

export type StoredType = 'F32' | 'F16' | 'I32' | 'I64' | 'U8';

export interface StoredTensor {
  readonly shape: readonly number[];
  /**
   * Values as float32 (F16 and integers are converted; I64 must be below 2^53). Float32 of a file lie in its own bytes: do not change them.
   */
  readonly values: Float32Array;
  readonly type: StoredType;
}

export interface SafetensorsFile {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

const bytesPer: Record<StoredType, number> = { F32: 4, F16: 2, I32: 4, I64: 8, U8: 1 };
const maxHeader = 100 * 1024 * 1024;

interface HeaderEntry {
  readonly dtype: StoredType;
  readonly shape: number[];
  readonly data_offsets: [number, number];
}

function checkEntry(name: string, entry: HeaderEntry, dataLength: number, what: string): void {
  const valid =
    entry !== null &&
    typeof entry === 'object' &&
    Array.isArray(entry.shape) &&
    entry.shape.every((size) => Number.isInteger(size) && size >= 0) &&
    Array.isArray(entry.data_offsets) &&
    entry.data_offsets.length === 2 &&
    entry.data_offsets.every((offset) => Number.isInteger(offset) && offset >= 0);
  if (!valid) throw new Error(`${what}: tensor '${name}' has a malformed header entry`);
  if (!(entry.dtype in bytesPer))
    throw new Error(
      `${what}: tensor '${name}' has type ${entry.dtype}; supported are ${Object.keys(bytesPer).join(', ')}`,
    );
  const [start, end] = entry.data_offsets;
  const size = entry.shape.reduce((product, value) => product * value, 1) * bytesPer[entry.dtype];
  if (end - start !== size)
    throw new Error(`${what}: tensor '${name}' [${entry.shape}] needs ${size} bytes, its range has ${end - start}`);
  if (end > dataLength)
    throw new Error(`${what}: tensor '${name}' ends at byte ${end} of ${dataLength}: the file is truncated`);
}

function decode(view: DataView, start: number, end: number, type: StoredType): Float32Array {
  const count = (end - start) / bytesPer[type];
  if (type === 'F32' && (view.byteOffset + start) % 4 === 0)
    return new Float32Array(view.buffer as ArrayBuffer, view.byteOffset + start, count);
  const values = new Float32Array(count);
  for (let i = 0, offset = start; i < values.length; i++, offset += bytesPer[type]) {
    if (type === 'F32') values[i] = view.getFloat32(offset, true);
    else if (type === 'F16') values[i] = halfToFloat(view.getUint16(offset, true));
    else if (type === 'I32') values[i] = view.getInt32(offset, true);
    else if (type === 'U8') values[i] = view.getUint8(offset);
    else values[i] = Number(view.getBigInt64(offset, true));
  }
  return values;
}

/**
 * Reads a safetensors file.
 *
 * @param what name of the file, for error messages
 * @throws Error on a truncated or malformed file, naming the tensor
 */
export function readSafetensors(data: Uint8Array, what = 'safetensors'): SafetensorsFile {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (data.byteLength < 8) throw new Error(`${what}: ${data.byteLength} bytes are too few for a safetensors file`);
  const length = Number(view.getBigUint64(0, true));
  if (length > maxHeader) throw new Error(`${what}: not a safetensors file (its header would be ${length} bytes long)`);
  if (8 + length > data.byteLength)
    throw new Error(`${what}: the header needs ${length} bytes, the file has ${data.byteLength - 8}: it is truncated`);
  let header: Record<string, HeaderEntry> & { __metadata__?: Record<string, string> };
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(data.subarray(8, 8 + length)));
  } catch (error) {
    throw new Error(`${what}: the header is not valid JSON (${(error as Error).message})`);
  }
  if (header === null || typeof header !== 'object') throw new Error(`${what}: the header is not an object`);
  const { __metadata__: metadata = {}, ...entries } = header;
  const body = new DataView(data.buffer, data.byteOffset + 8 + length, data.byteLength - 8 - length);
  const tensors = new Map<string, StoredTensor>();
  for (const [name, entry] of Object.entries(entries)) {
    checkEntry(name, entry, body.byteLength, what);
    const [start, end] = entry.data_offsets;
    tensors.set(name, { shape: entry.shape, type: entry.dtype, values: decode(body, start, end, entry.dtype) });
  }
  return { tensors, metadata };
}

export interface TensorToStore {
  readonly shape: readonly number[];
  readonly values: Float32Array;
  readonly type?: 'F32' | 'F16';
}

/** Tensors that were read, ready to be written: half precision stays, the rest is float32. */
export function storable(tensors: ReadonlyMap<string, StoredTensor>): Map<string, TensorToStore> {
  return new Map(
    [...tensors].map(([name, { shape, values, type }]) => [
      name,
      { shape, values, type: type === 'F16' ? type : 'F32' },
    ]),
  );
}

/** Writes a safetensors file; the same input gives the same bytes. */
export function writeSafetensors(
  tensors: ReadonlyMap<string, TensorToStore>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const [name, { shape, values, type = 'F32' }] of tensors) {
    const count = shape.reduce((product, size) => product * size, 1);
    if (count !== values.length) throw new Error(`tensor '${name}' [${shape}] has ${values.length} values`);
    const size = count * bytesPer[type];
    header[name] = { dtype: type, shape, data_offsets: [offset, offset + size] };
    offset += size;
  }
  let text = JSON.stringify(header);
  const encoded = () => new TextEncoder().encode(text);
  text += ' '.repeat((8 - (encoded().length % 8)) % 8);
  const head = encoded();
  const data = new Uint8Array(8 + head.length + offset);
  const view = new DataView(data.buffer);
  view.setBigUint64(0, BigInt(head.length), true);
  data.set(head, 8);
  let position = 8 + head.length;
  for (const { values, type = 'F32' } of tensors.values()) {
    if (type === 'F32') data.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), position);
    else
      for (let i = 0; i < values.length; i++) view.setUint16(position + 2 * i, floatToHalf(values[i] as number), true);
    position += values.length * bytesPer[type];
  }
  return data;
}
