/**
 * Device profiles: what each chooses, and that a new one needs nothing but itself.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import * as sizes from '../kernels/sizes.ts';
import { amd } from '../src/engine/device/amd.ts';
import { apple } from '../src/engine/device/apple.ts';
import { arm } from '../src/engine/device/arm.ts';
import { chooseMatrixKernel, chooseSplits, chooseWinogradTiles } from '../src/engine/device/choose.ts';
import { convolutionTile } from '../src/engine/device/convolution_tiles.ts';
import { cpu } from '../src/engine/device/cpu.ts';
import { describeKernel, type MatrixProblem } from '../src/engine/device/families.ts';
import { gpu } from '../src/engine/device/gpu.ts';
import { intel } from '../src/engine/device/intel.ts';
import { lane } from '../src/engine/device/matrix_products.ts';
import { mesaCpu } from '../src/engine/device/mesa_cpu.ts';
import { nvidia } from '../src/engine/device/nvidia.ts';
import type { DeviceProfile } from '../src/engine/device/profile.ts';
import { qualcomm } from '../src/engine/device/qualcomm.ts';
import { swiftshader } from '../src/engine/device/swiftshader.ts';
import type { Target } from '../src/engine/device/target.ts';
import { tuningKey } from '../src/engine/device/tuning.ts';
import { gradients } from '../src/engine/gradients.ts';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import type { Tensor } from '../src/engine/graph/tensor.ts';
import { batchNorm } from '../src/engine/ops/batch_norm.ts';
import { conv2d } from '../src/engine/ops/conv2d.ts';
import { cosineDistance } from '../src/engine/ops/cosine_distance.ts';
import { matchingGate } from '../src/engine/ops/gate.ts';
import { mean, meanSquareError, one, weightedSum } from '../src/engine/ops/reduce.ts';
import { gaussianNorm } from '../src/engine/ops/resample.ts';
import { scoreMap } from '../src/engine/ops/score_map.ts';
import { fuse } from '../src/engine/passes/index.ts';
import { selectProgram } from '../src/engine/plan/lower.ts';
import { dispatchesOf } from '../src/engine/plan/plan.ts';
import type { Retargeting } from '../src/engine/runtime/retarget.ts';
import { offered, planning } from './support/targets.ts';

const { radius } = sizes.scoreMapGaussian;

const tiles = [
  convolutionTile({ outputs: [8, 1], depth: 4 }),
  convolutionTile({ outputs: [4, 1], depth: 4 }),
] as const;

describe('tables', () => {
  const convolution = (own: Partial<MatrixProblem>): MatrixProblem => ({
    family: 'convolution',
    rows: 1024,
    columnQuads: 16,
    depth: 144,
    ...own,
  });
  const chosen = (changes: Retargeting, own: Partial<MatrixProblem> = {}) =>
    describeKernel(chooseMatrixKernel(convolution(own), planning(changes)));
  const of = (profile: DeviceProfile, subgroupSize: number, target: Partial<Target> = {}) => ({
    profile,
    target: { subgroupSize, ...target },
  });

  test.each<[string, string, Retargeting, Partial<MatrixProblem>]>([
    ['lanes of 512-bit vectors', 'SUBGROUP 16, 4, 64, 1', of(mesaCpu, 16), {}],
    ['a small product on them', 'SUBGROUP 16, 4, 32, 1', of(mesaCpu, 16), { rows: 63 }],
    ["Winograd's products on them", 'SUBGROUP 16, 4, 32, 1', of(mesaCpu, 16), { batched: true }],
    ['small ones of Winograd', 'SUBGROUP 16, 4, 16, 1', of(mesaCpu, 16), { batched: true, rows: 16 }],
    ['256-bit vectors', 'SUBGROUP 8, 4, 32, 1', of(mesaCpu, 8), {}],
    ['128-bit vectors that read textures', 'SUBGROUP 4, 4, 32, 1', of(mesaCpu, 4), {}],
    ['SwiftShader', 'SUBGROUP 4, 2, 16, 4', of(swiftshader, 4), {}],
    ['few columns on SwiftShader', 'SUBGROUP 4, 4, 32, 1', of(swiftshader, 4), { columnQuads: 15 }],
    ['a processor without subgroups', 'SUBGROUP 1, 64, 8, 2', of(cpu, 0), {}],
    ['one quad of columns there', 'SUBGROUP 1, 64, 8, 1', of(cpu, 0), { columnQuads: 1 }],
  ])('convolutions: %s', (_, expected, changes, own) => {
    const [first, ...constants] = expected.split(', ');
    const [name, value] = first?.split(' ') ?? [];
    const { module, constants: found } = chooseMatrixKernel(convolution(own), planning(changes));
    expect([module, name]).toEqual(['conv2d_lane', 'SUBGROUP']);
    expect(Object.values(found ?? {})).toEqual([value, ...constants].map(Number));
  });

  /** The shape that an AMD GPU of so many compute units, or so named, takes: threads' outputs, and slices. */
  const shape = (target: Partial<Target>, own: Partial<MatrixProblem>) => {
    const context = planning({ profile: amd });
    const kernel = chooseMatrixKernel(convolution(own), {
      ...context,
      target: amd.target({ ...context.target, ...target }),
    });
    const { ROWS, COLUMNS, SLICES } = kernel.constants as Record<string, number>;
    return [ROWS, COLUMNS, SLICES];
  };
  const vangogh = { architecture: 'rdna-2', device: 'amd-custom-gpu-0405-radv-vangogh-' };
  const navi31 = { architecture: 'rdna-3', device: 'amd-radeon-rx-7900-xtx-radv-navi31-' };
  const renoir = { architecture: 'gcn-5', device: 'amd-radeon-graphics-radv-renoir-' };

  test('convolutions on AMD GPUs: large tiles where there are enough, slices where there are not', () => {
    const stem = { rows: 16384 };
    expect(shape(vangogh, stem)).toEqual([8, 2, 1]);
    expect(shape(vangogh, { rows: 2048 })).toEqual([4, 2, 1]);
    expect(shape(vangogh, { rows: 64 })).toEqual([4, 2, 4]);
    expect(shape(vangogh, { ...stem, columnQuads: 15 })).toEqual([8, 1, 1]);
    expect(shape(renoir, stem)).toEqual([4, 2, 1]);
    expect(shape(navi31, stem)).toEqual([8, 2, 4]);
    expect(shape(navi31, { rows: 2 ** 18 })).toEqual([8, 2, 1]);
    // Two images in a batch have the sums of one; only the tile grows.
    expect(shape(navi31, { rows: 16384, imageRows: 1024 })).toEqual([8, 2, 4]);
    // A card of many units: more slices for one image, which larger batches have as ranges.
    expect(shape(navi31, { rows: 1024, columnQuads: 32 })).toEqual([8, 2, 8]);
    const [few, fewer] = [
      { imageRows: 256, columnQuads: 64 },
      { imageRows: 64, columnQuads: 128 },
    ];
    expect(shape(navi31, { rows: 256, ...few })).toEqual([8, 2, 16]);
    expect(shape(navi31, { rows: 4096, ...few })).toEqual([8, 2, 4]);
    expect(shape(navi31, { rows: 64, ...fewer })).toEqual([8, 2, 16]);
    expect(shape(navi31, { rows: 1024, ...fewer })).toEqual([8, 2, 4]);
    // Sums that are too short for slices.
    expect(shape(navi31, { rows: 256, ...few, depth: 64 })).toEqual([4, 2, 1]);
  });

  test('convolutions on other GPUs: what their registers hold', () => {
    const kernelOn = (profile: DeviceProfile, target: Partial<Target>) => {
      const context = planning({ profile });
      const device = profile.target({ ...context.target, ...target });
      return describeKernel(
        chooseMatrixKernel(convolution({ rows: 2 ** 16 }), { ...context, target: device }),
      );
    };
    const control = { subgroupSizeControl: true };
    expect(kernelOn(intel, { ...control, subgroupSizes: { least: 8, most: 32 } })).toMatch(
      /^conv2d_register .* rows 2 columns 8 shared_columns subgroups of 8$/,
    );
    expect(kernelOn(intel, { ...control, subgroupSizes: { least: 16, most: 32 } })).toMatch(
      / rows 2 columns 8 shared_columns subgroups of 16$/,
    );
    expect(kernelOn(intel, {})).toMatch(/ rows 2 columns 4 shared_columns$/);
    expect(kernelOn(apple, {})).toMatch(/ rows 4 columns 1 /);
    expect(kernelOn(nvidia, {})).toMatch(/ rows 8 columns 2 /);
    expect(kernelOn(gpu, {})).toMatch(/^conv2d_register .* rows 2 columns 2 shared_columns$/);
  });

  test("a GPU's kernels for one image and for many sum up in the same order", () => {
    const [cases, sizes] = [
      [vangogh, navi31, renoir],
      [1, 2, 4, 8, 16, 64, 256],
    ];
    for (const target of cases)
      for (const imageRows of [16, 64, 256, 1024, 4096, 16384])
        for (const columnQuads of [1, 8, 16, 64, 128]) {
          const orders = sizes.map((batch) => {
            const context = planning({ profile: amd });
            const device = amd.target({ ...context.target, ...target });
            const problem = convolution({ rows: batch * imageRows, imageRows, columnQuads });
            const kernel = chooseMatrixKernel(problem, { ...context, target: device });
            const { SLICES = 0 } = kernel.constants as Record<string, number>;
            const { ranges = 1, step } = kernel;
            const parts = SLICES * ranges * (kernel.conditions?.turns ? 2 : 1);
            const { tile } = kernel.splitting ?? kernel;
            // Sums without slices and ranges go from the first step to the last, whatever is a step.
            return SLICES > 1
              ? `${parts} ${step * ranges} ${kernel.ranges ? 'never cut' : [tile.rows, tile.columnQuads]}`
              : 'whole';
          });
          expect(new Set(orders).size).toBe(1);
        }
  });

  test('the size of GPUs of Arm and Qualcomm goes by their names', () => {
    const size = ({ target }: DeviceProfile, device?: string, architecture = 'valhall') =>
      target({ ...offered, architecture, ...(device && { device }) }).parallelism;
    const names = ['mali-g610', 'Mali-G610 MC4', 'mali-g710-mc10', 'Mali-G78', undefined];
    expect(names.map((name) => size(arm, name))).toEqual([96, 64, 160, 256, 128]);
    const numbers = ['turnip-adreno-tm-740', 'Adreno (TM) 660', 'adreno-tm-730', 'adreno-x1-85'];
    expect(numbers.map((name) => size(qualcomm, name))).toEqual([96, 48, 64, 96]);
    const unnamed = ['adreno-6xx', 'adreno-7xx'].map((name) => size(qualcomm, undefined, name));
    expect(unnamed).toEqual([48, 96]);
  });

  test('GPUs of Arm compute in registers, those of Qualcomm in tiles of 64 threads', () => {
    const gradient = { family: 'weight_gradient' } as const;
    expect(chosen(of(arm, 16))).toBe('conv2d_register threads 64 rows 3 columns 2 sampled');
    expect(chosen(of(arm, 0), { columnQuads: 1 })).toBe(
      'conv2d_register threads 64 rows 4 columns 1 sampled',
    );
    expect(chosen(of(arm, 0), gradient)).toBe('weight_gradient_register threads 64 columns 2 pixels 4');
    expect(chosen(of(arm, 0), { ...gradient, columnQuads: 1 })).toMatch('columns 1 pixels 4');
    const adreno = (architecture: string, own: Partial<MatrixProblem> = {}) =>
      chosen(of(qualcomm, 64, { architecture }), own);
    const wide = { rows: 2 ** 16 };
    const shape = 'conv2d_tile across 8 down 8 rows 4 columns';
    expect(adreno('adreno-7xx', wide)).toBe(`${shape} 2 depth 4 slices 1`);
    expect(adreno('adreno-6xx', wide)).toBe(`${shape} 2 depth 4 slices 1 prefetch`);
    expect(adreno('adreno-6xx')).toBe(`${shape} 1 depth 4 slices 1`);
    expect(adreno('adreno-7xx', { ...gradient, rows: 4608, columnQuads: 128 })).toBe(
      'weight_gradient_tile across 8 down 8 rows 1 columns 2 depth 8 prefetch',
    );
  });

  test('weight gradients', () => {
    const gradient = { family: 'weight_gradient' } as const;
    expect(chosen(of(mesaCpu, 8), gradient)).toBe(describeKernel(lane('weight_gradient', 8, 4, 8, 1)));
    expect(chosen(of(cpu, 0), gradient)).toBe(describeKernel(lane('weight_gradient', 1, 64, 2, 4)));
    expect(chosen(of(gpu, 0), gradient)).toBe(
      'weight_gradient_register threads 64 columns 2 pixels 2 shared_columns',
    );
  });

  test('GPUs split sums whose tiles leave them idle, processors do not', () => {
    const splits = (profile: DeviceProfile, workgroups: number, steps: number) =>
      chooseSplits('convolution', workgroups, steps, planning({ profile, target: { parallelism: 512 } }), {
        kernel: tiles[0],
        depth: steps,
      });
    expect([splits(gpu, 8, 144), splits(gpu, 100, 144), splits(gpu, 8, 31), splits(gpu, 500, 500)]).toEqual([
      8, 1, 1, 1,
    ]);
    expect(splits(mesaCpu, 1, 500)).toBe(1);
  });

  test("Winograd's form needs channels that pay for its transforms, and tiles that fill a kernel", () => {
    const tiles = (changes: Retargeting, channels: number, side = 16, compact = false) =>
      chooseWinogradTiles(
        { height: side, width: side, inputChannels: channels, outputChannels: channels, compact },
        planning(changes),
      );
    expect([tiles(of(mesaCpu, 8), 256), tiles(of(mesaCpu, 8), 255)]).toEqual([[4, 2], []]);
    expect([tiles(of(swiftshader, 4), 32), tiles(of(swiftshader, 4), 31)]).toEqual([[4, 2], []]);
    expect([tiles(of(swiftshader, 4), 32, 8), tiles(of(swiftshader, 4), 32, 6)]).toEqual([[2], []]);
    expect([tiles(of(mesaCpu, 16), 256, 31, true), tiles(of(mesaCpu, 16), 256, 32, true)]).toEqual([
      [],
      [4, 2],
    ]);
    expect(tiles(of(gpu, 32), 512)).toEqual([]);
  });

  test('a GPU merges the moments of many tiles by workgroups', () => {
    const merge = ({ kernels }: DeviceProfile, chunks: number) =>
      kernels.batchNorm.merge({ chunks, channelQuads: 16 }, planning().target).itemsPerWorkgroup;
    expect([merge(gpu, 32), merge(gpu, 2048), merge(mesaCpu, 2048)]).toEqual([16, 1, 64]);
  });

  test('a GPU copies weights into their texture by 256 workgroups where they are as many quads', () => {
    const pack = ({ kernels }: DeviceProfile, columns: number, rows: number) =>
      kernels.pack({ columns, rows }, planning().target).rowsPerThread;
    // 3 x 3 weights of 64, 128 and 256 channels: 144 x 64 quads, 576 and 2304.
    expect([pack(arm, 48, 192), pack(arm, 96, 384), pack(arm, 192, 768)]).toEqual([1, 2, 4]);
    expect(pack(mesaCpu, 48, 192)).toBe(64);
  });

  test('sums per channel keep about 4096 threads busy with eight pixels each, or more', () => {
    const chunk = (pixels: number, quads: number) =>
      cpu.kernels.channelSums.chunk(pixels, quads, planning().target);
    expect([chunk(65536, 16), chunk(64, 16), chunk(7, 1), chunk(100, 5000)]).toEqual([256, 8, 7, 100]);
  });

  test('what is forced decides before what was tuned, and that before the table', () => {
    const problem = convolution({});
    const [tuned, forced] = tiles;
    const changes = { ...of(mesaCpu, 8), tuned: { [tuningKey(problem)]: tuned } };
    expect(chooseMatrixKernel(problem, planning(changes))).toBe(tuned);
    expect(chooseMatrixKernel({ ...problem, batched: true }, planning(changes))).not.toBe(tuned);
    const force = { convolution: forced };
    expect(chooseMatrixKernel(problem, planning({ ...changes, force }))).toBe(forced);
  });

  test('only Mesa reads operands from textures, where kernels may and subgroups are there', () => {
    const textures = (changes: Retargeting) => {
      const { profile, target } = planning(changes);
      return profile.rewrites(target).textures;
    };
    expect(textures(of(mesaCpu, 8))).toBe(true);
    expect(textures(of(mesaCpu, 0))).toBe(false);
    expect(textures(of(mesaCpu, 8, { storageTextures: false }))).toBe(false);
    expect([textures(of(swiftshader, 4)), textures(of(cpu, 8)), textures(of(gpu, 32))]).toEqual([
      false,
      false,
      false,
    ]);
  });
});

