/** Tape, gradients, plans and placement, kernel texts and layouts, without a GPU. */
import { describe, expect, test } from 'vitest';
import { textureWidth } from '../kernels/sizes.ts';
import { type Dispatch, groups } from '../src/engine/dispatch.ts';
import { gradients } from '../src/engine/gradients.ts';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { printNodes } from '../src/engine/graph/print.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import { byteLength, pack, type Tensor, unpack } from '../src/engine/graph/tensor.ts';
import { evaluate, expand } from '../src/engine/kernels/expand.ts';
import { linkKernel } from '../src/engine/kernels/link.ts';
import { batchNorm } from '../src/engine/ops/batch_norm.ts';
import { conv2d } from '../src/engine/ops/conv2d.ts';
import { cosineDistance } from '../src/engine/ops/cosine_distance.ts';
import { add, relu } from '../src/engine/ops/elementwise.ts';
import { mean, one } from '../src/engine/ops/reduce.ts';
import { scratch } from '../src/engine/ops/scratch.ts';
import { fuse } from '../src/engine/passes/index.ts';
import { select } from '../src/engine/plan/lower.ts';
import { place, printPlacement } from '../src/engine/plan/place.ts';
import { placeTextures } from '../src/engine/plan/place_textures.ts';
import { printPlan } from '../src/engine/plan/plan.ts';
import { backbones } from '../src/model/backbones.ts';
import { detect, detectorParameters } from '../src/model/methods.ts';
import { planning } from './support/targets.ts';

const target = planning({ force: { rewrites: { winograd: false, textures: false, statistics: false } } });

function block(tape: Tape, training: boolean): { x: Tensor; y: Tensor } {
  const x = tape.input('x', [1, 4, 4, 4], 'channels');
  const w = tape.parameter('w', [3, 3, 4, 4], 'filter', 'model');
  const state = (name: string) => tape.parameter(name, [4], 'channels', 'model');
  const norm = {
    weight: state('weight'),
    bias: state('bias'),
    running_mean: state('mean'),
    running_var: state('var'),
  };
  const y = batchNorm(tape, conv2d(tape, x, w, undefined, { padding: 1 }), norm, {
    training,
    relu: true,
    residual: x,
  });
  return { x, y };
}

describe('tape', () => {
  test('prints one readable line per operation', () => {
    const tape = new Tape(new ParameterSet());
    block(tape, true);
    expect(printNodes(tape.nodes)).toMatchInlineSnapshot(`
      "%6[1x4x4x4] = conv2d(x=$x[1x4x4x4], w=@w[3x3x4x4]) {stride=1 padding=1 dilation=1 relu=false}
      %7[1x4x4x4], %8[2x4] = batch_norm(x=%6[1x4x4x4], weight=@weight[4], bias=@bias[4], running_mean=@mean[4], running_var=@var[4], residual=$x[1x4x4x4]) {training=true relu=true epsilon=0.00001 momentum=0.1}"
    `);
  });
});

describe('gradients', () => {
  test('only what reaches a wanted tensor is built', () => {
    const tape = new Tape(new ParameterSet());
    const x = tape.input('x', [1, 4, 4, 4], 'channels');
    const frozen = tape.parameter('frozen', [1, 1, 4, 4], 'filter', 'a');
    const trained = tape.parameter('trained', [1, 1, 4, 4], 'filter', 'b');
    const y = conv2d(tape, conv2d(tape, x, frozen), trained);
    const loss = mean(tape, cosineDistance(tape, x, y).map);
    const before = tape.nodes.length;
    const found = gradients(tape, new Map([[loss, one(tape)]]), [trained]);
    expect([...found.keys()]).toEqual([trained]);
    expect(tape.nodes.slice(before).map((node) => node.definition.name)).toEqual([
      'fill_mean',
      'cosine_distance_gradient',
      'conv2d_weight_gradient',
    ]);
  });

  test('contributions of two uses are added', () => {
    const tape = new Tape(new ParameterSet());
    const x = tape.input('x', [1, 1, 1, 4], 'channels');
    const y = add(tape, relu(tape, x), x);
    const seed = tape.input('seed', y.shape, 'channels');
    gradients(tape, new Map([[y, seed]]), [x]);
    expect(tape.nodes.at(-1)?.definition.name).toBe('add');
  });
});

