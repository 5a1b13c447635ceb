/**
 * A test set that does not fit into memory: a million pixels an image; AAND_EVAL_IMAGES=1000 is the size that
 * must do with 2 GB.
 */
import { expect, test } from 'vitest';
import { TestSet } from '../src/eval/evaluate.ts';

const count = Number(process.env.AAND_EVAL_IMAGES ?? 100);
const side = 1000;

test(`${count} images of ${side}x${side} pixels: exact metrics in less than 2 GB`, async () => {
  const set = new TestSet();
  const normal = new Float32Array(side * side);
  let state = 1;
  for (let i = 0; i < normal.length; i++) {
    state = Math.imul(state, 1664525) + 1013904223;
    normal[i] = (state >>> 8) / 2 ** 24;
  }
  const truth = new Uint8Array(side * side);
  // A square of 200x200 defective pixels, whose scores are shifted by one half: AUROC = 1 - (1 - 1/2)^2 / 2 =
  // .875.
  for (let y = 300; y < 500; y++) truth.fill(1, y * side + 300, y * side + 500);
  let peak = 0;
  const started = performance.now();
  for (let i = 0; i < count; i++) {
    const anomalous = i % 10 === 0;
    const turn = (i * 7919) % normal.length;
    const map = new Float32Array(side * side);
    map.set(normal.subarray(turn));
    map.set(normal.subarray(0, turn), normal.length - turn);
    if (anomalous) for (let p = 0; p < map.length; p++) if (truth[p]) map[p] = (map[p] as number) + 0.5;
    const sample = { path: `${i}`, stem: `${i}`, defect: anomalous ? 'dent' : 'good' };
    const result = { score: anomalous ? 1 : 0.5, map, width: side, height: side };
    await set.add(sample, result, anomalous ? truth : new Uint8Array(side * side));
    peak = Math.max(peak, process.memoryUsage().rss);
  }
  const { metrics } = await set.evaluate();
  peak = Math.max(peak, process.memoryUsage().rss);
  await set.close();
  const seconds = (performance.now() - started) / 1000;
  console.log(
    `${count} images: ${seconds.toFixed(0)} s, largest resident memory ${(peak / 2 ** 30).toFixed(2)} GiB, pixel AUROC ${metrics.pixel_AUROC}, AUPRO ${metrics.AUPRO}`,
  );
  expect(metrics.pixel_AUROC).toBeCloseTo(0.875, 2);
  // Coverage of each region at false-positive rate f is min(1, f + 1/2): (.5 * .3 + .3^2 / 2) / .3.
  expect(metrics.AUPRO).toBeCloseTo(0.65, 2);
  expect(peak).toBeLessThan(2e9);
}, 1_200_000);
