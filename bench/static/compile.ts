/** Compiles every kernel for a family, in a process of its own on that family's driver. */
import { spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { packagedFile } from '../../src/cli/package.ts';
import { buildLayer, compilerEnvironment, debianFolder } from './environment.ts';
import type { Family } from './families.ts';
import { modelsLoops } from './figures.ts';
import { readsKStep } from './main_loops.ts';
import { type CompileRecord, type CompileRequest, readRecord } from './records.ts';

/** Mesa's driver calls an Apple GPU by its own name; users' browsers say this. */
const adapterNames: Partial<Record<Family['vendor'], Record<string, string>>> = {
  apple: { vendor: 'apple', architecture: 'metal-3' },
};

// Folders are shown to the other system for this command alone: those before "--".
const insideDebian = `
  root=$1; shift
  for folder in /proc /dev /sys; do mount --bind "$folder" "$root$folder"; done
  while [ "$1" != -- ]; do mkdir -p "$root$1"; mount --bind "$1" "$root$1"; shift; done
  shift; exec chroot "$root" /usr/bin/env -i "$@"
`;

/** A script of this package as a process on a family's driver. */
export interface DriverProcess {
  /** The script and what it is given. */
  readonly args: readonly string[];
  /** Folders outside the package that it reads: NVIDIA's driver has a system of its own without others. */
  readonly reads?: readonly string[];
  /** What the compiler says of kernels; it is not kept where this is absent. */
  readonly record?: { readonly path: string; readonly assembly: boolean };
}

interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
}

/** What starts Node in the system at `root` with these variables; it sees these folders of ours. */
export function commandInside(
  root: string,
  { args, reads = [], record }: DriverProcess,
  variables: Readonly<Record<string, string>>,
): Command {
  const { VK_LAYER_PATH: layer } = variables;
  const folders = [packagedFile('.'), ...(layer ? [layer] : []), ...reads];
  if (record) folders.push(dirname(record.path));
  const given = Object.entries({ ...variables, PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/root' });
  return {
    program: 'unshare',
    args: [
      ...['--mount', 'bash', '-ec', insideDebian, '-', root, ...folders, '--'],
      ...given.map(([name, value]) => `${name}=${value}`),
      ...['/usr/local/bin/node', ...args],
    ],
    environment: process.env,
  };
}

/** What starts a process on a family's driver. */
function commandOn(family: Family, started: DriverProcess): Command {
  const variables = compilerEnvironment(family, buildLayer(), started.record);
  if (family.vendor !== 'nvidia')
    return { program: process.execPath, args: started.args, environment: { ...process.env, ...variables } };
  const root = debianFolder();
  copyFileSync(process.execPath, join(root, 'usr/local/bin/node'));
  return commandInside(root, started, variables);
}

/** Runs a script of this package on a family's driver; resolves with both outputs. */
export function runOn(
  family: Family,
  started: DriverProcess,
): Promise<{ readonly output: string; readonly errors: string }> {
  const { program, args, environment } = commandOn(family, started);
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let errors = '';
    child.stdout.on('data', (data: Buffer) => {
      output += data.toString();
    });
    child.stderr.on('data', (data: Buffer) => {
      errors += data.toString();
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve({ output, errors });
      else {
        const words = errors.split('\n').filter((line) => line && !/^[{]|^SHADER-DB/.test(line));
        reject(new Error(`${family.name}: ended with ${signal ?? code}: ${words.slice(-5).join('; ')}`));
      }
    });
  });
}

/**
 * What the compiler of a family says of every kernel.
 *
 * @throws Error where the driver does not start or a process on it fails
 */
export async function compileFor(
  family: Family,
  request: Omit<CompileRequest, 'adapter'> & Partial<Pick<CompileRequest, 'adapter'>>,
): Promise<CompileRecord> {
  const folder = mkdtempSync(join(tmpdir(), 'aand-static-'));
  try {
    const path = join(folder, 'record.jsonl');
    const full: CompileRequest = { adapter: adapterNames[family.vendor] ?? {}, ...request };
    const script = packagedFile('dist/static_child.js');
    // Only what is read here is asked for.
    const assembly = modelsLoops(family) || (request.modelled !== undefined && readsKStep(family.vendor));
    const { errors } = await runOn(family, {
      args: [script, path, JSON.stringify(full)],
      record: { path, assembly },
    });
    return readRecord(readFileSync(path, 'utf8'), errors);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
