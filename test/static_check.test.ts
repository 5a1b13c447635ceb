/**
 * What npm run check:gpu fails for, and its command line. Kernels are compiled for an AMD GPU that is not
 * there.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { familyNamed } from '../bench/static/families.ts';
import { figuresOf, type KernelFigures } from '../bench/static/figures.ts';
import { comparable, type FamilyFigures, findings } from '../bench/static/ratchet.ts';
import { outcomeOf, type Shortfall } from '../bench/static/shortfalls.ts';
import { timeLines } from '../bench/static/times.ts';

const family = familyNamed('NAVI31');
const good = { 'Subgroups per SIMD': 8, 'Inverse Throughput': 1000, VGPRs: 96, 'Scratch size': 0 };

function figures(statistics: Record<string, number>, on = family): KernelFigures {
  return figuresOf({ label: 'k', programs: ['stage I'], subgroup: 64, statistics }, on);
}

function checked(statistics: Record<string, number>, on = family, driver = 'Mesa 25.0.7'): FamilyFigures {
  return { family: on.name, driver, profile: 'amd', kernels: { k: figures(statistics, on) } };
}

describe('a check', () => {
  test('finds nothing wrong with a kernel that is as it was', () => {
    const found = findings(family, checked(good), checked(good));
    expect(found).toEqual([]);
    expect(outcomeOf(found, ['NAVI31'], true, [])).toEqual({
      failed: false,
      text: '1 families checked: nothing else is wrong',
    });
  });

  test.each<[string, Record<string, number>, RegExp]>([
    ['a spill', { ...good, 'Spilled VGPRs': 2 }, /spill: 2 spills, 0 fills/],
    ['memory of a lane', { ...good, 'Scratch size': 64 }, /spill: 64 bytes of a lane in memory/],
    ['few waves', { ...good, 'Subgroups per SIMD': 5 }, /occupancy: 5 waves per SIMD, at least 6 are wanted/],
    [
      'more cycles',
      { ...good, 'Inverse Throughput': 1031 },
      /cycles: 1031 cycles, recorded 1000: 3\.1 % more/,
    ],
  ])('fails for %s', (_, statistics, words) => {
    const { failed, text } = outcomeOf(
      findings(family, checked(statistics), checked(good)),
      ['NAVI31'],
      true,
      [],
    );
    expect(failed).toBe(true);
    expect(text).toMatch(/^1 findings:\n {2}NAVI31: /);
    expect(text).toMatch(words);
  });

  test('fails for a kernel that does not compile', () => {
    const now = { ...checked(good), failures: { other: 'extension f16 is not allowed' } };
    expect(findings(family, now, undefined)).toEqual([
      { family: 'NAVI31', kernel: 'other', kind: 'not compiled', words: 'extension f16 is not allowed' },
    ]);
  });

  test('lets cycles grow by three percent, and compares those of another driver with nothing', () => {
    const slower = { ...good, 'Inverse Throughput': 1030 };
    expect(findings(family, checked(slower), checked(good))).toEqual([]);
    const other = checked({ ...good, 'Inverse Throughput': 500 }, family, 'Mesa 26.1');
    expect(comparable(checked(good), other)).toBe(false);
    expect(findings(family, checked(good), other)).toEqual([]);
  });

  test('takes the floor of the generation: two waves are enough on GCN', () => {
    const two = { ...good, 'Subgroups per SIMD': 2 };
    const old = familyNamed('RENOIR');
    expect(findings(old, checked(two, old), undefined)).toEqual([]);
    expect(findings(family, checked(two), undefined)).toHaveLength(1);
  });

  test('fails for fills without spills, of a compiler that counts them', () => {
    const intel = familyNamed('intel:adl');
    expect(findings(intel, checked({ 'Fill Count': 3 }, intel), undefined)).toHaveLength(1);
  });
});

describe('known shortfalls', () => {
  const known: Shortfall = { family: /NAVI.*/, kernel: /k/, kind: 'spill', reason: 'a compiler fault' };
  const spilling = findings(family, checked({ ...good, 'Spilled VGPRs': 2 }), undefined);

  test('are printed with their reason, and the check does not fail for them', () => {
    expect(outcomeOf(spilling, ['NAVI31'], true, [known])).toEqual({
      failed: false,
      text:
        'known shortfalls:\n  spill, NAVI.*, k (1 findings): a compiler fault\n' +
        '1 families checked: nothing else is wrong',
    });
  });

  test.each<[string, Partial<Shortfall>]>([
    ['of another kind', { kind: 'occupancy' }],
    ['of a part of the name', { kernel: /./, family: /NAVI/ }],
    ['of another family', { family: /RENOIR/ }],
  ])('%s explain nothing', (_, change) => {
    expect(outcomeOf(spilling, ['NAVI31'], true, [{ ...known, ...change }]).failed).toBe(true);
  });

  test('that are not found any more are named where everything was compiled', () => {
    expect(outcomeOf([], ['NAVI31'], true, [known]).text).toMatch(/\(not found: the line can go\)/);
    expect(outcomeOf([], ['NAVI31'], false, [known]).text).not.toMatch(/known shortfalls/);
    expect(outcomeOf([], ['RENOIR'], true, [known]).text).not.toMatch(/known shortfalls/);
  });
});

