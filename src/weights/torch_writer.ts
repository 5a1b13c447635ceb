/** Writes state dicts as PyTorch's zip container: `torch.load(path, weights_only=True)` reads it. */
import { type Zippable, zipSync } from 'fflate';
import type { TensorToStore } from './safetensors.ts';

/** Little-endian bytes that grow. */
class Bytes {
  readonly #parts: number[] = [];

  push(...bytes: number[]): this {
    for (const byte of bytes) this.#parts.push(byte & 0xff);
    return this;
  }

  integer(value: number, size: number): this {
    for (let i = 0; i < size; i++) this.#parts.push(Math.floor(value / 2 ** (8 * i)) & 0xff);
    return this;
  }

  get bytes(): Uint8Array {
    return Uint8Array.from(this.#parts);
  }
}

const encoder = new TextEncoder();

function text(out: Bytes, value: string): void {
  const bytes = encoder.encode(value);
  out
    .push(0x58)
    .integer(bytes.length, 4)
    .push(...bytes);
}

function integer(out: Bytes, value: number): void {
  if (value < 2 ** 31) out.push(0x4a).integer(value, 4);
  else out.push(0x8a, 8).integer(value, 8);
}

function global(out: Bytes, module: string, name: string): void {
  out.push(0x63, ...encoder.encode(`${module}\n${name}\n`));
}

/** An empty OrderedDict and its items. */
function dict(out: Bytes, items: () => void): void {
  global(out, 'collections', 'OrderedDict');
  out.push(0x29, 0x52, 0x28);
  items();
  out.push(0x75);
}

function tensor(out: Bytes, key: number, shape: readonly number[], count: number): void {
  global(out, 'torch._utils', '_rebuild_tensor_v2');
  out.push(0x28, 0x28);
  text(out, 'storage');
  global(out, 'torch', 'FloatStorage');
  text(out, String(key));
  text(out, 'cpu');
  integer(out, count);
  out.push(0x74, 0x51);
  integer(out, 0);
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  for (const sizes of [shape, strides]) {
    out.push(0x28);
    for (const size of sizes) integer(out, size);
    out.push(0x74);
  }
  // requires_grad False, no backward hooks
  out.push(0x89);
  global(out, 'collections', 'OrderedDict');
  out.push(0x29, 0x52, 0x74, 0x52);
}

/**
 * A file of named state dicts, such as {bn: ..., decoder: ...}; the name '' puts its tensors at the top.
 *
 * @returns the bytes of a `.pth`
 */
export function writeTorchFile(dicts: ReadonlyMap<string, ReadonlyMap<string, TensorToStore>>): Uint8Array {
  const out = new Bytes().push(0x80, 2);
  const files: Zippable = {};
  let key = 0;
  const tensors = (dict: ReadonlyMap<string, TensorToStore>) => {
    for (const [name, { shape, values }] of dict) {
      text(out, name);
      tensor(out, key, shape, values.length);
      files[`data/${key++}`] = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    }
  };
  dict(out, () => {
    for (const [name, state] of dicts) {
      if (!name) {
        tensors(state);
        continue;
      }
      text(out, name);
      dict(out, () => tensors(state));
    }
  });
  out.push(0x2e);
  const archive = { 'data.pkl': out.bytes, version: encoder.encode('3\n'), ...files };
  // A fixed date: the same tensors give the same bytes.
  return zipSync(
    Object.fromEntries(Object.entries(archive).map(([name, bytes]) => [`archive/${name}`, bytes])),
    {
      level: 0,
      mtime: '1980-01-01',
    },
  );
}
