/**
 * PyTorch's `.pth` files, both containers: the zip of PyTorch 1.6 and later, and the chain of pickles before
 * it (method, 3.8). Tensors come out dense and in float32; offsets, strides and shared storages are honoured.
 */

import { unzipSync } from 'fflate';
import { InvalidWeightsError } from '../base/errors.ts';
import { halfToFloat } from '../base/half.ts';
import { Call, Global, PersistentId, type PickleValue, readPickle } from './pickle.ts';
import { bfloat16ToFloat, type StoredTensor, type StoredType } from './safetensors.ts';

interface ElementType {
  readonly bytes: number;
  readonly type: StoredType;
  read(view: DataView, offset: number): number;
}

const elementTypes: Readonly<Record<string, ElementType>> = {
  'torch.FloatStorage': { bytes: 4, type: 'F32', read: (view, at) => view.getFloat32(at, true) },
  'torch.DoubleStorage': { bytes: 8, type: 'F32', read: (view, at) => view.getFloat64(at, true) },
  'torch.HalfStorage': { bytes: 2, type: 'F16', read: (view, at) => halfToFloat(view.getUint16(at, true)) },
  'torch.BFloat16Storage': {
    bytes: 2,
    type: 'F32',
    read: (view, at) => bfloat16ToFloat(view.getUint16(at, true)),
  },
  'torch.LongStorage': { bytes: 8, type: 'I64', read: (view, at) => Number(view.getBigInt64(at, true)) },
  'torch.IntStorage': { bytes: 4, type: 'I32', read: (view, at) => view.getInt32(at, true) },
  'torch.ShortStorage': { bytes: 2, type: 'I32', read: (view, at) => view.getInt16(at, true) },
  'torch.CharStorage': { bytes: 1, type: 'I32', read: (view, at) => view.getInt8(at) },
  'torch.ByteStorage': { bytes: 1, type: 'U8', read: (view, at) => view.getUint8(at) },
  'torch.BoolStorage': { bytes: 1, type: 'U8', read: (view, at) => view.getUint8(at) },
};

/** Raw bytes of storages by key. */
type Storages = ReadonlyMap<string, Uint8Array>;

interface Container {
  readonly root: PickleValue;
  readonly storages: Storages;
}

const legacyMagic = 0x1950a86a20f9469cfc6cn;

function isZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 3 && bytes[3] === 4;
}

function readZip(bytes: Uint8Array): Container {
  let total = 0;
  const entries = unzipSync(bytes, {
    filter: ({ name, size, originalSize, compression }) => {
      if (compression !== 0 || size !== originalSize)
        throw new InvalidWeightsError(`entry '${name.slice(0, 100)}' is compressed, PyTorch's are not`);
      total += originalSize;
      if (total > bytes.length) throw new InvalidWeightsError('its entries are larger than the file');
      return /(^|\/)(data\.pkl|data\/\d+|byteorder)$/.test(name);
    },
  });
  const names = Object.keys(entries);
  const pickles = names.filter((name) => /(^|\/)data\.pkl$/.test(name));
  if (pickles.length !== 1)
    throw new InvalidWeightsError(`it holds ${pickles.length} files data.pkl, one is needed`);
  const [pickle] = pickles as [string];
  const root = pickle.slice(0, -'data.pkl'.length);
  const order = entries[`${root}byteorder`];
  if (order && new TextDecoder().decode(order).trim() !== 'little')
    throw new InvalidWeightsError('it was written on a big-endian machine');
  const storages = new Map(
    names
      .filter((name) => name.startsWith(`${root}data/`))
      .map((name) => [name.slice(root.length + 5), entries[name] as Uint8Array]),
  );
  return { root: readPickle(entries[pickle] as Uint8Array).value, storages };
}

/** Element size of each storage that a value names, by key; legacy files need it to cut their data. */
function storageSizes(
  value: PickleValue,
  found: Map<string, { bytes: number; count: number }>,
  seen: Set<PickleValue>,
): void {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || value instanceof Global)
    return;
  if (seen.has(value)) return;
  seen.add(value);
  if (value instanceof PersistentId) {
    const { key, element, count } = storageOf(value);
    found.set(key, { bytes: element.bytes, count });
    return;
  }
  const parts = value instanceof Map ? [...value.values()] : value instanceof Call ? value.args : value;
  for (const part of parts) storageSizes(part, found, seen);
}

function readLegacy(bytes: Uint8Array): Container {
  let at = 0;
  const next = () => {
    const { value, end } = readPickle(bytes, at);
    at = end;
    return value;
  };
  if (next() !== legacyMagic) throw new InvalidWeightsError('its first number is not that of a PyTorch file');
  const protocol = next();
  if (protocol !== 1001)
    throw new InvalidWeightsError(`its protocol is ${String(protocol)}, 1001 was expected`);
  const system = next();
  if (system instanceof Map && system.get('little_endian') === false)
    throw new InvalidWeightsError('it was written on a big-endian machine');
  const root = next();
  const keys = next();
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === 'string'))
    throw new InvalidWeightsError('its list of storages is malformed');
  const sizes = new Map<string, { bytes: number; count: number }>();
  storageSizes(root, sizes, new Set());
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const storages = new Map<string, Uint8Array>();
  for (const key of keys as string[]) {
    if (at + 8 > bytes.length)
      throw new InvalidWeightsError(`storage '${key}' is missing: the file is truncated`);
    const count = Number(view.getBigInt64(at, true));
    at += 8;
    const size = sizes.get(key);
    if (!size) throw new InvalidWeightsError(`storage '${key.slice(0, 100)}' belongs to no tensor`);
    const length = count * size.bytes;
    if (count < 0 || at + length > bytes.length)
      throw new InvalidWeightsError(
        `storage '${key.slice(0, 100)}' needs ${length} bytes, ${bytes.length - at} are left: the file ` +
          'is truncated',
      );
    storages.set(key, bytes.subarray(at, at + length));
    at += length;
  }
  return { root, storages };
}

