/**
 * A detector without a threshold on the command line: raw scores, no verdicts, and the way to a threshold.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { readDetector, writeDetectorTensors } from '../src/detector/file.ts';
import { useCommand, useFolder } from './support/command.ts';
import { part, writeImage } from './support/layouts.ts';
import { randomDetector, settings } from './support/model_files.ts';

const folder = useFolder();
const command = useCommand();
const model = join(folder, 'model.safetensors');
const aand = (...args: readonly string[]) => command.run(args, { cwd: folder });

beforeAll(async () => {
  const parts = [
    ['train/good', 1],
    ['test/good', 3],
    ['test/rust', 2],
  ] as const;
  for (const [name, count] of parts)
    for (let i = 0; i < count; i++) {
      const defect = name === 'test/rust' ? 'rust' : undefined;
      await writeImage(join(folder, 'product', name, `${i}.png`), part(0, i + name.length, defect).image);
    }
  writeFileSync(
    model,
    await writeDetectorTensors(randomDetector(), {
      ...settings,
      image: null,
      pixel: null,
      calibrationScores: [],
    }),
  );
});

describe('a detector without a threshold', () => {
  test('predict prints raw scores and says what is missing', async () => {
    const { code, stdout, stderr } = await aand('predict', model, 'product/test/good', '--out', 'pictures');
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout).toMatch(/^(raw \d+\.\d{4} {2}product\/test\/good\/\d\.png\n){3}$/);
    expect(stderr).toContain('is not calibrated: it has no threshold');
    expect(stderr).toContain(`aand calibrate ${model} GOOD_IMAGES`);
    const json = await aand('predict', model, 'product/test/good/0.png', '--out', 'pictures-json', '--json');
    expect(JSON.parse(json.stdout)).toMatchObject([{ pred_score: null, pred_label: null }]);
    expect(JSON.parse(json.stdout)[0].raw_score).toBeGreaterThan(0);
  });

  test('test gives metrics, and no verdicts', async () => {
    const { code, stderr } = await aand('test', model, 'product', '--out', 'tested');
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const metrics = JSON.parse(readFileSync(join(folder, 'tested/metrics.json'), 'utf8'));
    expect(metrics.image_AUROC).toBeGreaterThanOrEqual(0);
    expect(metrics).toMatchObject({ image_threshold: null, pixel_threshold: null });
    const [head, ...rows] = readFileSync(join(folder, 'tested/scores.csv'), 'utf8').trim().split('\n');
    const column = (head ?? '').split(',').indexOf('pred_score');
    expect(rows).toHaveLength(5);
    for (const row of rows) expect(row.split(',').slice(column, column + 4)).toEqual(['', '', '', '']);
    expect(readFileSync(join(folder, 'tested/report.html'), 'utf8')).toContain(
      'This detector is not calibrated',
    );
  });

  test('calibrate draws a threshold from it; then none of the images that it was drawn from is anomalous', async () => {
    const value = await aand('calibrate', model, '--rule', 'value:1', '--out', 'by-hand.safetensors');
    expect(value.code).toBe(1);
    expect(value.stderr).toContain('has no threshold yet: give good images');
    expect(existsSync(join(folder, 'by-hand.safetensors'))).toBe(false);
    const { code, stdout, stderr } = await aand(
      'calibrate',
      model,
      'product/test/good',
      '--rule',
      'max',
      '--out',
      'c.safetensors',
    );
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout).toContain('raw score at the limit (0.5): none');
    expect(stdout).toContain('0 of 3 good images are called anomalous');
    const calibrated = await readDetector(readFileSync(join(folder, 'c.safetensors')), 'c');
    expect(calibrated.settings.image?.rule).toBe('largest score of 3 good images');
    const predicted = await aand('predict', 'c.safetensors', 'product/test/good', '--out', 'verdicts');
    expect(predicted.stdout).toMatch(/^(good {6}0\.\d{3} .*\n){3}$/);
    expect(predicted.stderr).not.toContain('not calibrated');
  });
});
