/** Known answers (method, 5). */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { OpHarness } from '../bench/support/golden_ops.ts';
import { RandomStream } from '../src/base/random.ts';
import type { Tensor } from '../src/engine/graph/tensor.ts';
import { amplificationLoss } from '../src/engine/ops/amplification_loss.ts';
import { focalLoss } from '../src/engine/ops/focal_loss.ts';
import { matchingGate } from '../src/engine/ops/gate.ts';
import { gaussianBlur, gaussianNorm } from '../src/engine/ops/resample.ts';
import { scoreMap } from '../src/engine/ops/score_map.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { backbones } from '../src/model/backbones.ts';
import { groups } from '../src/model/groups.ts';
import { hardDistillationLoss } from '../src/model/losses.ts';
import { detectorParameters } from '../src/model/methods.ts';
import { storedShape } from '../src/weights/names.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

const random = (count: number, key: string) => {
  const stream = new RandomStream(key);
  return Float32Array.from({ length: count }, () => stream.uniform(0.1, 1));
};

describe('known answers', () => {
  test('focal loss at g = 0.5', async () => {
    for (const [mask, expected] of [
      [1, 0.138629],
      [0, 0.0346574],
    ] as const) {
      const h = new OpHarness();
      const gate = h.input('g', [1, 2, 2], 'dense', new Float32Array(4).fill(0.5));
      const { loss } = focalLoss(
        h.tape,
        gate,
        h.input('m', [1, 2, 2], 'dense', new Float32Array(4).fill(mask)),
      );
      expect((await h.run(engine, { loss })).loss?.[0]).toBeCloseTo(expected, 6);
    }
  });

  test('equal keys leave the gate at 0.5; its bounds are those of |cosine| = 1', async () => {
    const h = new OpHarness();
    const query = h.input('q', [1, 3, 1, 8], 'channels', random(24, 'query'));
    const equal = h.input('k', [1, 1, 100, 8], 'filter', new Float32Array(800).fill(0.3));
    const opposed = Float32Array.from({ length: 800 }, (_, i) => (i < 400 ? -1 : 1));
    const ones = h.input('ones', [1, 1, 1, 8], 'channels', new Float32Array(8).fill(1));
    const values = await h.run(engine, {
      equal: matchingGate(h.tape, query, equal),
      bound: matchingGate(h.tape, ones, h.input('o', [1, 1, 100, 8], 'filter', opposed)),
    });
    for (const g of values.equal ?? []) expect(g).toBeCloseTo(0.5, 6);
    expect(values.bound?.[0]).toBeCloseTo(0.9999546, 6);
  });

  test('the amplification loss of unchanged features is the margin; an empty set gives 0', async () => {
    for (const [counts, expected] of [
      [[8, 3], 0.3],
      [[8, 0], 0],
      [[0, 3], 0],
    ] as const) {
      const h = new OpHarness();
      const abnormal = h.input('f', [1, 3, 1, 6], 'channels', random(18, 'abnormal'));
      const loss = amplificationLoss(h.tape, {
        normal: h.input('n', [1, 8, 1, 6], 'channels', random(48, 'normal')),
        abnormal,
        amplified: abnormal,
        counts: h.input('c', [2], 'dense', new Float32Array(counts)),
      });
      expect((await h.run(engine, { loss })).loss?.[0]).toBeCloseTo(expected, 6);
    }
  });

  test('orthogonal features have an HKD loss of 2 per level', async () => {
    const h = new OpHarness();
    const half = (offset: number) =>
      Float32Array.from({ length: 2 * 16 * 8 }, (_, i) => (i % 8 < 4 === (offset === 0) ? 1 : 0));
    const a = h.input('a', [2, 4, 4, 8], 'channels', half(0));
    const b = h.input('b', [2, 4, 4, 8], 'channels', half(1));
    const loss = hardDistillationLoss(h.tape, [a], [b], { hard: true });
    expect((await h.run(engine, { loss })).loss?.[0]).toBeCloseTo(2, 6);
  });

  test('the Gaussian of sigma 4', async () => {
    const { radius, norm } = gaussianNorm(4);
    expect(radius).toBe(16);
    expect(norm).toBeCloseTo(0.0997391, 6);
    expect(norm * Math.exp(-1 / 32)).toBeCloseTo(0.0966705, 6);
    expect(norm * Math.exp(-8)).toBeCloseTo(3.34587e-5, 9);
    const h = new OpHarness();
    const impulse = new Float32Array(64 * 64);
    impulse[32 * 64 + 32] = 1;
    const y = gaussianBlur(h.tape, h.input('x', [1, 64, 64], 'dense', impulse), 4);
    expect(Math.max(...((await h.run(engine, { y })).y ?? []))).toBeCloseTo(0.00994789, 7);
  });

  test('a student equal to its teacher has a map of 0', async () => {
    const h = new OpHarness();
    const levels = [8, 4, 2].map((side) =>
      h.input(`t${side}`, [1, side, side, 8], 'channels', random(side * side * 8, 'same')),
    );
    const { map, score } = scoreMap(
      h.tape,
      levels,
      levels.map((t, i) => copy(h, t, i)),
      32,
    );
    const values = await h.run(engine, { map, score });
    expect(Math.max(...(values.map ?? []).map(Math.abs))).toBeLessThan(1e-6);
    expect(values.score?.[0]).toBeLessThan(1e-6);
  });

  test('parameter counts and shapes of the four backbones', () => {
    // Trainable parameters of bottleneck and decoder: conv4 and bn4, which are never computed, are left out.
    const unused = (e: number) => 1024 * e * 512 * e + 2 * 512 * e;
    const published = {
      resnet18: [12_205_312, 3_703_168],
      resnet34: [16_925_952, 5_770_624],
      resnet50: [39_222_272, 15_821_824],
      wide_resnet50_2: [67_277_824, 24_917_504],
    } as const;
    for (const [name, [bottleneck, decoder]] of Object.entries(published)) {
      const backbone = backbones[name as keyof typeof published];
      const specs = detectorParameters(backbone, 'aand').specs.filter((spec) => !/running_/.test(spec.name));
      const count = (prefix: string) =>
        specs
          .filter((spec) => spec.name.startsWith(prefix))
          .reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
      expect(count('bottleneck.'), name).toBe(bottleneck - unused(backbone.expansion));
      expect(count('student.'), name).toBe(decoder);
    }
    const wide = new Map(
      detectorParameters(backbones.wide_resnet50_2, 'aand').specs.map((spec) => [
        spec.name,
        storedShape(spec),
      ]),
    );
    expect(wide.get('bottleneck.bn_layer.0.conv1.weight')).toEqual([1024, 3072, 1, 1]);
    expect(wide.get('bottleneck.bn_layer.0.downsample.0.weight')).toEqual([2048, 3072, 1, 1]);
    expect(wide.get('student.layer1.0.conv2.weight')).toEqual([512, 512, 2, 2]);
    expect(wide.get('student.layer3.0.upsample.0.weight')).toEqual([512, 256, 2, 2]);
    expect(wide.get('teacher.feat_recons_c.K_list.0')).toEqual([1, 100, 1024]);
    expect(detectorParameters(backbones.resnet18, 'rd').groups).toEqual([groups.teacher, groups.student]);
  });
});

/** The same values in memory of their own: one buffer range cannot be bound twice. */
function copy(h: OpHarness, tensor: Tensor, i: number): Tensor {
  return h.input(`copy${i}`, tensor.shape, 'channels', h.values[tensor.name] as Float32Array);
}
