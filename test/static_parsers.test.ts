/** What compilers of GPUs say: disassembly, loops, figures. The texts are made up, in the compilers' form. */
import { describe, expect, test } from 'vitest';
import { parseAmdAssembly } from '../bench/static/amd_assembly.ts';
import { amdGenerations, amdMachine } from '../bench/static/amd_model.ts';
import { familyNamed } from '../bench/static/families.ts';
import { figuresOf, printedStatistics } from '../bench/static/figures.ts';
import { parseIntelAssembly } from '../bench/static/intel_assembly.ts';
import { intelCyclesPerMultiplyAdd, intelMachine } from '../bench/static/intel_model.ts';
import { analyse, mainLoop, stepOf } from '../bench/static/kernel.ts';
import { findLoops, nested, ownBlocks } from '../bench/static/loops.ts';
import type { Work } from '../bench/static/machine.ts';
import { nvidiaMachine, parseNvidiaAssembly } from '../bench/static/nvidia_model.ts';
import { printedFigures, readRecord } from '../bench/static/records.ts';
import { stepShape } from '../bench/static/shapes.ts';
import { convolutionTile } from '../src/engine/device/convolution_tiles.ts';

// A K step (BB2 to BB5) that brings a quad of rows per turn of one loop and two quads of columns per turn of
// another, then multiplies in a third.
const amdTile = `
BB0:
	s_load_dwordx4 s[0:3], s[0:1], 0x0                          ; f4080000
	v_mov_b32_e32 v0, 0                                         ; 7e000280
BB1:
	s_cmp_ge_u32 s4, s5                                         ; bf090504
	s_cbranch_scc1 BB6                                          ; bf850000
BB2:
	v_mul_lo_u32 v1, v2, v3                                     ; d5690001
	buffer_load_dwordx4 v[4:7], v1, s[0:3], 0 offen             ; e0381000
	s_waitcnt vmcnt(0)                                          ; bf8c3f70
	ds_write_b128 v8, v[4:7]                                    ; db7c0000
	s_cbranch_vccnz BB2                                         ; bf870000
BB3:
	buffer_load_dwordx4 v[4:7], v1, s[0:3], 0 offen             ; e0381000
	(then repeated 1 times)
	ds_write_b128 v8, v[4:7]                                    ; db7c0000
	ds_write_b128 v8, v[4:7] offset:1024                        ; db7c0400
	s_cbranch_vccnz BB3                                         ; bf870000
BB4:
	s_barrier                                                   ; bf8a0000
	ds_read_b128 v[4:7], v9                                     ; dbfc0000
	v_fma_f32 v10, v4, v5, v10                                  ; d54b000a
	v_fmac_f32_e32 v11, v6, v7                                  ; 56160f06
	v_mul_f32_e32 v12, v4, v5                                   ; 10180b04
	v_add_f32_e32 v13, v12, v13                                 ; 061a1b0c
	s_cbranch_scc0 BB4                                          ; bf840000
BB5:
	s_branch BB1                                                ; bf820000
BB6:
	s_endpgm                                                    ; bf810000
`;

