/** Kernels declare themselves: what the build reads in them, and what is refused because of it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { kernelContracts } from '../kernels/generated.ts';
import { generatedText, generateKernels, readKernels } from '../scripts/kernels/generate.ts';
import { shippedVariants } from '../scripts/kernels/variants.ts';
import type { Dispatch, KernelVariant } from '../src/engine/dispatch.ts';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { type Node, Tape } from '../src/engine/graph/tape.ts';
import { checkPlan } from '../src/engine/kernels/check.ts';
import { kernelInterface } from '../src/engine/kernels/contract.ts';
import { linkKernel } from '../src/engine/kernels/link.ts';
import { reflectKernels } from '../src/engine/kernels/reflect/reflect.ts';
import { and, isNever, not, or } from '../src/engine/kernels/reflect/when.ts';
import { relu } from '../src/engine/ops/elementwise.ts';
import { operationOf } from '../src/engine/ops/operation.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { backbones } from '../src/model/backbones.ts';
import { expectContract, isParsed, objections } from './support/contracts.ts';
import { planning } from './support/targets.ts';

/** A small kernel with everything that a contract says. */
const twice = `
import constants::THREADS;
import package::help::scaled;
struct Uniforms { count: u32, @if(shifted) shift: i32, factor: f32 }
@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@if(!stored) @group(0) @binding(2) var<storage, read_write> y: array<f32>;
@if(stored) @group(0) @binding(2) var y: texture_storage_2d<rgba16float, write>;
@group(0) @binding(3) var<storage, read_write> unused: array<f32>;
const TWICE = 2u * THREADS;
@compute @workgroup_size(TWICE, 2)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let x0 = x[id.x];
  if (id.x < uniforms.count) {
    @if(stored) textureStore(y, id.xy, vec4f(scaled(x0)));
    @else y[id.x] = scaled(x0);
  }
}
@compute @workgroup_size(1)
fn clear() { x[0] = 0.0; let unused = 1u; x[unused] = 0.0; }
`;
const help = `
import package::twice::uniforms;
fn scaled(value: f32) -> f32 {
  @if(shifted) { return value * uniforms.factor + f32(uniforms.shift); }
  @else { return value; }
}
`;

describe('what is read in a kernel file', () => {
  const contract = reflectKernels({ twice, help }).twice;

  test('conditions, constants, uniforms and bindings, with the conditions under which they are there', () => {
    expect(contract?.conditions).toEqual(['shifted', 'stored']);
    expect(contract?.constants).toEqual(['THREADS']);
    expect(contract?.uniforms).toEqual([
      { name: 'count', type: 'u32' },
      { name: 'shift', type: 'i32', when: [['shifted']] },
      { name: 'factor', type: 'f32' },
    ]);
    expect(contract?.bindings).toEqual([
      { name: 'x', index: 1, kind: 'buffer' },
      { name: 'y', index: 2, kind: 'buffer', when: [['!stored']] },
      { name: 'y', index: 2, kind: 'written texture', format: 'rgba16float', when: [['stored']] },
      { name: 'unused', index: 3, kind: 'buffer' },
    ]);
  });

  test('what each entry point uses, through the functions that it calls; a local name hides a binding', () => {
    expect(contract?.entries.main).toEqual({
      workgroupSize: ['(2u * THREADS)', '2', '1'],
      bindings: { x: true, y: true },
      writes: { y: true },
      uniforms: { count: true, factor: [['shifted']], shift: [['shifted']] },
    });
    expect(contract?.entries.clear).toEqual({
      workgroupSize: ['1', '1', '1'],
      bindings: { x: true },
      writes: { x: true },
      uniforms: {},
    });
  });

  test.each([
    [
      'an entry point that uses two bindings at one index',
      ['@binding(3) var<storage, read_write> unused', '@binding(1) var<storage, read_write> other'],
      "'other' and 'x' have the same @binding(1), and entry point 'clear' uses both",
    ],
    ['a binding that is only read', ['read_write> x', 'read> x'], "binding 'x' is var<storage, read>"],
    [
      'a texture of another kind',
      ['texture_storage_2d<rgba16float, write>', 'texture_3d<f32>'],
      'texture_3d',
    ],
    ['another group', ['@group(0) @binding(1)', '@group(1) @binding(1)'], "binding 'x' is not at @group(0)"],
    ['a uniform that is no scalar', ['count: u32', 'count: vec2u'], "the uniform 'count' is a vec2u"],
    ['uniforms elsewhere than at 0', ['@binding(0) var<uniform>', '@binding(4) var<uniform>'], '@binding(0)'],
    ['the whole uniform block as a value', ['id.x < uniforms.count', 'all(uniforms)'], 'is used whole'],
    ['an import of nothing', ['help::scaled', 'help::halved'], "it imports 'halved' from 'help'"],
    ['an import from elsewhere', ['package::help', 'other::lib::help'], 'is neither package::FILE::NAME'],
    ['a pointer that is passed on', ['scaled(x0)', 'scaled(&x)'], "a pointer to 'x' is passed on"],
    ['text that does not parse', ['fn main(', 'fn main['], 'kernels/twice.wesl'],
    [
      'a workgroup of unknown size',
      ['@workgroup_size(1)', '@workgroup_size(u32(f()))'],
      'the size of a work',
    ],
  ] as const)('%s is found', (title, [from, to], message) => {
    const own = twice.replaceAll(from, to).replace('let unused = 1u; x[unused]', 'x[0]');
    // The entry point that uses what is new.
    const used = title.includes('uses two bindings')
      ? own.replace('x[0] = 0.0; }', 'x[0] = other[0]; }')
      : own;
    expect(() => reflectKernels({ twice: used, help })).toThrow(message);
  });

  test('bindings that no entry point uses together may share an index', () => {
    expect(() => reflectKernels({ twice: twice.replace('@binding(3)', '@binding(1)'), help })).not.toThrow();
  });

  test('a function that calls itself is refused', () => {
    const files = { loop: '@compute @workgroup_size(1) fn main() { again(); } fn again() { again(); }' };
    expect(() => reflectKernels(files)).toThrow("kernels/loop.wesl: 'again' refers to itself");
  });

  test('a name that is local under some conditions only is refused', () => {
    const text = twice.replace('let unused = 1u', '@if(stored) let unused = 1u');
    expect(() => reflectKernels({ twice: text, help })).toThrow(
      "'unused' is a local name under some conditions",
    );
  });

  test('conditions are kept without what is redundant', () => {
    const [a, b] = [[['a']], [['b']]];
    expect(or(and(a, b), and(a, not(b)))).toEqual([['a']]);
    expect(or(a, not(a))).toBe(true);
    expect(isNever(and(a, not(a)))).toBe(true);
    expect(or(and(a, b), not(a))).toEqual([['!a'], ['b']]);
  });
});

