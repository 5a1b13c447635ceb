/**
 * A detector without a threshold on the command line: raw scores, no verdicts, and the way to a threshold.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readDetector, writeDetectorTensors } from '../src/detector/file.ts';
import { encodePng } from '../src/platform/node.ts';
import { demoProducts, drawPart } from '../src/synthetic/demo_products.ts';
import { bundle } from './support/bundle.ts';
import { randomDetector, settings } from './support/model_files.ts';

const folder = mkdtempSync(join(tmpdir(), 'aand-uncalibrated-'));
// Beside the packages that the command needs.
const cliFolder = mkdtempSync(join(process.cwd(), 'node_modules/.aand-uncalibrated-'));
const cli = join(cliFolder, 'cli.js');
const model = join(folder, 'model.safetensors');

function aand(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync('node', [cli, ...args], { cwd: folder, encoding: 'utf8' });
  return { status, stdout, stderr };
}

beforeAll(async () => {
  await bundle('src/cli/main.ts', cli, 'node');
  const [product] = demoProducts as unknown as [(typeof demoProducts)[number]];
  for (const [part, defect, count] of [
    ['train/good', undefined, 1],
    ['test/good', undefined, 3],
    ['test/bent', product.defects[0]?.name, 2],
  ] as const) {
    mkdirSync(join(folder, 'product', part), { recursive: true });
    for (let i = 0; i < count; i++)
      writeFileSync(
        join(folder, 'product', part, `${i}.png`),
        await encodePng(drawPart(product, defect, part.length, i).image),
      );
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

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  rmSync(cliFolder, { recursive: true, force: true });
});

describe('a detector without a threshold', () => {
  test('predict prints raw scores and says what is missing', () => {
    const { status, stdout, stderr } = aand('predict', model, 'product/test/good', '--out', 'pictures');
    expect({ status, stderr }).toMatchObject({ status: 0 });
    expect(stdout).toMatch(/^(raw \d+\.\d{4} {2}product\/test\/good\/\d\.png\n){3}$/);
    expect(stderr).toContain('is not calibrated: it has no threshold');
    expect(stderr).toContain(`aand calibrate ${model} GOOD_IMAGES`);
    const json = aand('predict', model, 'product/test/good/0.png', '--out', 'pictures-json', '--json');
    expect(JSON.parse(json.stdout)).toMatchObject([{ pred_score: null, pred_label: null }]);
    expect(JSON.parse(json.stdout)[0].raw_score).toBeGreaterThan(0);
  });

  test('test gives metrics, and no verdicts', () => {
    const { status, stderr } = aand('test', model, 'product', '--out', 'tested');
    expect({ status, stderr }).toMatchObject({ status: 0 });
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
    const value = aand('calibrate', model, '--rule', 'value:1', '--out', 'by-hand.safetensors');
    expect(value.status).toBe(1);
    expect(value.stderr).toContain('has no threshold yet: give good images');
    expect(existsSync(join(folder, 'by-hand.safetensors'))).toBe(false);
    const { status, stdout, stderr } = aand(
      'calibrate',
      model,
      'product/test/good',
      '--rule',
      'max',
      '--out',
      'c.safetensors',
    );
    expect({ status, stderr }).toMatchObject({ status: 0 });
    expect(stdout).toContain('threshold of images: none');
    expect(stdout).toContain('0 of 3 good images are called anomalous');
    const calibrated = await readDetector(readFileSync(join(folder, 'c.safetensors')), 'c');
    expect(calibrated.settings.image?.rule).toBe('largest score of 3 good images');
    const predicted = aand('predict', 'c.safetensors', 'product/test/good', '--out', 'verdicts');
    expect(predicted.stdout).toMatch(/^(good {6}0\.\d{3} .*\n){3}$/);
    expect(predicted.stderr).not.toContain('not calibrated');
  });
});