describe("AMD's disassembly", () => {
  test('is read as blocks, with what may follow each and what each instruction is', () => {
    const blocks = parseAmdAssembly(amdTile);
    expect(blocks.map(({ name, next }) => [name, ...next])).toEqual([
      ['BB0', 1],
      ['BB1', 6, 2],
      ['BB2', 2, 3],
      ['BB3', 3, 4],
      ['BB4', 4, 5],
      ['BB5', 1],
      ['BB6'],
    ]);
    expect(blocks[2]?.code.map(({ kind, bytes }) => [kind, bytes])).toEqual([
      ['vector', 0],
      ['memory load', 16],
      ['wait', 0],
      ['lds store', 16],
      ['branch', 0],
    ]);
    // What is repeated counts as often.
    expect(blocks[3]?.code.filter(({ kind }) => kind === 'memory load')).toHaveLength(2);
  });

  test.each([
    ['v_wmma_f32_16x16x16_f16 v[0:7], v[8:15], v[16:23], v[0:7]', 'matrix', 0, 0],
    ['v_pk_fma_f16 v0, v1, v2, v3', 'fma', 2, 0],
    ['v_dot2acc_f32_f16 v0, v1, v2', 'fma', 2, 0],
    ['v_fma_mix_f32 v0, v1, v2, v3', 'fma', 1, 0],
    ['ds_load_2addr_b64 v[0:3], v4', 'lds load', 0, 16],
    ['ds_store_b64 v0, v[1:2]', 'lds store', 0, 8],
    ['global_store_short v0, v1, s[0:1]', 'memory store', 0, 2],
    ['scratch_load_dword v0, off', 'memory load', 0, 4],
    ['s_waitcnt_depctr 0xfffe', 'hint', 0, 0],
    ['s_delay_alu instid0(VALU_DEP_1)', 'hint', 0, 0],
    ['s_mul_i32 s0, s1, s2', 'scalar', 0, 0],
  ])('%s', (text, kind, multiplyAdds, bytes) => {
    const [block] = parseAmdAssembly(`BB0:\n\t${text}   ; 00000000`);
    expect(block?.code).toEqual([expect.objectContaining({ kind, multiplyAdds, bytes, second: false })]);
  });

  test('a pair that is issued at once takes the cycles of one', () => {
    const { work, parse } = amdMachine(amdGenerations.rdna3, 32);
    const [block] = parse('BB0:\n\tv_dual_fmac_f32 v0, v1, v2 :: v_dual_fmac_f32 v3, v4, v5   ; 00000000');
    expect(work(block?.code ?? [])).toMatchObject({ multiplyAdds: 2, vector: 1 });
  });

  test('generations take their own cycles', () => {
    const vector = (generation: keyof typeof amdGenerations, wave: number) => {
      const { work, parse } = amdMachine(amdGenerations[generation], wave);
      return work(parse('BB0:\n\tv_fma_f32 v0, v1, v2, v3\n\tv_mul_lo_u32 v0, v1, v2')[0]?.code ?? []).vector;
    };
    expect(vector('gcn5', 64)).toBe(4 + 16);
    expect(vector('rdna2', 64)).toBe(2 + 8);
    expect(vector('rdna3', 64)).toBe(1 + 8);
    expect(vector('rdna3', 32)).toBe(1 + 4);
  });
});

describe('loops', () => {
  test('are found with their nesting, and blocks of inner loops are not their own', () => {
    const [outer, ...others] = findLoops(parseAmdAssembly(amdTile));
    expect(others).toEqual([]);
    expect(outer?.head).toBe(1);
    expect(outer?.inner.map(({ head }) => head)).toEqual([2, 3, 4]);
    expect(outer && ownBlocks(outer)).toEqual([1, 5]);
    expect(outer && nested(outer)).toHaveLength(4);
  });

  test('a loop with two ways back is one, and code that cannot be reached is none', () => {
    const block = (name: string, ...next: number[]) => ({ name, code: [], next });
    const loops = findLoops([
      block('begin', 1),
      block('head', 2, 3),
      block('short', 1),
      block('long', 1, 4),
      block('end'),
      block('never', 5),
    ]);
    expect(loops.map(({ head, body }) => [head, [...body].sort()])).toEqual([[1, [1, 2, 3]]]);
  });

  test('the K step has the main loop and the loops that bring quads as often as the shape says', () => {
    const kernel = analyse(amdTile, amdMachine(amdGenerations.rdna2, 64));
    // Two fused and one of a product and a sum.
    expect(mainLoop(kernel)?.own).toMatchObject({ multiplyAdds: 3, vector: 8, ldsBytes: 16 * 64 });
    const step = stepOf(kernel, { multiplyAdds: 12, stores: [3, 4] });
    // Four turns of the main loop, three of the rows' loop, two of the columns'.
    expect(step?.work).toMatchObject({
      multiplyAdds: 12,
      vector: 4 * 8 + 3 * 8,
      ldsStores: 3 + 4,
      memoryBytes: (3 + 4) * 16 * 64,
    });
    expect(kernel.judge({ ...(step as NonNullable<typeof step>).work })).toMatchObject({
      useful: (12 * 64) / (56 * 32),
      limit: 'memory',
      cycles: (7 * 16 * 64 * 2) / 64,
    });
  });

  test('a kernel that multiplies nowhere has no main loop and no K step', () => {
    const kernel = analyse('BB0:\n\tv_mov_b32_e32 v0, 0\n\ts_endpgm', amdMachine(amdGenerations.gcn5, 64));
    expect(mainLoop(kernel)).toBeUndefined();
    expect(stepOf(kernel, { multiplyAdds: 1, stores: [1, 1] })).toBeUndefined();
  });
});

