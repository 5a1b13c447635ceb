/** The bench's command line: own shapes, files, interruption, comparisons with another checkout. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readReport } from '../src/bench/report.ts';

const bench = (...args: string[]) =>
  spawnSync(process.execPath, ['dist/bench.js', ...args], { encoding: 'utf8' });
const filter = ['--filter', 'conv1x1-stride2-128/forward'];

describe('bench --against', () => {
  test('takes turns with another checkout and prints the ratio', () => {
    const { status, stdout } = bench('--against', '.', ...filter, '--rounds', '3');
    expect(status).toBe(0);
    const line = /conv1x1-stride2-128\/forward\S* +([\d.]+) ms against +([\d.]+) ms {2}ratio ([\d.]+)/.exec(
      stdout,
    );
    const [own, other, ratio] = (line ?? []).slice(1).map(Number) as [number, number, number];
    expect(own).toBeGreaterThan(0);
    expect(other).toBeGreaterThan(0);
    // The same code: a wrong pairing of turns or units would be orders of magnitude off, noise is not.
    expect(ratio).toBeGreaterThan(0.1);
    expect(ratio).toBeLessThan(10);
  });

  test('refuses a folder that is not built, a case that does not exist and a wrong number', () => {
    const folder = mkdtempSync(join(tmpdir(), 'aand-bench-'));
    try {
      const unbuilt = bench('--against', folder, ...filter);
      expect(unbuilt.status).toBe(2);
      expect(unbuilt.stderr).toMatch(/is no built checkout: there is no dist\/bench\.js/);
    } finally {
      rmSync(folder, { recursive: true });
    }
    const unknown = bench('--against', '.', '--filter', 'no such case');
    expect(unknown.status).toBe(2);
    expect(unknown.stderr).toMatch(/no case has 'no such case' in its name; there are:\n {2}conv/);
    const rounds = bench('--against', '.', ...filter, '--rounds', 'many');
    expect(rounds.status).toBe(2);
    expect(rounds.stderr).toMatch(
      /option '--rounds <n>' argument 'many' is invalid. It must be a whole number of at least 1/,
    );
  });
});

const folder = mkdtempSync(join(tmpdir(), 'aand-bench-'));
afterAll(() => rmSync(folder, { recursive: true }));
const aand = (...args: string[]) =>
  spawnSync(process.execPath, ['dist/cli.js', 'bench', ...args], { encoding: 'utf8' });
const read = (name: string) => {
  const path = join(folder, name);
  return readReport(readFileSync(path, 'utf8'), path);
};

describe('aand bench', () => {
  const shapes = [
    'conv2d:C=8,H=12,K=8,direction=all',
    'matmul:M=16,N=8,K=8',
    'conv_transpose2d:C=8,H=6,K=8',
    'conv2d:C=8,H=12,K=8,type=f16',
    'detector:backbone=resnet18_half,size=64',
    'stage2-step:backbone=resnet18_half,N=2,size=32',
  ];
  const files = ['json', 'csv', 'html'].flatMap((type) => [`--${type}`, join(folder, `own.${type}`)]);

  test('measures own shapes: rows, JSON, CSV and a page say the same', () => {
    // No time repeats so exactly: every row is measured three times and marked.
    const { status, stdout, stderr } = aand(
      ...['--shape', ...shapes, '--seconds', '0.02', '--max-spread', '0.0000001', '--wide', ...files],
    );
    expect(stderr).not.toMatch(/aand:/);
    expect(status).toBe(0);
    const { record, peaks, results, failures } = read('own.json');
    expect(failures).toBeUndefined();
    expect(record.command).toMatch(/^aand bench --shape conv2d:C=8,H=12,K=8,direction=all matmul/);
    expect(record.load).toBeGreaterThanOrEqual(0);
    expect(peaks.copies?.map(({ bytes }) => bytes)).toEqual([2 ** 18, 2 ** 20, 2 ** 22, 2 ** 24, 2 ** 27]);
    expect(results.map(({ name, kind }) => [name, kind])).toEqual([
      ...['forward', 'data-gradient', 'weight-gradient'].map((direction) => [
        `conv2d/N=1,C=8,H=12,W=12,K=8,R=3,S=3,stride=1,pad=1,direction=${direction}`,
        'kernel',
      ]),
      ['matmul/M=16,N=8,K=8', 'kernel'],
      ['conv_transpose2d/N=1,C=8,H=6,W=6,K=8,R=2,S=2,stride=2', 'kernel'],
      ['conv2d/N=1,C=8,H=12,W=12,K=8,R=3,S=3,stride=1,pad=1,direction=forward/f16', 'kernel'],
      ['aand-resnet18_half/infer/1x3x64x64', 'model'],
      ['aand-resnet18_half/stage2-step/2x3x32x32', 'training'],
    ]);
    for (const result of results) {
      expect(result).toMatchObject({ attempts: 3, unsteady: true });
      expect(result.samples_ms?.length).toBe(Math.min(result.runs, 100));
      expect(result.direct_gflops).toBeGreaterThanOrEqual(0.999 * result.gflops);
      expect(result.share_of_roofline).toBeGreaterThan(0);
    }
    // 16 x 8 x 8 multiply-adds.
    const product = results[3];
    expect((product?.gflops as number) * (product?.median_ms as number) * 1e6).toBeCloseTo(2048, 0);
    const lines = stdout.split('\n');
    const head = lines.findIndex((line) => line.startsWith('case '));
    const rows = lines.slice(head + 1, head + 1 + results.length);
    expect(rows.map((row) => row.split(' ')[0])).toEqual(results.map(({ name }) => name));
    for (const row of rows) expect(row).toMatch(/^\S+ +[\d.]+ +±\d+ % ~ /);
    expect(stdout).toMatch(
      /\n~ 8 of 8 cases stayed unsteady: the spread was above 0 % in three measurements/,
    );
    const csv = readFileSync(join(folder, 'own.csv'), 'utf8').trim().split('\n');
    expect(csv).toHaveLength(9);
    expect(csv[4]).toMatch(/^"matmul\/M=16,N=8,K=8",kernel,/);
    expect(readFileSync(join(folder, 'own.html'), 'utf8')).toContain('stage2-step/2x3x32x32');
  });

  test('replaces no file unasked, and says so before it measures', () => {
    const { status, stdout, stderr } = aand('--shape', 'matmul:M=8,N=8,K=8', ...files.slice(0, 2));
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/own\.json exists already: give another --json, or --force/);
  });

  test('lists cases without a device; refuses what is no shape or no case', () => {
    const list = aand('--list', '--filter', '/^conv1x1.*gradient/', 'conv7x7-stride2-64/forward');
    expect(list.status).toBe(0);
    const names = list.stdout.trim().split('\n');
    expect(names[0]).toMatch(/^conv7x7-stride2-64\/forward\/1x3x256x256 +kernel, --quick has it$/);
    expect(names).toHaveLength(7);
    const shape = aand('--shape', 'conv2d:C=8', '--list');
    expect([shape.status, shape.stdout]).toEqual([2, '']);
    expect(shape.stderr).toMatch(/^aand: shape 'conv2d:C=8': H is missing, as in conv2d:N=1,/);
    expect(aand('--filter', 'no such case').status).toBe(2);
  });

  test('a stop keeps the rows that are there', async () => {
    const child = spawn(
      process.execPath,
      [
        ...['dist/cli.js', 'bench', '--json', join(folder, 'stopped.json'), '--seconds', '0.2'],
        ...[
          '--shape',
          'matmul:M=16,N=8,K=8',
          'matmul:M=32,N=8,K=8',
          'matmul:M=48,N=8,K=8',
          '--filter',
          'conv',
        ],
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let said = '';
    let asked = false;
    child.stdout.on('data', (data: Buffer) => {
      said += data.toString();
      // A second signal ends the process at once, without its files.
      if (/matmul\/M=32\S* +\d/.test(said) && !asked) asked = child.kill('SIGINT');
    });
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).toBe(130);
    const { record, results } = read('stopped.json');
    expect(results.length).toBeGreaterThanOrEqual(2);
    expect(results.length).toBeLessThan(10);
    expect(record.note).toMatch(/^stopped: \d of \d+ cases were measured$/);
  });
});
