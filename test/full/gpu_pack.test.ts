/** The pack for a bare GPU machine: made, and rehearsed where there is no Node, no package and no Python. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PackReport } from '../../bench/pack/page.ts';

const folder = mkdtempSync(join(tmpdir(), 'aand-pack-'));
const pack = join(folder, 'pack');
const tools = join(folder, 'tools');

beforeAll(() => {
  execFileSync('node', ['scripts/gpu_pack.mjs', '--out', pack]);
  mkdirSync(tools);
  const commands = 'basename chmod cp dirname gzip ldconfig ls mkdir mktemp mv rm sh uname'.split(' ');
  for (const name of commands)
    symlinkSync(
      execFileSync('sh', ['-c', `PATH=$PATH:/sbin; command -v ${name}`])
        .toString()
        .trim(),
      join(tools, name),
    );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the pack with these commands and an environment that holds nothing else. */
function run(...args: string[]) {
  const { VK_DRIVER_FILES } = process.env;
  return spawnSync(join(pack, 'run'), args, {
    cwd: folder,
    env: { PATH: tools, ...(VK_DRIVER_FILES && { VK_DRIVER_FILES }) },
    encoding: 'utf8',
  });
}

test('the pack is a folder of at most 100 MB that holds no package', () => {
  const files = readdirSync(pack, { recursive: true, encoding: 'utf8' });
  const bytes = files.map((file) => statSync(join(pack, file))).reduce((sum, { size }) => sum + size, 0);
  expect(bytes).toBeLessThan(100e6);
  expect(files.filter((file) => /node_modules|\.ts$/.test(file))).toEqual([]);
  expect(files).toEqual(expect.arrayContaining(['run', 'README.md', 'files/pack.mjs', 'files/node.gz']));
});

test('a software driver is refused with advice, a wrong option with the usage', () => {
  const refused = run('--quick');
  expect(refused.stdout).toContain('FAILED adapter');
  expect(refused.stdout).toMatch(/software driver, not a GPU.*nvidia-smi.*--allow-software/);
  expect(refused.status).toBe(1);
  const wrong = run('--parts', 'kernel');
  expect(wrong.stderr).toMatch(/there is no part 'kernel'\n.*--quick/);
  expect(wrong.status).toBe(2);
});

test('a rehearsal passes, and writes its figures and a page', () => {
  const { stdout, status } = run('--quick', '--allow-software', '--minutes', '30');
  expect(stdout).toContain('everything that was checked passed');
  expect(status).toBe(0);
  const report = JSON.parse(readFileSync(join(pack, 'results/gpu.json'), 'utf8')) as PackReport;
  const rows = Object.fromEntries(report.parts.map((part) => [part.name, part.rows]));
  expect(Object.keys(rows)).toEqual([
    ...['adapter', 'correctness', 'tune', 'kernels', 'detectors', 'training', 'peers'],
  ]);
  expect(report.parts.filter(({ passed }) => !passed)).toEqual([]);
  const checked = (name: string) => rows[name]?.filter(({ passed }) => passed).length;
  // Golden operations, a detector, a training, a detector in f16.
  expect(checked('correctness')).toBe(4);
  expect(checked('tune')).toBeGreaterThan(0);
  expect(checked('kernels')).toBe(6);
  expect(checked('detectors')).toBeGreaterThanOrEqual(4);
  expect(checked('training')).toBe(3);
  expect(rows.peers?.map(({ note }) => note)).toEqual(['skipped: there is no python3']);
  const page = readFileSync(join(pack, 'results/gpu.html'), 'utf8');
  for (const { title } of report.parts) expect(page).toContain(`<h2>${title}</h2>`);
});
