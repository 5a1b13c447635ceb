/**
 * safetensors, reading and writing: an 8-byte header length, a JSON header, then raw little-endian data.
 * Float32 tensors are views of the file's bytes, not copies: every platform with WebGPU is little-endian.
 */

import { InvalidWeightsError } from '../base/errors.ts';
import { floatToHalf, halfToFloat } from '../base/half.ts';
import { isRecord, parseJson } from './json.ts';

interface ElementType {
  readonly bytes: number;
  read(view: DataView, offset: number): number;
}

const single = new DataView(new ArrayBuffer(4));

/** A bfloat16's value: the upper half of a float32. */
export function bfloat16ToFloat(bits: number): number {
  single.setUint32(0, bits << 16);
  return single.getFloat32(0);
}

function safe(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number))
    throw new InvalidWeightsError(`holds ${value}: whole numbers beyond 2^53 cannot be read`);
  return number;
}

function narrow(value: number): number {
  if (Number.isFinite(value) && !Number.isFinite(Math.fround(value)))
    throw new InvalidWeightsError(`holds ${value}, which is beyond the range of 32-bit floats`);
  return value;
}

const elementTypes = {
  F32: { bytes: 4, read: (view, at) => view.getFloat32(at, true) },
  F16: { bytes: 2, read: (view, at) => halfToFloat(view.getUint16(at, true)) },
  BF16: { bytes: 2, read: (view, at) => bfloat16ToFloat(view.getUint16(at, true)) },
  F64: { bytes: 8, read: (view, at) => narrow(view.getFloat64(at, true)) },
  I64: { bytes: 8, read: (view, at) => safe(view.getBigInt64(at, true)) },
  U64: { bytes: 8, read: (view, at) => safe(view.getBigUint64(at, true)) },
  I32: { bytes: 4, read: (view, at) => view.getInt32(at, true) },
  U32: { bytes: 4, read: (view, at) => view.getUint32(at, true) },
  I16: { bytes: 2, read: (view, at) => view.getInt16(at, true) },
  U16: { bytes: 2, read: (view, at) => view.getUint16(at, true) },
  I8: { bytes: 1, read: (view, at) => view.getInt8(at) },
  U8: { bytes: 1, read: (view, at) => view.getUint8(at) },
  BOOL: { bytes: 1, read: (view, at) => view.getUint8(at) },
} as const satisfies Record<string, ElementType>;

/** The element types of safetensors that can be read. */
export type StoredType = keyof typeof elementTypes;

/** A tensor of a file: its shape, the type it is stored as, and its values as 32-bit floats. */
export interface StoredTensor {
  readonly shape: readonly number[];
  /**
   * Values as float32: other types are converted, whole numbers must be below 2^53 and 64-bit floats in the
   * range of float32. Float32 of a file lie in its own bytes: do not change them.
   */
  readonly values: Float32Array;
  readonly type: StoredType;
}

/** Tensors and metadata of a safetensors file. */
export interface SafetensorsFile {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

// A hundred times the header of the largest model; the format's own limit is 100 MB.
const maxHeader = 64 * 1024 * 1024;
const mostSizes = 16;
const damaged = 'the file is damaged, or no safetensors file';

interface HeaderEntry {
  readonly dtype: StoredType;
  readonly shape: number[];
  readonly data_offsets: [number, number];
}

const isCount = (value: unknown) =>
  Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0);
const isCounts = (value: unknown): value is number[] => Array.isArray(value) && value.every(isCount);

/** A name of a file in a message. */
const quoted = (name: string) => `'${name.length > 200 ? `${name.slice(0, 200)}...` : name}'`;

function checkEntry(name: string, entry: unknown, dataLength: number): HeaderEntry {
  const { dtype, shape, data_offsets: range } = isRecord(entry) ? entry : {};
  if (typeof dtype !== 'string' || !isCounts(shape) || !isCounts(range) || range.length !== 2)
    throw new InvalidWeightsError(`tensor ${quoted(name)} has a malformed header entry: ${damaged}`);
  if (!Object.hasOwn(elementTypes, dtype))
    throw new InvalidWeightsError(
      `tensor ${quoted(name)} has type ${quoted(dtype)}; supported are ` +
        `${Object.keys(elementTypes).join(', ')}`,
    );
  const type = dtype as StoredType;
  const count = shape.reduce((product, size) => product * size, 1);
  if (shape.length > mostSizes || !Number.isSafeInteger(count))
    throw new InvalidWeightsError(
      `tensor ${quoted(name)} cannot have the shape [${shape.slice(0, mostSizes)}]: ${damaged}`,
    );
  const [start, end] = range as [number, number];
  const size = count * elementTypes[type].bytes;
  if (end - start !== size)
    throw new InvalidWeightsError(
      `tensor ${quoted(name)} [${shape}] needs ${size} bytes, its range has ${end - start}: ${damaged}`,
    );
  if (end > dataLength)
    throw new InvalidWeightsError(
      `tensor ${quoted(name)} ends at byte ${end} of ${dataLength}: the file is truncated`,
    );
  return { dtype: type, shape, data_offsets: [start, end] };
}

