/** The packaged teachers as files; what their features can tell apart is in full/teacher.test.ts. */
import { readFileSync, statSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { planTraining, type TrainCommandOptions } from '../src/cli/training_options.ts';
import { packagedBackbones, packagedTeacherFile } from '../src/weights/packaged.ts';
import { readSafetensors } from '../src/weights/safetensors.ts';

const largest: Readonly<Record<string, number>> = { resnet18: 8e6, resnet18_half: 2e6 };

describe('the packaged teachers', () => {
  test.each(Object.entries(largest))('of %s is a file of at most %d bytes, float16', (backbone, bytes) => {
    const path = `weights/${packagedTeacherFile(backbone)}`;
    expect(statSync(path).size).toBeLessThan(bytes);
    const file = readSafetensors(readFileSync(path), path);
    expect(file.tensors.size).toBe(75);
    expect(new Set([...file.tensors.values()].map(({ type }) => type))).toEqual(new Set(['F16']));
    expect(file.metadata.made_by).toBe('aand distill-teacher');
  });

  test('are all in that table, and other backbones have none', () => {
    expect(packagedBackbones).toEqual(Object.keys(largest));
    for (const backbone of ['resnet34', 'constructor'])
      expect(() => packagedTeacherFile(backbone)).toThrow(
        `no teacher for ${backbone} comes with this package; those that do are for resnet18 and resnet18_half`,
      );
  });

  const options = (backbone: string) =>
    ({
      out: 'model',
      backbone,
      mode: 'rd',
      imageSize: 64,
      batch: 2,
      epochs: [1, 1],
      seed: 0,
      foreground: 'none',
    }) as unknown as TrainCommandOptions;

  test.each(packagedBackbones)('a training of %s takes its own without --weights', async (backbone) => {
    const { teacherPath, teacher } = await planTraining(options(backbone));
    expect(teacherPath.endsWith(`weights/${packagedTeacherFile(backbone)}`)).toBe(true);
    expect(teacher.tensors.get('conv1.weight')?.shape).toEqual([backbone === 'resnet18' ? 64 : 32, 3, 7, 7]);
  });

  test('a training of a backbone without one asks for --weights', async () => {
    await expect(planTraining(options('resnet50'))).rejects.toThrow(
      '--weights is needed for resnet50: the teachers that come with this package are for resnet18 and ' +
        'resnet18_half',
    );
  });
});