test('modelled times are told against those of before, where there are any', () => {
  const now = [{ family: 'NAVI31', batch: 1, microseconds: 100, withMemory: 200 }];
  expect(timeLines(now, [{ family: 'NAVI31', batch: 1, microseconds: 250, withMemory: 300 }])).toBe(
    '  NAVI31 batch 1: 100 us, before 250 us: 2.50x; with memory 200 us, before 300 us: 1.50x',
  );
  expect(timeLines(now, [])).toBe('  NAVI31 batch 1: 100 us; with memory 200 us');
});

describe('npm run check:gpu', () => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, ['dist/check_gpu.js', ...args], { encoding: 'utf8' });
  const filter = ['--family', 'NAVI31', '--filter', 'adam'];

  test('compiles a kernel on the compiler of an AMD GPU, and fails where its cycles got worse', () => {
    const folder = mkdtempSync(join(tmpdir(), 'aand-static-test-'));
    try {
      const first = run(...filter, '--results', folder);
      expect(first.stderr).toBe('');
      expect(first.status).toBe(0);
      const row = /^ +64 +(\d+) +0 +0 +\d+ +(\d+) +(\d+) +(\d+) .*adam\.main \((.*)\)$/m.exec(first.stdout);
      const [registers, waves, instructions, cycles] = (row ?? []).slice(1).map(Number) as number[];
      expect(registers).toBeGreaterThan(4);
      expect(waves).toBeGreaterThanOrEqual(6);
      expect(instructions).toBeGreaterThan(10);
      expect(row?.[5]).toContain('stage I');
      const driver = /; (radv[^;]*);/.exec(first.stdout)?.[1] ?? '';
      const planted = {
        ...{ family: 'NAVI31', driver, profile: 'amd' },
        kernels: {
          'adam.main': { programs: [], subgroup: 64, spills: 0, cycles: (cycles ?? 0) / 2 },
        },
      };
      writeFileSync(join(folder, 'static-NAVI31.json'), JSON.stringify(planted));
      const second = run(...filter, '--results', folder);
      expect(second.stdout).toMatch(/1 findings:\n {2}NAVI31: cycles: \d+ cycles, recorded .*100\.0 % more/);
      expect(second.status).toBe(1);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('refuses families that do not exist and records of a part', () => {
    const unknown = run('--family', 'VOODOO');
    expect(unknown.status).toBe(2);
    expect(unknown.stderr).toMatch(/there is no family 'VOODOO' \(there are: NAVI31, VANGOGH, RENOIR, /);
    const part = run('--record', '--filter', 'conv');
    expect(part.status).toBe(2);
    expect(part.stderr).toMatch(/--record takes all kernels: leave out --filter/);
  });

  test('the records of AMD GPUs are those of kernels without a spill', () => {
    for (const name of ['NAVI31', 'VANGOGH', 'RENOIR']) {
      const text = readFileSync(`bench/results/static-${name}.json`, 'utf8');
      const { kernels } = JSON.parse(text) as FamilyFigures;
      const list = Object.values(kernels);
      expect(list.length).toBeGreaterThan(80);
      expect(list.filter(({ spills, scratch }) => spills || scratch)).toEqual([]);
    }
  });

  test('no GPU profile has a lane kernel, which spills there, in any program or among its candidates', () => {
    const names = readdirSync('bench/results').filter((name) => /^static-(?!before|peers)/.test(name));
    expect(names.length).toBeGreaterThan(10);
    for (const name of names) {
      const { kernels } = JSON.parse(readFileSync(`bench/results/${name}`, 'utf8')) as FamilyFigures;
      expect(Object.keys(kernels).filter((label) => label.startsWith('conv2d_lane'))).toEqual([]);
    }
  });
});