/** The tensors lie one after the other, without holes, up to the end of the data. */
function checkRanges(entries: readonly (readonly [string, HeaderEntry])[], dataLength: number): void {
  const ranges = entries
    .map(
      ([
        name,
        {
          data_offsets: [start, end],
        },
      ]) => ({ name, start, end }),
    )
    .sort((a, b) => a.start - b.start || a.end - b.end);
  let at = 0;
  for (const { name, start, end } of ranges) {
    if (start < at)
      throw new InvalidWeightsError(`tensor ${quoted(name)} overlaps the one before it: ${damaged}`);
    if (start > at)
      throw new InvalidWeightsError(
        `${start - at} bytes before tensor ${quoted(name)} belong to none: ${damaged}`,
      );
    at = end;
  }
  if (at < dataLength)
    throw new InvalidWeightsError(
      `${dataLength - at} bytes after the last tensor belong to none: ${damaged}`,
    );
}

function checkMetadata(value: unknown): Record<string, string> {
  if (!isRecord(value)) throw new InvalidWeightsError(`the metadata is no object: ${damaged}`);
  for (const [key, text] of Object.entries(value))
    if (typeof text !== 'string')
      throw new InvalidWeightsError(`metadata ${quoted(key)} is no text: ${damaged}`);
  return value as Record<string, string>;
}

function decode(
  view: DataView,
  name: string,
  { dtype, data_offsets: [start, end] }: HeaderEntry,
): Float32Array {
  const { bytes, read }: ElementType = elementTypes[dtype];
  const count = (end - start) / bytes;
  if (dtype === 'F32' && (view.byteOffset + start) % 4 === 0)
    return new Float32Array(view.buffer as ArrayBuffer, view.byteOffset + start, count);
  const values = new Float32Array(count);
  let i = 0;
  try {
    for (let offset = start; i < count; i++, offset += bytes) values[i] = read(view, offset);
  } catch (error) {
    throw new InvalidWeightsError(`tensor ${quoted(name)} ${(error as Error).message} (index ${i})`);
  }
  return values;
}

/** Tensors and metadata, checked; the messages lack the file's name. */
function read(data: Uint8Array): SafetensorsFile {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (data.byteLength < 8)
    throw new InvalidWeightsError(`${data.byteLength} bytes are too few for a safetensors file`);
  const length = Number(view.getBigUint64(0, true));
  if (length > maxHeader)
    throw new InvalidWeightsError(`its header would be ${length} bytes long: ${damaged}`);
  if (8 + length > data.byteLength)
    throw new InvalidWeightsError(
      `the header needs ${length} bytes, the file has ${data.byteLength - 8}: it is truncated`,
    );
  if (data[8] !== 0x7b) throw new InvalidWeightsError(`the header does not begin with '{': ${damaged}`);
  let header: unknown;
  try {
    header = parseJson(new TextDecoder('utf-8', { fatal: true }).decode(data.subarray(8, 8 + length)), 3);
  } catch (error) {
    throw new InvalidWeightsError(`the header is not valid JSON (${(error as Error).message}): ${damaged}`);
  }
  const { __metadata__: metadata = {}, ...entries } = header as Record<string, unknown>;
  const body = new DataView(data.buffer, data.byteOffset + 8 + length, data.byteLength - 8 - length);
  const checked = Object.entries(entries).map(
    ([name, entry]) => [name, checkEntry(name, entry, body.byteLength)] as const,
  );
  checkRanges(checked, body.byteLength);
  const tensors = new Map(
    checked.map(([name, entry]): [string, StoredTensor] => [
      name,
      { shape: entry.shape, type: entry.dtype, values: decode(body, name, entry) },
    ]),
  );
  return { tensors, metadata: checkMetadata(metadata) };
}

/**
 * Reads a safetensors file.
 *
 * @param what name of the file, for error messages
 * @throws Error on a truncated or malformed file, naming the tensor: names that are there twice, ranges that
 *   overlap, leave holes or reach beyond the data, types that are not known, values that float32 cannot hold
 */
export function readSafetensors(data: Uint8Array, what = 'safetensors'): SafetensorsFile {
  try {
    return read(data);
  } catch (error) {
    throw new InvalidWeightsError(`${what}: ${(error as Error).message}`);
  }
}

/** A tensor for a file. */
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

/**
 * Writes a safetensors file; the same input gives the same bytes.
 *
 * @throws Error naming a tensor whose values do not fit its shape, or are beyond what F16 holds
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, TensorToStore>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const [name, { shape, values, type = 'F32' }] of tensors) {
    const count = shape.reduce((product, size) => product * size, 1);
    if (count !== values.length)
      throw new InvalidWeightsError(`tensor '${name}' [${shape}] has ${values.length} values`);
    const size = count * elementTypes[type].bytes;
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
  for (const [name, { shape, values, type = 'F32' }] of tensors) {
    if (type === 'F32')
      data.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), position);
    else
      for (let i = 0; i < values.length; i++) {
        const half = floatToHalf(values[i] as number);
        if ((half & 0x7fff) === 0x7c00 && Number.isFinite(values[i]))
          throw new InvalidWeightsError(
            `tensor '${name}' [${shape}] holds ${values[i]} at index ${i}, but 16-bit floats end at 65504`,
          );
        view.setUint16(position + 2 * i, half, true);
      }
    position += values.length * elementTypes[type].bytes;
  }
  return data;
}