describe('kernels/generated.ts', () => {
  let kinds: KernelVariant[];
  beforeAll(() => {
    kinds = variantKinds();
    expect(kinds.length).toBeGreaterThan(50);
  });

  test('is as new as the kernels', () => {
    const texts = readKernels('kernels');
    expect(readFileSync('kernels/generated.ts', 'utf8')).toBe(generatedText(texts, reflectKernels(texts)));
  });

  test('a kernel is added by its file alone, and a wrong one fails the build', () => {
    const folder = mkdtempSync(join(tmpdir(), 'kernels-'));
    try {
      writeFileSync(join(folder, 'first.wesl'), '// What.\n@compute @workgroup_size(1) fn main() {}\n');
      generateKernels(folder);
      writeFileSync(join(folder, 'twice.wesl'), twice);
      writeFileSync(join(folder, 'help.wesl'), help);
      generateKernels(folder);
      const generated = readFileSync(join(folder, 'generated.ts'), 'utf8');
      expect(generated).toMatch(/export type KernelModule =\s+\| 'first'\s+\| 'twice';/);
      expect(generated).not.toContain('What.');
      writeFileSync(join(folder, 'wrong.wesl'), twice.replaceAll('read_write', 'read'));
      expect(() => generateKernels(folder)).toThrow('kernels/wrong.wesl');
      expect(readFileSync(join(folder, 'generated.ts'), 'utf8')).toBe(generated);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('another parser finds the same bindings, workgroups and uniforms in the linked text', async () => {
    for (const variant of kinds.filter(isParsed)) await expectContract(variant);
  });

  test('WebGPU finds that every entry point uses the bindings of the contract, no more and no less', async () => {
    await using engine = await Engine.open();
    const { features } = engine.device;
    const runs = kinds.filter(
      ({ conditions: { half, subgroups } = {}, ...variant }) =>
        isParsed(variant) &&
        (!half || features.has('shader-f16')) &&
        (!subgroups || features.has('subgroups')),
    );
    expect(runs.length).toBeGreaterThan(40);
    const found: string[] = [];
    for (const variant of runs) found.push(...(await objections(engine.device, variant)));
    expect(found).toEqual([]);
  });
});

/** One variant of each set of conditions: constants change no binding. */
function variantKinds(): KernelVariant[] {
  const options = { teachers: [backbones.resnet18], sizes: [64], subgroupSizes: [0, 8], bench: [] };
  const found = new Map<string, KernelVariant>();
  for (const { variant } of shippedVariants(options).values()) {
    const kind = `${variant.module} ${JSON.stringify(variant.conditions)}`;
    // The shortest text.
    if (!found.has(kind) || (variant.constants?.ROWS ?? 64) < 8) found.set(kind, variant);
  }
  return [...found.values()];
}

describe('a variant', () => {
  const lane: KernelVariant = {
    module: 'conv2d_lane',
    entry: 'main',
    conditions: { subgroups: true },
    constants: { SUBGROUP: 8, SUBGROUPS: 4, ROWS: 32, COLUMNS: 1 },
  };
  const { ROWS: _, ...withoutRows } = lane.constants as Record<string, number>;

  test.each([
    [
      'a condition that the kernel does not have',
      { conditions: { subgruops: false } },
      "condition 'subgruops'",
    ],
    ['a constant that it does not have', { constants: { ...lane.constants, LANES: 1 } }, "constant 'LANES'"],
    ['a constant too few', { constants: withoutRows }, "the constant 'ROWS' is missing"],
    ['a constant that is no whole number', { constants: { ...lane.constants, ROWS: 1.5 } }, "'ROWS' is 1.5"],
    ['an entry point that it does not have', { entry: 'mian' }, "no entry point 'mian' (it has main)"],
    ['a file that is not there', { module: 'conv3d' as 'adam' }, "no kernel file 'conv3d'"],
  ])('%s is refused by its name', async (_title, part, message) => {
    const variant = { ...lane, ...part };
    expect(() => kernelInterface(variant)).toThrow(message);
    await expect(linkKernel(variant)).rejects.toThrow(message);
  });

  test('conditions that leave out what the kernel uses are refused', () => {
    const variant: KernelVariant = {
      module: 'winograd_f4',
      entry: 'weights_transform',
      conditions: { weights_texture: true },
    };
    expect(() => kernelInterface(variant)).toThrow(
      "kernel winograd_f4.weights_transform,weights_texture: it uses the binding 'weights', which these conditions",
    );
  });
});

describe('a dispatch', () => {
  const tape = new Tape(new ParameterSet());
  relu(tape, tape.input('x', [1, 4, 4, 8], 'channels'));
  const node = tape.nodes[0] as Node;
  const dispatch = operationOf(node).lower(node, planning())[0] as Dispatch;
  const kernel = dispatch.kernel as KernelVariant;
  const check = (part: Partial<Dispatch>) => () =>
    checkPlan([{ node, dispatches: [dispatch, { ...dispatch, ...part }] }]);
  const where = "operation 'relu', dispatch 2 of 2: kernel elementwise.relu: ";
  const { a, output } = dispatch.bindings as Record<string, Dispatch['bindings'][string]>;

  test('as its operation gives it is right', () => {
    expect(check({})).not.toThrow();
    expect(check({ kernel: 'copy', bindings: {} })).not.toThrow();
  });

  test.each([
    ['a binding too few', { bindings: { output } }, "the binding 'a' is missing"],
    ['a binding too many', { bindings: { a, b: a, output } }, "it uses no binding 'b'"],
    ['a binding of another name', { bindings: { x: a, output } }, "'a' is missing; it uses no binding 'x'"],
    ['a uniform too few', { uniforms: {} }, "the uniform 'count' is missing"],
    ['a uniform of another name', { uniforms: { count: 1, cuont: 1 } }, "it has no uniform 'cuont'"],
    [
      'a uniform that is no whole number',
      { uniforms: { count: 0.5 } },
      "the uniform 'count' is 0.5, which is no u32",
    ],
    ['a uniform that is negative', { uniforms: { count: -1 } }, "the uniform 'count' is -1, which is no u32"],
    [
      'a uniform that is not a number',
      { uniforms: { count: 1, factor: Number.NaN } },
      "'factor' is not a number",
    ],
    ['a write that it does not say', { writes: [] }, "it stores to 'output', which is not among the writes"],
    ['a write that it does not do', { writes: ['output', 'a'] }, "it does not store to 'a', which is among"],
    [
      'an unknown condition',
      { kernel: { ...kernel, conditions: { fast: true } } },
      "it has no condition 'fast'",
    ],
  ] as const)('with %s is refused, by operation, place and kernel', (title, part, message) => {
    const place = title.includes('condition')
      ? "operation 'relu', dispatch 2 of 2: kernel elementwise.relu,fast: "
      : where;
    expect(check(part as unknown as Partial<Dispatch>)).toThrow(place);
    expect(check(part as unknown as Partial<Dispatch>)).toThrow(message);
  });

  test('a uniform that the entry point does not read may be left out', () => {
    expect(Object.keys(dispatch.uniforms)).not.toContain('factor');
    expect(kernelContracts.elementwise.uniforms.map(({ name }) => name)).toContain('factor');
  });
});

describe('a kernel for a chosen number of lanes', () => {
  const variant = { module: 'normalize', entry: 'forward' } as const;

  test('says so in every entry point, after the extensions that it needs', async () => {
    const text = await linkKernel({ ...variant, subgroupSize: 8 });
    expect(text).toMatch(/^enable subgroups;\nenable subgroup_size_control;\n/);
    expect(text.match(/@subgroup_size\(8\)/g)).toHaveLength(text.match(/@compute/g)?.length as number);
    expect(await linkKernel(variant)).not.toContain('subgroup_size');
  });

  test('which is a power of two', async () => {
    await expect(linkKernel({ ...variant, subgroupSize: 12 })).rejects.toThrow(
      'kernel normalize.forward,subgroup_size=12: a subgroup has a power of two lanes, not 12',
    );
  });
});