describe('select and place', () => {
  function plan() {
    const set = detectorParameters(backbones.resnet18, 'aand');
    const tape = new Tape(set);
    const { map, score } = detect(
      tape,
      tape.input('images', [1, 64, 64, 3], 'channels'),
      backbones.resnet18,
      'aand',
    );
    const fused = fuse(tape, [map, score], target);
    return {
      outputs: [map, score],
      prologue: new Set(fused.prologue.flatMap((n) => Object.values(n.outputs))),
      planned: select(fused.nodes, target),
    };
  }

  test('the detector needs few dispatches, and its score map three', () => {
    const lines = printPlan(plan().planned).split('\n');
    expect(lines.length).toBeLessThanOrEqual(90);
    expect(lines.filter((line) => line.startsWith('score_map'))).toHaveLength(3);
    expect(lines[0]).toBe(
      'conv2d: conv2d_lane.main,bias,subgroups,SUBGROUP=8,SUBGROUPS=4,ROWS=32,COLUMNS=1 <16,1,1>',
    );
  });

  test('values that live at the same time never overlap, and the arena is near its lower bound', () => {
    const { planned, outputs, prologue } = plan();
    const dispatches = planned.flatMap((p) => p.dispatches);
    const own = (tensor: Tensor) =>
      tensor.role === 'parameter' || tensor.role === 'constant' || prologue.has(tensor);
    const result = place(dispatches, outputs, own, 2 ** 32, 2 ** 27);
    const span = new Map<Tensor, [number, number]>();
    dispatches.forEach((dispatch: Dispatch, i) => {
      for (const binding of Object.values(dispatch.bindings)) {
        const tensor = 'role' in binding ? binding : 'tensor' in binding ? binding.tensor : undefined;
        if (!tensor || own(tensor)) continue;
        const first = span.get(tensor)?.[0] ?? (tensor.role === 'input' ? -1 : i);
        span.set(tensor, [first, outputs.includes(tensor) ? dispatches.length : i]);
      }
    });
    const placed = [...result.placements];
    for (const [a, at] of placed)
      for (const [b, bt] of placed) {
        if (a === b || at.arena !== bt.arena) continue;
        const [sa, sb] = [span.get(a) as [number, number], span.get(b) as [number, number]];
        const together = sa[0] <= sb[1] && sb[0] <= sa[1];
        const overlap = at.offset < bt.offset + bt.size && bt.offset < at.offset + at.size;
        expect(together && overlap, `${a.name} and ${b.name}`).toBe(false);
      }
    expect(printPlacement(result)).toMatch(
      /score_map\.\d+\.map \[1,64,64\] arena 0 \+\d+ \(16384\)[\s\S]*lower bound \d+$/,
    );
    const total = result.arenaSizes.reduce((sum, size) => sum + size, 0);
    expect(total).toBeLessThanOrEqual(1.3 * result.lowerBound);
  });

  test('a tensor beyond the binding limit is named', () => {
    const { planned, outputs } = plan();
    expect(() =>
      place(
        planned.flatMap((p) => p.dispatches),
        outputs,
        () => false,
        2 ** 32,
        100_000,
      ),
    ).toThrow(/needs \d+ bytes, more than the 100000 that this device binds at once: use a smaller batch/);
  });

  test('tensors in textures that do not live at the same time share one; prepared ones keep their own', () => {
    const inTexture = (name: string, lines: number) => scratch(name, [lines * textureWidth * 4], 'texture');
    const [a, b, c, kept] = [inTexture('a', 4), inTexture('b', 2), inTexture('c', 1), inTexture('kept', 1)];
    const use = (...tensors: Tensor[]): Dispatch => ({
      kernel: 'copy',
      bindings: Object.fromEntries(tensors.map((tensor) => [tensor.name, tensor])),
      uniforms: {},
      workgroups: [0, 0, 0],
      writes: [],
    });
    // a lives in 0..1, b in 1..2, c in 3; kept is read in 3 and must survive to the next run.
    const { textureOf, textures } = placeTextures([use(a), use(a, b), use(b), use(c, kept)], new Set([kept]));
    expect(textureOf.get(a)).not.toBe(textureOf.get(b));
    expect(textureOf.get(c)).toBe(textureOf.get(a));
    expect([...textureOf].filter(([, texture]) => texture === textureOf.get(kept))).toHaveLength(1);
    expect(textures.map(({ height }) => height).sort()).toEqual([1, 2, 4]);
    // Textures of 16-bit floats are of another format.
    const small = { ...inTexture('small', 1), half: true };
    const mixed = placeTextures([use(a), use(small)], new Set());
    expect(mixed.textures.map(({ height, half }) => [height, half])).toEqual([
      [4, false],
      [1, true],
    ]);
  });

  test('arenas stay within the largest buffer', () => {
    const { planned, outputs, prologue } = plan();
    const own = (tensor: Tensor) =>
      tensor.role === 'parameter' || tensor.role === 'constant' || prologue.has(tensor);
    const result = place(
      planned.flatMap((p) => p.dispatches),
      outputs,
      own,
      300_000,
      2 ** 27,
    );
    expect(result.arenaSizes.length).toBeGreaterThan(1);
    for (const size of result.arenaSizes) expect(size).toBeLessThanOrEqual(300_000);
  });

  test('large grids are folded below the limit of 65,535 workgroups', () => {
    expect(groups(65535)).toEqual([65535, 1, 1]);
    const [x, y] = groups(200_000);
    expect(x).toBeLessThanOrEqual(65535);
    expect(x * y).toBeGreaterThanOrEqual(200_000);
  });
});

