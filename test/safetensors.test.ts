/** safetensors of others: every type comes out right, and what is malformed is refused by name. */
import { describe, expect, test } from 'vitest';
import { readSafetensors } from '../src/weights/safetensors.ts';
import { rawFile } from './support/model_files.ts';

const entry = (dtype: string, shape: readonly number[], start: number, end: number) => ({
  dtype,
  shape,
  data_offsets: [start, end],
});

function read(header: unknown, data = new Uint8Array()) {
  return readSafetensors(rawFile(typeof header === 'string' ? header : JSON.stringify(header), data), 'm');
}

function bytesOf(values: ArrayBufferView): Uint8Array<ArrayBuffer> {
  return new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, values.byteLength).slice();
}

describe('types', () => {
  const cases: readonly (readonly [string, ArrayBufferView, readonly number[]])[] = [
    ['F32', Float32Array.of(1.5, -2), [1.5, -2]],
    ['F64', Float64Array.of(1 / 3, -1e-300), [Math.fround(1 / 3), -0]],
    ['BF16', Uint16Array.of(0x3fc0, 0xc000, 0x0001), [1.5, -2, 2 ** -133]],
    ['F16', Uint16Array.of(0x3e00, 0xc000), [1.5, -2]],
    ['I64', BigInt64Array.of(-3n, 2n ** 53n - 1n), [-3, 2 ** 53]],
    ['U64', BigUint64Array.of(3n), [3]],
    ['I32', Int32Array.of(-70000), [-70000]],
    ['U32', Uint32Array.of(4_000_000_000), [4_000_000_000]],
    ['I16', Int16Array.of(-300), [-300]],
    ['U16', Uint16Array.of(60000), [60000]],
    ['I8', Int8Array.of(-128, 127), [-128, 127]],
    ['U8', Uint8Array.of(0, 255), [0, 255]],
    ['BOOL', Uint8Array.of(0, 1), [0, 1]],
  ];
  test.each(cases)('%s', (type, values, expected) => {
    const data = bytesOf(values);
    const file = read({ x: entry(type, [expected.length], 0, data.length) }, data);
    expect([...(file.tensors.get('x')?.values ?? [])]).toEqual(expected.map(Math.fround));
    expect(file.tensors.get('x')?.type).toBe(type);
  });

  test('values that float32 cannot hold are refused; infinities stay what they are', () => {
    const one = (type: string, values: ArrayBufferView) => {
      const data = bytesOf(values);
      return read({ x: entry(type, [1], 0, data.length) }, data);
    };
    expect(() => one('F64', Float64Array.of(1e39))).toThrow(
      "m: tensor 'x' holds 1e+39, which is beyond the range",
    );
    expect(() => one('I64', BigInt64Array.of(2n ** 53n))).toThrow("m: tensor 'x' holds 9007199254740992");
    expect(() => one('U64', BigUint64Array.of(2n ** 64n - 1n))).toThrow(
      "m: tensor 'x' holds 18446744073709551615",
    );
    expect(one('F64', Float64Array.of(Number.NEGATIVE_INFINITY)).tensors.get('x')?.values[0]).toBe(
      Number.NEGATIVE_INFINITY,
    );
  });
});