const intelLoop = `
mov(8)          g53<1>UD        g0.1<0,1,0>UD                   { align1 WE_all 1Q };

LABEL3:
cmp.l.f0.0(16)  null<1>D        g12<8,8,1>D     g48<8,8,1>D     { align1 1H @1 };
(+f0.0) break(16) JIP:  LABEL2        UIP:  LABEL2              { align1 1H };
(+f0.0) if(16)  JIP:  LABEL1          UIP:  LABEL0              { align1 1H };
send(16)        nullUD          g51UD           g49UD           0x020a03fd                0x00000080
                            dp data 1 MsgDesc: (DC untyped surface write, Surface = 254)  mlen 2 { align1 };
else(16)        JIP:  LABEL0          UIP:  LABEL0              { align1 1H };

LABEL1:
send(16)        g3UD            g5UD            nullUD          0x022803fd                0x00000000
                            data MsgDesc: (DC untyped surface read, Surface = 1)  mlen 1 { align1 1H };

LABEL0:
endif(16)       JIP:  LABEL2                                    { align1 1H };
sync nop(1)                     null<0,1,0>UB                   { align1 WE_all 1N $0.src };
mad(16)         g10<1>F         g12<8,8,1>F     g14<8,8,1>F     g16<1,1,1>F { align1 1H };
mad(16)         g10<1>D         g12<8,8,1>D     g14<8,8,1>D     g16<1,1,1>D { align1 1H };

LABEL2:
while(16)       JIP:  LABEL3                                    { align1 1H };
`;

describe("Intel's disassembly", () => {
  test('has its loop, its messages and its multiply-adds of floats', () => {
    const blocks = parseIntelAssembly(intelLoop);
    const [loop, ...others] = findLoops(blocks);
    expect(others).toEqual([]);
    expect(blocks[loop?.head ?? 0]?.name).toBe('LABEL3');
    const code = blocks.flatMap(({ code: own }) => own);
    expect(code.map(({ message }) => message).filter(Boolean)).toEqual(['lds store', 'memory load']);
    expect(code.some(({ name }) => name === 'sync')).toBe(false);
    const own = mainLoop(analyse(intelLoop, intelMachine(8, 16)))?.own;
    // Nine instructions of 16 lanes take two cycles each, two messages one.
    expect(own).toMatchObject({ multiplyAdds: 1, vector: 8 * 2 + 2, ldsStores: 1 });
  });

  test("the compiler's cycles are shared by the multiply-adds of all turns that it guesses", () => {
    // 16 lanes are two times eight, in a loop of ten turns.
    expect(intelCyclesPerMultiplyAdd(intelLoop, 500)).toBe(25);
    expect(intelCyclesPerMultiplyAdd('mov(8) g53<1>UD g0.1<0,1,0>UD { align1 };', 500)).toBeUndefined();
  });
});

const nvidiaLoop = `
block.u 0 L3 [] -> {
      r32       = s2r sr[0x21]                                     // delay=6 wr:0
                  bra L2                                           // delay=1
} -> [1]
block 1 L2 [0, 2] -> {
      p0        = isetp.ge.u32 r34 0x4000                          // delay=13
                  st.shared.strong.cta.b128 [r34] r36..40          // delay=2 rd:0
      r52       = ld.global.a64.constant.b32 [r52..54]             // delay=5 wr:0
@!p0              bra L9                                           // delay=1
} -> [2, 3]
block 2 [1] -> {
      r97       = ffma.ftz r140 r108 r97                           // delay=1 wt=000100
      r98       = hfma2 r141 r109 r98                              // delay=1
                  bra L2                                           // delay=1
} -> [1]
block.u 3 L9 [1] -> {
      r99       = ffma.ftz r140 r110 r99                           // delay=1
} -> []
`;

describe("NVIDIA's disassembly", () => {
  test('has its loop, which ends where the compiler says and not where the text does', () => {
    const blocks = parseNvidiaAssembly(nvidiaLoop);
    expect(blocks.map(({ name, next }) => [name, next])).toEqual([
      ['L3', [1]],
      ['L2', [2, 3]],
      ['block 2', [1]],
      ['L9', []],
    ]);
    const [loop, ...others] = findLoops(blocks);
    expect(others).toEqual([]);
    expect([...(loop?.body ?? [])].sort()).toEqual([1, 2]);
  });

  test('has a slot for every instruction, and pairs of 16 bits count twice', () => {
    const kernel = analyse(nvidiaLoop, nvidiaMachine);
    const own = mainLoop(kernel)?.own;
    expect(own).toMatchObject({ multiplyAdds: 3, vector: 7, ldsStores: 1, ldsBytes: 512, memoryBytes: 128 });
    expect(kernel.judge(own as Work)).toMatchObject({ useful: 3 / 7, ofPeak: 3 / 7, limit: 'issue' });
  });
});

