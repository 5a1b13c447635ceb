/**
 * The packaged teachers carry meaning: their features tell dogs, birds, reptiles and insects apart, random
 * ones do not.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Tape } from '../../src/engine/graph/tape.ts';
import type { Tensor } from '../../src/engine/graph/tensor.ts';
import { Engine } from '../../src/engine/runtime/engine.ts';
import { initialize } from '../../src/engine/runtime/initialize.ts';
import { Program } from '../../src/engine/runtime/program.ts';
import { ParameterStore } from '../../src/engine/runtime/store.ts';
import { normalize, stack } from '../../src/image/normalize.ts';
import { resizeBicubic } from '../../src/image/resize.ts';
import { backboneNamed } from '../../src/model/backbones.ts';
import { groups, teacherFeatures } from '../../src/model/groups.ts';
import { detectorParameters } from '../../src/model/methods.ts';
import type { Teacher } from '../../src/model/teacher.ts';
import { decodeImage } from '../../src/platform/node.ts';
import { packagedBackbones, packagedTeacherFile } from '../../src/weights/packaged.ts';
import { loadParameters } from '../../src/weights/parameters.ts';
import { readSafetensors } from '../../src/weights/safetensors.ts';
import { sharedDir } from '../support/shared.ts';

const samples = join(sharedDir, 'imagenet_samples');
const present = existsSync(samples);
if (!present)
  console.warn(
    `skipped: ${samples} is absent. Photographs of ImageNet must not be distributed: SHARED_DIR names a folder ` +
      'with imagenet_samples/{bird,dog,insect,reptile}/*.jpg.',
  );

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

const size = 96;
const batch = 8;

/** Layer-3 features averaged over positions, one row per image. */
async function features(
  backbone: Teacher,
  images: readonly Float32Array[],
  load: (store: ParameterStore) => void,
): Promise<Float32Array[]> {
  const set = detectorParameters(backbone, 'rd');
  const store = new ParameterStore(engine, set);
  load(store);
  const tape = new Tape(set);
  const levels = teacherFeatures(tape, tape.input('images', [batch, size, size, 3], 'channels'), backbone);
  const program = await Program.compile(engine, tape, { outputs: { y: levels[2] as Tensor }, store });
  const rows: Float32Array[] = [];
  for (let start = 0; start < images.length; start += batch) {
    const part = Array.from(
      { length: batch },
      (_, i) => images[Math.min(start + i, images.length - 1)] as Float32Array,
    );
    const y = (await program.run({ images: stack(part) })).y as Float32Array;
    const channels = backbone.levels[2].channels;
    const positions = y.length / batch / channels;
    for (let i = 0; i < batch && start + i < images.length; i++) {
      const row = new Float32Array(channels);
      for (let p = 0; p < positions; p++)
        for (let c = 0; c < channels; c++)
          row[c] = (row[c] as number) + (y[(i * positions + p) * channels + c] as number);
      rows.push(row);
    }
  }
  program.destroy();
  store.destroy();
  return rows;
}

function cosine(a: Float32Array, b: Float32Array): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += (a[i] as number) * (b[i] as number);
    aa += (a[i] as number) ** 2;
    bb += (b[i] as number) ** 2;
  }
  return dot / Math.sqrt(aa * bb);
}

/** Share of images whose nearest other image has their label. */
function nearestNeighbourAccuracy(rows: readonly Float32Array[], labels: readonly string[]): number {
  let hits = 0;
  rows.forEach((row, i) => {
    let best = -1;
    let nearest = -2;
    rows.forEach((other, j) => {
      const similarity = i === j ? -2 : cosine(row, other);
      if (similarity > nearest) [nearest, best] = [similarity, j];
    });
    if (labels[best] === labels[i]) hits++;
  });
  return hits / rows.length;
}

describe.each(packagedBackbones)('the packaged teacher of %s', (name) => {
  test.skipIf(!present)('tells four kinds of animals apart, a random one does not', async () => {
    const backbone = backboneNamed(name);
    const path = `weights/${packagedTeacherFile(name)}`;
    const files = ['bird', 'dog', 'insect', 'reptile'].flatMap((label) =>
      readdirSync(join(samples, label)).map((name) => ({ label, file: join(samples, label, name) })),
    );
    const images = await Promise.all(
      files.map(async ({ file }) =>
        normalize(resizeBicubic(await decodeImage(readFileSync(file), file), size, size)),
      ),
    );
    const labels = files.map(({ label }) => label);
    const own = await features(backbone, images, (store) =>
      loadParameters(store, [groups.teacher], readSafetensors(readFileSync(path)), path, 'teacher.'),
    );
    const random = await features(backbone, images, (store) => initialize(store, [groups.teacher], 0));
    const [accuracy, chance] = [
      nearestNeighbourAccuracy(own, labels),
      nearestNeighbourAccuracy(random, labels),
    ];
    console.log(
      `nearest neighbour among 4 kinds, ${images.length} images: ${name} packaged ${accuracy.toFixed(3)}, random ${chance.toFixed(3)}`,
    );
    expect(accuracy).toBeGreaterThan(chance + 0.15);
  });
});
