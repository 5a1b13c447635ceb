/** What `npm run bench:peers -- --static` reads from a process of another engine. */
import { expect, test } from 'vitest';
import { staticPeersTable } from '../bench/figures/static_peers.ts';
import { commandInside } from '../bench/static/compile.ts';
import { familyNamed } from '../bench/static/families.ts';
import { instructionsPerMultiplyAdd } from '../bench/static/main_loops.ts';
import { compareBest, type PeerFigures, peerLines, unnamedKernels } from '../bench/static/peers.ts';
import { packagedFile } from '../src/cli/package.ts';

test('kernels without names are kept in their order, other lines of the record are not', () => {
  const record = [
    '{"opened":{"driver":"radv"}}',
    '{"subgroup":64,"statistics":{"VGPRs":72},"assembly":"s_endpgm"}',
    'words of a driver',
    '{"label":"a name"}',
    '{"subgroup":32,"statistics":{"VGPRs":24}}',
    '',
  ].join('\n');
  const kernels = unnamedKernels(record);
  expect(kernels.map(({ subgroup, statistics }) => [subgroup, statistics.VGPRs])).toEqual([
    [64, 72],
    [32, 24],
  ]);
  expect(kernels.map(({ assembly }) => assembly)).toEqual(['s_endpgm', undefined]);
});

test('an engine has a line for itself and one for its products that are alike', () => {
  const product = {
    multiplyAdds: 128,
    mainLoop: 0.77,
    step: 0.46,
    limit: 'LDS',
    registers: 108,
    occupancy: 12,
    spills: 0,
  };
  const figures = {
    engine: 'tfjs',
    kernels: 22,
    spilling: 1,
    products: [product, product, { ...product, step: 0.3 }],
    host_ms: 1.234,
  };
  const [head, own, ...products] = peerLines(familyNamed('NAVI31'), [figures]).split('\n');
  expect(head).toContain('NAVI31');
  expect(own).toBe('  tfjs: 22 kernels, 1 spill; 1.23 ms of the host per run');
  expect(products).toHaveLength(2);
  expect(products[0]).toMatch(
    /^ +2 x +128 multiply-adds a turn: main loop {2}77 %, K step {2}46 % of peak \(LDS\)/,
  );
});

test('figures that a driver prints are those of the kernels in their order, where each has a line', () => {
  const record = '{"statistics":{"a":1}}\n{"statistics":{"a":2}}';
  const printed = 'SHADER-DB:  - X shader: 5 inst, 1:2 spills:fills\nother\nSHADER-DB: X shader: 7 inst';
  expect(unnamedKernels(record, printed).map((kernel) => kernel.printed)).toEqual([
    '5 inst, 1:2 spills:fills',
    '7 inst',
  ]);
  expect(unnamedKernels(record, 'SHADER-DB: X shader: 5 inst').map(({ printed: p }) => p)).toEqual([
    undefined,
    undefined,
  ]);
});

test("Adreno's main loop: repeats and waits count, the loop around it does not", () => {
  const text = [
    'Native code for unnamed CL shader (null) with sha1 3402:',
    'l1:',
    '(sy)(ss)mov.u32u32 r2.x, r0.x',
    'l2:',
    '(rpt3)mad.f32 r20.z, r10.z, r23.x, r20.z',
    '(nop2) mad.f32 r20.w, r10.z, r23.y, r20.w',
    'br p0.x, #l2',
    'mad.f32 r1.x, r1.y, r1.z, r1.x',
    'jump #l1',
    'end',
  ].join('\n');
  expect(instructionsPerMultiplyAdd('adreno', text)).toEqual({ multiplyAdds: 5, instructions: 8 / 5 });
  expect(instructionsPerMultiplyAdd('adreno', 'mad.f32 r1.x, r1.y, r1.z, r1.x')).toBeUndefined();
});

test("Mali's main loop: pairs of 16 bits count twice", () => {
  const text = [
    '   NOP.wait0',
    '   FMA.f32 r0, ^r2, ^r0, 0x0.neg',
    '',
    '   FMA.v2f16 r1, ^r2, ^r0, r1',
    '   BRANCHZ.eq.reconverge 0x0, offset:-3',
    '   FMA.f32 r0, ^r2, ^r0, r0',
  ].join('\n');
  expect(instructionsPerMultiplyAdd('mali', text)).toEqual({ multiplyAdds: 3, instructions: 1 });
  expect(instructionsPerMultiplyAdd('nvidia', text)).toBeUndefined();
});

test('engines are compared by their best products: shares of peak, or instructions', () => {
  const figures = (engine: string, products: object[]) =>
    ({ engine, kernels: 3, spilling: 0, host_ms: 1, products }) as Parameters<typeof compareBest>[0][number];
  const by = (key: string, values: number[]) => values.map((value) => ({ multiplyAdds: 32, [key]: value }));
  const shares = compareBest([figures('ours', by('step', [0.5, 0.9])), figures('b', by('step', [0.45]))]);
  expect(shares.map(({ best, ahead }) => [best, ahead])).toEqual([
    ['90 %', undefined],
    ['45 %', 2],
  ]);
  const loops = compareBest([
    figures('ours', by('instructions', [1.2])),
    figures('b', by('instructions', [6, 3.6])),
    figures('c', []),
  ]);
  expect(loops.map(({ best, ahead }) => [best, ahead && Math.round(10 * ahead)])).toEqual([
    ['1.20 instructions', undefined],
    ['3.60 instructions', 30],
    ['not told', undefined],
  ]);
});

test('a process in a system of its own sees package, layer, what it reads and where it writes', () => {
  const { program, args } = commandInside(
    '/systems/debian',
    {
      args: ['script.js', '{}'],
      reads: ['/tmp/data of peers'],
      record: { path: '/tmp/out/r', assembly: true },
    },
    { VK_LAYER_PATH: '/layer' },
  );
  expect(program).toBe('unshare');
  const root = args.indexOf('/systems/debian');
  const end = args.indexOf('--');
  expect(args.slice(root + 1, end)).toEqual([packagedFile('.'), '/layer', '/tmp/data of peers', '/tmp/out']);
  expect(args.slice(end + 1)).toContain('VK_LAYER_PATH=/layer');
  expect(args.slice(-2)).toEqual(['script.js', '{}']);
});

test('the table has every engine, the lead over the better of the others, and what is not told', () => {
  const figures = (engine: string, spilling: number, products: object[]) =>
    ({ engine, kernels: 3, spilling, host_ms: 1, products }) as PeerFigures;
  const engines = (...steps: number[]) =>
    ['aand-webgpu', 'onnxruntime-node', 'tfjs'].map((engine, i) =>
      figures(engine, i, steps[i] === undefined ? [] : [{ multiplyAdds: 32, step: steps[i] }]),
    );
  const [head, , amd, apple] = staticPeersTable([
    { family: 'NAVI31', engines: engines(0.9, 0.3, 0.45) },
    { family: 'apple:m1', engines: engines() },
  ]).split('\n');
  expect(head).toContain('| this engine | onnxruntime-node | tfjs |');
  expect(amd).toBe('| AMD RDNA 3, discrete (`NAVI31`) | 90 % | 30 % | 45 % | 2.00 | 0 / 1 / 2 |');
  expect(apple).toMatch(/\| not told \| not told \| not told \| not told \| 0 \/ 1 \/ 2 \|$/);
});
