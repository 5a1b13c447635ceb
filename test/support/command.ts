/** The command line as a child process, bundled from the sources for the tests of a file. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { bundle } from './bundle.ts';

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Waits until stdout or stderr has said this. @throws when the process ends before */
  heard(text: string | RegExp): Promise<void>;
}

export interface StartOptions {
  readonly cwd?: string;
  /** Added to the environment of the tests. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Closes stdout after its first piece, as a reader that goes. */
  readonly closeStdout?: boolean;
  /** Sees all of stderr so far whenever more comes. */
  readonly onError?: (text: string, child: ChildProcess) => void;
}

export interface Command {
  /** The bundle, for `node PATH ARGUMENTS`. It lies in node_modules, where it finds the packages. */
  readonly path: string;
  start(args: readonly string[], options?: StartOptions): Started;
  run(args: readonly string[], options?: StartOptions): Promise<Ended>;
}

/** Bundles the command before the tests of a file; after them, kills what still runs and deletes it. */
export function useCommand(): Command {
  const folder = useProjectFolder();
  const children = new Set<ChildProcess>();
  const command: Command = {
    get path() {
      return join(folder, 'cli.mjs');
    },
    start(args, options = {}) {
      const child = spawn('node', [command.path, ...args], {
        cwd: options.cwd,
        env: { ...process.env, ...options.env },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      children.add(child);
      let [stdout, stderr] = ['', ''];
      child.stdout.on('data', (data) => {
        stdout += data;
        if (options.closeStdout) child.stdout.destroy();
      });
      child.stderr.on('data', (data) => {
        stderr += data;
        options.onError?.(stderr, child);
      });
      const ended = new Promise<Ended>((done) =>
        child.on('close', (code, signal) => {
          children.delete(child);
          done({ code, signal, stdout, stderr });
        }),
      );
      const heard = async (text: string | RegExp) => {
        while (!`${stdout}${stderr}`.match(text)) {
          if (!children.has(child)) throw new Error(`ended before it said ${text}: ${stdout}${stderr}`);
          await new Promise((later) => setTimeout(later, 50));
        }
      };
      return { child, ended, heard };
    },
    run: (args, options) => command.start(args, options).ended,
  };
  beforeAll(() => bundle('src/cli/main.ts', command.path, 'node'));
  afterAll(() => {
    for (const child of children) child.kill('SIGKILL');
  });
  return command;
}

/** As {@link useFolder}, but in node_modules, where a bundle finds the project's packages. */
export const useProjectFolder = () => useFolder(join(process.cwd(), 'node_modules'));

/** A folder for temporary files: made before the tests of a suite and deleted after them. */
export function useFolder(parent = tmpdir()): string {
  const folder = join(parent, `.aand-test-${randomUUID().slice(0, 13)}`);
  beforeAll(() => {
    mkdirSync(folder);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
