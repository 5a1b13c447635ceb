/**
 * The bench's command line: comparisons with another checkout. What it measures is checked by every run of
 * it.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

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