describe('malformed files', () => {
  const data = new Uint8Array(16);
  const a = entry('F32', [2], 0, 8);
  const cases: readonly (readonly [string, unknown, string | RegExp])[] = [
    ['ranges that overlap', { a, b: entry('F32', [3], 4, 16) }, "tensor 'b' overlaps the one before it"],
    ['one range twice', { a, b: a, c: entry('F32', [2], 8, 16) }, "tensor 'b' overlaps the one before it"],
    ['a hole', { a, b: entry('F32', [1], 12, 16) }, "4 bytes before tensor 'b' belong to none"],
    ['a hole at the start', { b: entry('F32', [2], 8, 16) }, "8 bytes before tensor 'b' belong to none"],
    ['data that is longer', { a }, '8 bytes after the last tensor belong to none'],
    [
      'data that is shorter',
      { a, b: entry('F32', [3], 8, 20) },
      "tensor 'b' ends at byte 20 of 16: the file is truncated",
    ],
    [
      'a size that does not fit',
      { a: entry('F32', [3], 0, 16) },
      "tensor 'a' [3] needs 12 bytes, its range has 16",
    ],
    ['a range backwards', { a: entry('F32', [2], 8, 0) }, "tensor 'a' [2] needs 8 bytes, its range has -8"],
    [
      'a shape beyond all numbers',
      { a: entry('F32', [2 ** 40, 2 ** 40], 0, 16) },
      "'a' cannot have the shape",
    ],
    [
      'a product that wraps at 2^64',
      { a: entry('U8', [2 ** 32, 2 ** 32, 16], 0, 16) },
      "'a' cannot have the shape",
    ],
    [
      'infinite times nothing',
      {
        a: entry(
          'U8',
          Array(40)
            .fill(2 ** 50)
            .concat(0),
          0,
          0,
        ),
      },
      "'a' cannot have the shape",
    ],
    ['seventeen sizes', { a: entry('U8', Array(17).fill(1), 0, 1) }, "'a' cannot have the shape"],
    ['a fractional size', { a: entry('F32', [1.5], 0, 6) }, "tensor 'a' has a malformed header entry"],
    ['a negative size', { a: entry('F32', [-1, -4], 0, 16) }, "tensor 'a' has a malformed header entry"],
    [
      'a size of text',
      { a: { dtype: 'U8', shape: ['16'], data_offsets: [0, 16] } },
      "'a' has a malformed header entry",
    ],
    [
      'negative zero',
      '{"a":{"dtype":"F32","shape":[4],"data_offsets":[-0,16]}}',
      "'a' has a malformed header entry",
    ],
    [
      'an infinite offset',
      '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,1e999]}}',
      "'a' has a malformed header",
    ],
    [
      'one offset',
      { a: { dtype: 'F32', shape: [4], data_offsets: [16] } },
      "'a' has a malformed header entry",
    ],
    ['no entry', { a: null }, "tensor 'a' has a malformed header entry"],
    ['a list as entry', { a: [] }, "tensor 'a' has a malformed header entry"],
    [
      'an unknown type',
      { a: entry('F8_E4M3', [16], 0, 16) },
      "tensor 'a' has type 'F8_E4M3'; supported are F32, F16",
    ],
    ['a type of the language', { a: entry('constructor', [16], 0, 16) }, "tensor 'a' has type 'constructor'"],
    ['a type that is no text', { a: { ...a, dtype: 7 } }, "tensor 'a' has a malformed header entry"],
    [
      'a name twice',
      '{"a":{"dtype":"U8","shape":[16],"data_offsets":[0,16]},"\\u0061":{}}',
      "'a' is there twice",
    ],
    [
      'a field twice',
      '{"a":{"dtype":"F32","dtype":"U8","shape":[16],"data_offsets":[0,16]}}',
      "'dtype' is there twice",
    ],
    [
      'the name __proto__',
      '{"__proto__":{"dtype":"U8","shape":[16],"data_offsets":[0,16]}}',
      "'__proto__' is no name",
    ],
    [
      'text after the header',
      `${JSON.stringify({ a: entry('U8', [16], 0, 16) })}x`,
      'the header is not valid JSON',
    ],
    [
      'zeros after the header',
      `${JSON.stringify({ a: entry('U8', [16], 0, 16) })}\0`,
      'the header is not valid JSON',
    ],
    [
      'a byte order mark',
      `\ufeff${JSON.stringify({ a: entry('U8', [16], 0, 16) })}`,
      "does not begin with '{'",
    ],
    ['a list', '[]', "does not begin with '{'"],
    ['nothing', '', /m: (the header does not begin|.*header)/],
    [
      'metadata that is no object',
      { __metadata__: [], a: entry('U8', [16], 0, 16) },
      'the metadata is no object',
    ],
    [
      'metadata that is no text',
      { __metadata__: { x: 1 }, a: entry('U8', [16], 0, 16) },
      "metadata 'x' is no text",
    ],
    ['nested lists', `{"a":${'['.repeat(1e6)}`, 'it is nested more than 3 deep'],
  ];
  test.each(cases)('%s', (_, header, message) => {
    expect(() => read(header, data)).toThrow(message);
    expect(() => read(header, data)).toThrow(/^m: /);
  });

  test('a header length beyond everything', () => {
    const file = rawFile('{}');
    for (const length of [2n ** 64n - 1n, 2n ** 63n, 2n ** 40n, 100_000_001n]) {
      new DataView(file.buffer).setBigUint64(0, length, true);
      expect(() => readSafetensors(file, 'm')).toThrow(`m: its header would be ${Number(length)} bytes long`);
    }
  });

  test('what is well formed is read: empty tensors, spaces behind the header, names of the language', () => {
    const header = {
      none: entry('F32', [0, 7], 8, 8),
      constructor: entry('F32', [], 8, 12),
      toString: entry('U8', [4], 12, 16),
      a,
    };
    const { tensors, metadata } = read(`${JSON.stringify(header)}   `, data);
    expect([...tensors.keys()].sort()).toEqual(['a', 'constructor', 'none', 'toString']);
    expect(tensors.get('none')?.values).toHaveLength(0);
    expect(metadata).toEqual({});
  });
});
