/** The packaged teacher as a file; what its features can tell apart is in full/teacher.test.ts. */
import { readFileSync, statSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readSafetensors } from '../src/weights/safetensors.ts';

const path = 'weights/teacher_resnet18.safetensors';

describe('the packaged teacher', () => {
  test('is a resnet18 of at most 8 MB, float16', () => {
    expect(statSync(path).size).toBeLessThan(8e6);
    const file = readSafetensors(readFileSync(path), path);
    expect(file.tensors.size).toBe(75);
    expect(new Set([...file.tensors.values()].map(({ type }) => type))).toEqual(new Set(['F16']));
    expect(file.metadata.made_by).toBe('aand distill-teacher');
  });
});
