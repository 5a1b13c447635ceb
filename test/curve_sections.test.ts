/** Sections of docs/results.md from the curves of long trainings. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { curveSections } from '../bench/learning/curves.ts';
import type { Provenance } from '../src/bench/provenance.ts';

const folder = mkdtempSync(join(tmpdir(), 'aand-curves-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const record = (driver: string): Provenance => ({
  ...{ command: 'curves', date: '', commit: 'abc', machine: 'm', node: null, load: 3 },
  driver,
});

/** A finished run whose image AUROC is given per epoch of stage II. */
function run(mode: string, seed: number, images: Record<number, number>, imageSize = 128): string {
  const out = join(folder, `${mode}${seed}-${imageSize}`);
  mkdirSync(out);
  const gates = (mean: number) => ({ levels: [mean], mean });
  const losses = { loss: 1 };
  const curve = [
    ...(mode === 'aand'
      ? [5, 10].map((epoch) => ({
          ...{ stage: 1, epoch, losses },
          gates: { synthetic: gates(0.9 + epoch / 100), test: gates(0.8 - epoch / 100) },
        }))
      : []),
    ...Object.entries(images).map(([epoch, value]) => ({
      ...{ stage: 2, epoch: Number(epoch), losses },
      detector: { image_AUROC: value, pixel_AUROC: 0.5, AUPRO: 0.25 },
    })),
  ];
  const settings = { mode, backbone: 'resnet18', image_size: imageSize, batch: 16, epochs: [10, 15] };
  const metrics = { category: 'screw', seed, adapter: 'a device', curve, settings, more: 1 };
  writeFileSync(join(out, 'metrics.json'), JSON.stringify(metrics));
  return out;
}

const rd = run('rd', 0, { 5: 0.7, 10: 0.8, 15: 0.75 });
const first = run('aand', 0, { 5: 0.8, 10: 0.9, 15: 0.91 });
// This one lacks an epoch that the others have.
const second = run('aand', 1, { 5: 0.6, 15: 0.93 });

test('modes stand side by side, over the epochs that all runs have, with means over seeds', () => {
  const { detector, gates } = curveSections([rd, first, second], ['a command'], record);
  expect(detector.heads).toEqual([
    'epoch',
    ...['Image AUROC', 'Pixel AUROC', 'PRO'].flatMap((name) => [`rd: ${name}`, `aand: ${name}`]),
  ]);
  const close = (mean: number, deviation: number | null) => ({
    mean: expect.closeTo(mean, 6),
    deviation: deviation === null ? null : expect.closeTo(deviation, 3),
  });
  const others = [close(50, null), close(50, 0), close(25, null), close(25, 0)];
  expect(detector.rows).toEqual([
    ['5', close(70, null), close(70, 14.142), ...others],
    ['15', close(75, null), close(92, Math.SQRT2), ...others],
  ]);
  expect(detector.about.slice(0, 2)).toEqual([
    'Settings: screw, resnet18, 128 pixels, batch 16, 10 and 15 epochs; seeds: rd 0; aand 0, 1. ' +
      'Measured for the report, never used for choosing.',
    'Image AUROC after the last epoch: rd 75.0 (highest 75.0, epoch 15; over the last fifth of the epochs ' +
      '75.0 to 75.0), aand 92.0 (highest 92.0, epoch 15; over the last fifth of the epochs 92.0 to 92.0).',
  ]);
  expect(detector.charts?.map(({ columns }) => columns)).toEqual([
    [1, 2],
    [3, 4],
    [5, 6],
  ]);
  expect(detector.record).toMatchObject({ driver: 'a device', load: null });
  expect(gates?.rows).toEqual([
    ['5', close(95, 0), close(75, 0)],
    ['10', close(100, 0), close(70, 0)],
  ]);
  expect(gates?.about.at(-1)).toContain('aand 70.0 (highest 75.0, epoch 5;');
});

test('the last epoch is told from a better one before it', () => {
  const { detector, gates } = curveSections([rd], [], record);
  expect(gates).toBeUndefined();
  expect(detector.about[1]).toContain('rd 75.0 (highest 80.0, epoch 10;');
});

test('runs of other settings, or without a curve, are refused by name', () => {
  const other = run('aand', 2, { 5: 0.6 }, 256);
  expect(() => curveSections([rd, other], [], record)).toThrow(/aand2-256 is screw, resnet18, 256 pixels/);
  const without = join(folder, 'without');
  mkdirSync(without);
  writeFileSync(join(without, 'metrics.json'), JSON.stringify({ category: 'screw', seed: 0, adapter: '' }));
  expect(() => curveSections([without], [], record)).toThrow(/without.*curve.*no run of aand train --curve/);
});