describe('kernel files have the sizes that the host counts with', () => {
  const folder = new URL('../kernels/', import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith('.wesl'));
  const text = (name: string) => readFileSync(new URL(`${name}.wesl`, folder), 'utf8');
  const numbers = (names: readonly string[], pattern: RegExp) => [
    ...new Set(names.flatMap((name) => [...text(name).matchAll(pattern)].map(([, n]) => Number(n)))),
  ];
  const all = files.map((name) => name.slice(0, -5));
  // The kernels whose whole workgroup adds up or searches, and the files that do it.
  const sums = all.filter((name) =>
    /workgroup_sum|package::columns|topk_mean_rounds/.test(name + text(name)),
  );
  const others = all.filter((name) => !sums.includes(name));

  test.each<[string, readonly string[], RegExp, number[]]>([
    // One kernel has a single thread, as a sum of four scalars needs no more.
    ['threads of a workgroup', others, /@workgroup_size\((\d+)\)/g, [sizes.workgroupSize, 1]],
    ['threads of a sum or a search on GPUs', sums, /(?:size\(|array<\w+, )(\d{3,})/g, [sizes.sumThreads]],
    ['a line of a texture', all, /[%/] (\d{3,})u/g, [sizes.textureWidth]],
    ['quads of a line of packed weights', ['texture'], /\) \/ (\d+)u \* \1u/g, [sizes.packedQuads]],
    ['rows that a thread packs', ['texture'], /const chunk = (\d+)u/g, [sizes.packedRows]],
    ['rows that a thread scales', ['batch_norm_fold'], /const rows_per_thread = (\d+)u/g, [sizes.scaledRows]],
    ["the Gaussian's radius", ['score_map'], /const RADIUS = (\d+)u/g, [sizes.scoreMapGaussian.radius]],
    ['a row of pixels', ['score_map'], /line: array<f32, (\d+)>/g, [sizes.scoreMapLimits.row + 2 * radius]],
    ['rows of the levels', ['score_map'], /level_rows: array<f32, (\d+)>/g, [sizes.scoreMapLimits.levels]],
    ['rows of a map per workgroup', ['score_map'], /group\.y \* (\d+)u/g, [sizes.scoreMapTile.height]],
    ['quads of them', ['score_map'], /group\.x \* (\d+)u/g, [sizes.scoreMapTile.width / 4]],
  ])('%s', (_, names, pattern, expected) => {
    expect(numbers(names, pattern)).toEqual(expected);
  });

  test('the radius is four deviations', () => {
    expect(gaussianNorm(sizes.scoreMapGaussian.sigma).radius).toBe(radius);
  });
});