/** ('storage', type, key, location, count, ...) */
function storageOf(id: PickleValue): { key: string; element: ElementType; count: number } {
  const [tag, type, key, , count, view] = id instanceof PersistentId ? id.parts : [];
  const element = type instanceof Global ? elementTypes[type.name] : undefined;
  if (tag !== 'storage' || !element || typeof key !== 'string' || !isCount(count))
    throw new InvalidWeightsError('a tensor has no storage that can be read');
  if (view)
    throw new InvalidWeightsError('a storage is a view into another one, which no current PyTorch writes');
  return { key, element, count };
}

function isCount(value: PickleValue | undefined): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0;
}

/** Copies a strided view of a storage. */
function tensorOf(call: Call, storages: Storages): StoredTensor {
  if (call.name === 'torch._utils._rebuild_parameter') {
    const [inner] = call.args;
    if (!(inner instanceof Call) || inner.name === call.name)
      throw new InvalidWeightsError('a parameter holds no tensor');
    return tensorOf(inner, storages);
  }
  const [id, offset, shape, strides] = call.args;
  if (
    !isCount(offset) ||
    !Array.isArray(shape) ||
    !shape.every(isCount) ||
    !Array.isArray(strides) ||
    !strides.every(isCount)
  )
    throw new InvalidWeightsError('offset, size or strides are malformed');
  if (shape.length !== strides.length || shape.length > 16)
    throw new InvalidWeightsError(`${shape.length} sizes but ${strides.length} strides`);
  const { key, element } = storageOf(id as PickleValue);
  const bytes = storages.get(key);
  if (!bytes) throw new InvalidWeightsError(`its storage '${key.slice(0, 100)}' is not in the file`);
  const [sizes, steps] = [shape as number[], strides as number[]];
  const count = sizes.reduce((product, size) => product * size, 1);
  const available = Math.floor(bytes.length / element.bytes);
  const last = count ? sizes.reduce((sum, size, i) => sum + (size - 1) * (steps[i] as number), offset) : 0;
  // More values than the storage holds can only repeat them. No network has that; a hostile file fills memory
  // so.
  if (count > available || (count && last >= available))
    throw new InvalidWeightsError(
      `[${sizes}] at ${offset} reaches beyond its storage of ${available} values`,
    );
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values = new Float32Array(count);
  const index = new Array<number>(sizes.length).fill(0);
  let at = offset;
  for (let i = 0; i < count; i++) {
    values[i] = element.read(view, at * element.bytes);
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      at += steps[axis] as number;
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (sizes[axis] as number)) break;
      at -= (steps[axis] as number) * (sizes[axis] as number);
      index[axis] = 0;
    }
  }
  return { shape: sizes, values, type: element.type };
}

/** Tensors by name; names of nested dicts are joined by dots. */
export type StateDict = Map<string, StoredTensor>;

const deepest = 4;
const mostTensors = 100_000;

function collect(
  value: PickleValue,
  prefix: string,
  depth: number,
  storages: Storages,
  result: StateDict,
  budget: { left: number },
) {
  if (!(value instanceof Map)) return;
  if (depth > deepest)
    throw new InvalidWeightsError(`dicts are nested more than ${deepest} deep at '${prefix.slice(0, 100)}'`);
  for (const [key, part] of value) {
    if (typeof key !== 'string') continue;
    const name = prefix ? `${prefix}.${key}` : key;
    if (part instanceof Map) collect(part, name, depth + 1, storages, result, budget);
    else if (part instanceof Call && part.name.includes('_rebuild_')) {
      if (result.size >= mostTensors)
        throw new InvalidWeightsError(`there are more than ${mostTensors} tensors`);
      try {
        const tensor = tensorOf(part, storages);
        budget.left -= tensor.values.byteLength;
        if (budget.left < 0) throw new InvalidWeightsError('the tensors are much larger than the file');
        result.set(name, tensor);
      } catch (error) {
        throw new InvalidWeightsError(`tensor '${name.slice(0, 200)}': ${(error as Error).message}`);
      }
    }
  }
}

/**
 * Reads the tensors of a `.pth` or `.pt` file. Never executes anything: what is not plain data of a state
 * dict is refused.
 *
 * @param what name of the file, for error messages
 * @throws Error on a file that is truncated, malformed, hostile, or holds no tensors
 */
export function readTorchFile(bytes: Uint8Array, what = 'torch file'): StateDict {
  try {
    const { root, storages } = isZip(bytes) ? readZip(bytes) : readLegacy(bytes);
    const result: StateDict = new Map();
    // Half-precision files grow by two, shared storages by a little.
    collect(root, '', 0, storages, result, { left: 8 * bytes.length + 2 ** 20 });
    if (!result.size) throw new InvalidWeightsError('it holds no tensors by name');
    return result;
  } catch (error) {
    throw new InvalidWeightsError(`${what}: cannot be read as a PyTorch file: ${(error as Error).message}`);
  }
}

/** Whether the first bytes are those of either container. */
export function isTorchFile(bytes: Uint8Array): boolean {
  return isZip(bytes) || (bytes[0] === 0x80 && bytes[2] === 0x8a && bytes[3] === 0x0a);
}
