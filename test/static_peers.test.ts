/** What `npm run bench:peers -- --static` reads from a process of another engine. */
import { expect, test } from 'vitest';
import { staticPeersTable } from '../bench/figures/static_peers.ts';
import { commandInside } from '../bench/static/compile.ts';
import { familyNamed } from '../bench/static/families.ts';
import { kStep, maliUnit } from '../bench/static/main_loops.ts';
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

test("Adreno's K step: repeats and waits count, what lies around the main loop counts once in eight turns", () => {
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
  expect(kStep('adreno', text)).toEqual({ multiplyAdds: 5, instructions: (8 * 8 + 3) / (8 * 5) });
  expect(kStep('adreno', 'mad.f32 r1.x, r1.y, r1.z, r1.x')).toBeUndefined();
});

test("Mali's K step: pairs of 16 bits count twice, the busiest unit says how long it takes", () => {
  const loop = [
    '   NOP.wait0',
    '   FMA.f32 r0, ^r2, ^r0, 0x0.neg',
    '',
    '   FMA.v2f16 r1, ^r2, ^r0, r1',
    '   BRANCHZ.eq.reconverge 0x0, offset:-4',
  ];
  const after = '   FMA.f32 r0, ^r2, ^r0, r0';
  expect(kStep('mali', [...loop, after].join('\n'))).toEqual({
    multiplyAdds: 3,
    instructions: 4 / 3,
    unit: 'fma',
    unitCycles: expect.closeTo(2 / 64 / 3, 12),
  });
  const loads = loop.map((line) => line.replace('NOP.wait0', 'LD_BUFFER.i128.unsigned.slot0 @r4, ^r2, ^r4'));
  expect(kStep('mali', [...loads, after].join('\n'))).toMatchObject({ unit: 'loadStore', unitCycles: 1 / 3 });
  const texels = loop.map((line) => line.replace('NOP.wait0', 'TEX_FETCH.slot0 @r4, ^r2, ^r4'));
  expect(kStep('mali', [...texels, after].join('\n'))).toMatchObject({ unit: 'texture', unitCycles: 1 / 12 });
  expect(kStep('nvidia', loop.join('\n'))).toBeUndefined();
});

test("Mali's units, as the driver counts them", () => {
  const units = {
    fma: ['FADD.f32 r2, ^r7, r3', 'FMA.v2f16 r1, ^r2, ^r0, r1'],
    cvt: ['IADD_IMM.i32 r1, 0x0, #0x84', 'FMAX.f32 r0, r1, r2', 'CSEL.u32.lt r2, r0, ^r2', 'NOP.wait0'],
    sfu: ['LSHIFT_OR.i32 r0, ^r0, 0x7', 'RSHIFT_OR.i32 r2, ^r2', 'IMUL.i32 r1, ^r1, u3', 'FRSQ.f32 r2, ^r2'],
    loadStore: [
      'LD_BUFFER.i32.unsigned.slot1 @r2',
      'STORE.i128.slot0 @r0',
      'LEA_TEX_IMM.slot0 @r0',
      'ST_CVT.slot0',
    ],
    texture: ['TEX_FETCH.slot0.32.2d @r4'],
  };
  for (const [unit, lines] of Object.entries(units))
    for (const line of lines) expect([line, maliUnit(`   ${line}`)]).toEqual([line, unit]);
  expect(maliUnit('   BARRIER.slot7.wait')).toBeUndefined();
});

test('engines are compared by their best products: shares of peak, cycles, or instructions', () => {
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
  const cycles = compareBest([
    figures('ours', [{ multiplyAdds: 96, instructions: 2.35, unitCycles: 0.06 }]),
    figures('b', [{ multiplyAdds: 64, instructions: 1.2, unitCycles: 0.15 }]),
  ]);
  // Cycles count where they are known, not instructions.
  expect(cycles.map(({ best, ahead }) => [best, ahead && Math.round(10 * ahead)])).toEqual([
    ['0.060 cycles', undefined],
    ['0.150 cycles', 25],
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
