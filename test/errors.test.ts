/** Errors: every class has a code of its own, which callers can tell kinds apart by. */
import { expect, test } from 'vitest';
import * as errors from '../src/base/errors.ts';
import { rankMetrics } from '../src/eval/metrics.ts';
import { parseThreshold } from '../src/eval/thresholds.ts';
import { checkImage } from '../src/image/image.ts';
import { readSafetensors } from '../src/weights/safetensors.ts';

const classes = Object.entries(errors).filter(
  ([name, value]) => typeof value === 'function' && name !== 'AandError' && /^[A-Z]/.test(name),
) as [string, new (...values: unknown[]) => errors.AandError][];

const make = (name: string, type: (typeof classes)[number][1]) =>
  name === 'UnreadableError' ? new type('a.png', new Error('why')) : new type('why');

test('there are 16 classes, and no two share a code', () => {
  expect(classes).toHaveLength(16);
  expect(new Set(classes.map(([name, type]) => make(name, type).code)).size).toBe(16);
});

test.each(
  classes,
)('%s has its name and its code, also after its class is lost on the way from a worker', (name, type) => {
  const error = make(name, type);
  expect(error).toBeInstanceOf(errors.AandError);
  expect(error).toBeInstanceOf(Error);
  expect(error.name).toBe(name);
  expect(error.message).toBe('why');
  expect(errors.errorCode(error)).toBe(error.code);
  expect(errors.errorCode(Object.assign(new Error('why'), { name }))).toBe(error.code);
});

test.each([
  [new Error('other')],
  [new TypeError('other')],
  ['text'],
  [undefined],
  [null],
  [{ name: 'toString' }],
])('%s is no error of this library', (error) => expect(errors.errorCode(error)).toBeUndefined());

const codeOf = (work: () => unknown) => {
  try {
    work();
  } catch (error) {
    return errors.errorCode(error);
  }
  return 'nothing was thrown';
};

test.each([
  [
    'pixels that do not fit their size',
    () => checkImage({ width: 2, height: 2, channels: 3, data: new Uint8Array(3) }),
    'invalid-image',
  ],
  ['a damaged weights file', () => readSafetensors(Uint8Array.of(1, 2, 3)), 'invalid-weights'],
  ['an unknown threshold rule', () => parseThreshold('best'), 'invalid-argument'],
  ['labels that do not fit the scores', () => rankMetrics(Float32Array.of(1), [0, 1]), 'invalid-argument'],
])('%s has a code', (_, work, code) => expect(codeOf(work)).toBe(code));