describe('expand', () => {
  test('integer expressions', () => {
    const constants = new Map([['N', 8]]);
    expect(evaluate('N / 2u + 3u % 2u', constants)).toBe(5);
    expect(evaluate('(1u + 2u) * N - 4u', constants)).toBe(20);
    expect(evaluate('x + 1u', constants)).toBeUndefined();
  });

  test('unroll_ loops are written out and their arrays split', () => {
    const text = `const N = 2u;
fn f() {
  var a: array<vec4f, N>;
  for (var unroll_i = 0u; unroll_i < N; unroll_i++) {
    a[unroll_i] += vec4f(f32(unroll_i));
  }
}
fn g() { var a: array<u32, 4>; for (var i = 0u; i < 4u; i++) { a[i] = i; } }`;
    const result = expand(text);
    expect(result).toContain('var a_0: vec4f; var a_1: vec4f;');
    expect(result).toContain('a_1 += vec4f(f32(1u));');
    expect(result).not.toContain('unroll_');
    expect(result).toContain('var a: array<u32, 4>; for (var i = 0u;');
  });

  test('a loop whose bound is not constant is refused', () => {
    expect(() => expand('fn f() { for (var unroll_i = 0u; unroll_i < n; unroll_i++) { } }')).toThrow(
      /'n' of loop unroll_i/,
    );
  });

  test('every array of accumulators of the lane kernel is split', async () => {
    const code = await linkKernel({
      module: 'conv2d_lane',
      entry: 'main',
      conditions: { bias: true, subgroups: true },
      constants: { SUBGROUP: 8, SUBGROUPS: 4, ROWS: 32, COLUMNS: 1 },
    });
    expect(code).toContain('sum_31');
    expect(code).not.toMatch(/var sum: array/);
  });
});

describe('tensor layouts', () => {
  test('padding to quads and back', () => {
    const spec = { shape: [2, 3], layout: 'channels' } as const;
    const packed = pack(new Float32Array([1, 2, 3, 4, 5, 6]), spec);
    expect([...packed]).toEqual([1, 2, 3, 0, 4, 5, 6, 0]);
    expect([...unpack(packed as Float32Array, spec)]).toEqual([1, 2, 3, 4, 5, 6]);
    const filter = { shape: [1, 2, 3, 2], layout: 'filter' } as const;
    const values = Float32Array.from({ length: 12 }, (_, i) => i + 1);
    expect(byteLength(filter)).toBe(2 * 4 * 4 * 4);
    expect([...unpack(pack(values, filter) as Float32Array, filter)]).toEqual([...values]);
  });

  test('a wrong number of values is refused', () => {
    expect(() => pack(new Float32Array(5), { shape: [2, 3], layout: 'channels' }, "input 'x'")).toThrow(
      "input 'x': 5 values given, shape [2,3] needs 6",
    );
  });
});