describe('figures', () => {
  const kernel = { label: 'k', programs: ['infer f32'], subgroup: 16, statistics: {} };

  test('a printed line of figures is read by name', () => {
    expect(
      printedStatistics('11 inst, 160.5 cycles, 2.0 fma, 160.5 ls, 1 threads, 17:72 spills:fills'),
    ).toEqual({
      inst: 11,
      cycles: 160.5,
      fma: 2,
      ls: 160.5,
      threads: 1,
      spills: 17,
      fills: 72,
    });
  });

  test.each([
    ['RENOIR', { 'Spilled VGPRs': 3, 'Spilled SGPRs': 1, VGPRs: 84, 'Subgroups per SIMD': 3 }, undefined, 4],
    ['intel:adl', { 'Spill Count': 68, 'Fill Count': 99 }, undefined, 68],
    ['adreno:740', { 'STP Count': 5, 'LDP Count': 6 }, undefined, 5],
    ['mali:g610', {}, '9 inst, 3.0 cycles, 1.0 fma, 3.0 ls, 1 threads, 17:72 spills:fills', 17],
    ['apple:m1', {}, '9 inst, 3 alu, 175 regs, 0 scratch, 576 threads, 5:6 spills:fills', 5],
    ['nvidia:172', { 'SLM Size': 64, 'Number of GPRs': 255 }, undefined, 16],
  ])('of %s have its spills', (name, statistics, printed, spills) => {
    const compiled = { ...kernel, statistics, ...(printed !== undefined && { printed }) };
    expect(figuresOf(compiled, familyNamed(name)).spills).toBe(spills);
  });

  test("Mali's loads and stores stand beside the most loaded of its arithmetic units", () => {
    const printed = '9 inst, 8.0 cycles, 1.5 fma, 2.5 cvt, 0.5 sfu, 8.0 ls, 2 threads, 0:0 spills:fills';
    expect(figuresOf({ ...kernel, printed }, familyNamed('mali:g610'))).toMatchObject({
      arithmetic: 2.5,
      loadStore: 8,
      occupancy: 2,
      cycles: 8,
    });
  });

  test('what a compiler does not tell is absent', () => {
    const figures = figuresOf(
      { ...kernel, statistics: { 'Instruction count': 7 } },
      familyNamed('nvidia:172'),
    );
    expect(figures).toEqual({
      programs: ['infer f32'],
      subgroup: 16,
      spills: 0,
      scratch: 0,
      instructions: 7,
    });
  });
});

describe('the record of a compiling process', () => {
  const target = {};
  const lines = (...list: unknown[]) => list.map((line) => JSON.stringify(line)).join('\n');

  test('names come before figures, kernels without a name are left out, failures are kept', () => {
    const text = lines(
      { opened: { driver: 'a driver 1.2', profile: 'amd', target } },
      { subgroup: 64, statistics: { VGPRs: 1 } },
      { label: 'one', programs: ['infer f32'] },
      { subgroup: 32, statistics: { VGPRs: 2 }, assembly: 'BB0:' },
      { subgroup: 64, statistics: { VGPRs: 3 } },
      { label: 'two', programs: ['stage I'] },
      { label: 'two', failure: 'it does not compile' },
    );
    const errors = `${lines({ label: 'one' })}\nSHADER-DB - MESA_SHADER_COMPUTE shader: 5 inst\n`;
    const { opened, kernels } = readRecord(text, errors);
    expect(opened.driver).toBe('a driver 1.2');
    expect(kernels).toEqual([
      {
        label: 'one',
        programs: ['infer f32'],
        subgroup: 32,
        statistics: { VGPRs: 2 },
        assembly: 'BB0:',
        printed: '5 inst',
      },
      { label: 'two', programs: ['stage I'], subgroup: 0, statistics: {}, failure: 'it does not compile' },
    ]);
  });

  test('a process that opened no engine is an error with its last words', () => {
    expect(() => readRecord('', 'no adapter here')).toThrow(/no engine was opened: no adapter here/);
  });

  test('figures in the standard error belong to the kernel that was named last', () => {
    const errors =
      '{"label":"a"}\nwarning\nSHADER-DB x - shader: 1 inst\n{"label":"b"}\nSHADER-DB shader: 2 inst';
    expect([...printedFigures(errors)]).toEqual([
      ['a', '1 inst'],
      ['b', '2 inst'],
    ]);
  });
});

test('what a thread does in a step follows from the shape of its kernel', () => {
  const kernel = convolutionTile({ outputs: [4, 2], depth: 4 });
  // 32 x 64 outputs by 64 threads: 128 quads of rows and 256 of weights.
  expect(stepShape(kernel, [kernel])).toEqual({ multiplyAdds: 16 * 4 * 2 * 4, stores: [2, 4] });
  expect(stepShape(kernel, [])).toBeUndefined();
  // The same by four times as many threads, of which each has a quarter of twice the step.
  const sliced = convolutionTile({ outputs: [4, 2], depth: 8, slices: 4 });
  expect(stepShape(sliced, [sliced])).toEqual({ multiplyAdds: 16 * 4 * 2 * 2, stores: [1, 2] });
});