test('operations ask the profile for every kernel of a family', () => {
  const constants = { CHOSEN: 1 };
  /** The families, with a mark on every candidate that they give. */
  const marked = <Families extends object>(families: Families): Families =>
    Object.fromEntries(
      Object.entries(families).map(([name, value]) => [
        name,
        typeof value === 'object'
          ? marked(value)
          : (...given: unknown[]) => {
              const chosen = value(...given);
              return typeof chosen === 'object' && 'module' in chosen ? { ...chosen, constants } : chosen;
            },
      ]),
    ) as Families;
  const lowering = planning({ profile: { ...gpu, kernels: marked(gpu.kernels) } });
  const tape = new Tape(new ParameterSet());
  const input = (name: string, shape: readonly number[]) => tape.input(name, shape, 'channels');
  const weights = tape.input('w', [3, 3, 16, 16], 'filter');
  const b = input('b', [16]);
  const convolved = conv2d(tape, input('x', [2, 8, 8, 16]), weights, b, { padding: 1 });
  const names = ['weight', 'bias', 'running_mean', 'running_var'] as const;
  const [weight, bias, running_mean, running_var] = names.map((name) =>
    tape.parameter(name, [16], 'channels', 'state'),
  ) as [Tensor, Tensor, Tensor, Tensor];
  const parameters = { weight, bias, running_mean, running_var };
  const y = batchNorm(tape, convolved, parameters, { training: true });
  const gate = matchingGate(tape, y, tape.input('keys', [1, 1, 6, 16], 'filter'));
  const { map, flat } = cosineDistance(tape, y, input('other', [2, 8, 8, 16]));
  const losses = [mean(tape, gate), mean(tape, map), mean(tape, flat), meanSquareError(tape, y, convolved)];
  const loss = weightedSum(tape, losses, [1, 1, 1, 1]);
  const found = gradients(tape, new Map([[loss, one(tape)]]), [weights, weight, b]);
  const level = (side: number, name: string) => input(name, [2, side, side, 16]);
  const pyramid = (name: string) => [16, 8, 4].map((side) => level(side, `${name}${side}`));
  const score = scoreMap(tape, pyramid('teacher'), pyramid('student'), 64);
  // A sum would take in a mean that nothing else reads.
  const outputs = [loss, ...losses, score.map, score.score, ...found.values()];
  const plan = dispatchesOf(selectProgram(fuse(tape, outputs, lowering), lowering).main);
  const isChosen = new Map<string, boolean>();
  for (const { kernel } of plan) {
    if (kernel === 'copy') continue;
    const name = `${kernel.module}.${kernel.entry}`;
    isChosen.set(name, (isChosen.get(name) ?? true) && kernel.constants?.CHOSEN === 1);
  }
  const list = (chosen: boolean) =>
    [...isChosen.keys()].filter((name) => isChosen.get(name) === chosen).sort();
  expect(list(true)).toMatchInlineSnapshot(`
    [
      "batch_norm.apply",
      "batch_norm.apply_gradient",
      "batch_norm_columns.gradient_sums",
      "batch_norm_columns.merge",
      "batch_norm_columns.merge_gradient",
      "batch_norm_columns.statistics",
      "channel_sums.channel_sum",
      "conv2d_register.main",
      "cosine_distance_flat.flatten",
      "cosine_distance_lanes.gradient",
      "cosine_distance_lanes.positions",
      "gate_lanes.gate_forward",
      "gate_lanes.gate_gradient",
      "normalize_lanes.forward",
      "normalize_lanes.gradient",
      "reduce_groups.mean",
      "reduce_groups.square_error",
      "score_map_lanes.level_distances",
      "score_map_smooth.smooth_columns",
      "score_map_smooth.smooth_rows",
      "sum_partials.ahead",
      "weight_gradient_register.main",
    ]
  `);
  // What has one form everywhere: bound by memory, or no work at all.
  expect(list(false)).toMatchInlineSnapshot(`
    [
      "elementwise.add",
      "elementwise.square_error_gradient",
      "reduce.weighted_sum",
    ]
  `);
});
