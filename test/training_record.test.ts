/** What a model file says of its training. */
import { expect, test } from 'vitest';
import type { Mode } from '../src/model/methods.ts';
import { trainingRecord } from '../src/session/training_record.ts';
import { proceduralTextures } from '../src/synthetic/procedural_textures.ts';

test('a bank of features is recorded with what was kept of them', () => {
  const recorded = (coreset: number | undefined) =>
    trainingRecord(
      {
        ...{
          backbone: 'resnet18',
          mode: 'patchcore',
          teacherPath: 'teacher',
          textures: proceduralTextures(),
        },
        ...{ tiling: undefined, imageSize: 64, batch: 4, coreset, epochs: [1, 2], limit: undefined },
        ...{ folds: 0, labels: 'folder' },
      },
      { kind: 'none' },
      0,
    );
  expect(recorded(0.1)).toMatchObject({ coreset: 0.1, neighbours: 9 });
  expect(recorded(undefined)).toMatchObject({ coreset: '0.01, and at least 2500 patches' });
});

test('the foreground is that of synthetic anomalies: a method without them has none, whatever was asked', () => {
  const recorded = (mode: Mode) =>
    trainingRecord(
      {
        ...{ backbone: 'resnet18', mode, teacherPath: 'teacher', textures: proceduralTextures() },
        ...{ tiling: undefined, imageSize: 64, batch: 4, coreset: 0.01, epochs: [1, 2], limit: undefined },
        ...{ folds: 0, labels: 'folder' },
      },
      { kind: 'disc' },
      3,
    );
  expect(recorded('aand')).toMatchObject({ foreground: 'disc', held_out: 3, epochs: [1, 2] });
  expect(recorded('rd')).toMatchObject({ foreground: 'none', mode: 'rd' });
});
