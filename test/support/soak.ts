/** Repeated use in a child process, and what its memory does. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { bundle } from './bundle.ts';

/**
 * `detectors`: open, predict, close on one engine. `engines`: the same, each on an engine of its own. `empty
 * engines`: opened and closed.
 */
export type SoakKind = 'predictions' | 'detectors' | 'engines' | 'empty engines' | 'batch sizes';

export interface SoakResult {
  /** Resident memory after each sample's operations. */
  readonly megabytes: readonly number[];
  /** Different scores of the one picture that is predicted. */
  readonly scores: number;
}

/** Least squares over the second half, in MB per 100 operations. */
export function slope({ megabytes }: SoakResult, every: number): number {
  const half = megabytes.slice(Math.floor(megabytes.length / 2));
  const middle = (half.length - 1) / 2;
  const mean = half.reduce((sum, value) => sum + value, 0) / half.length;
  let [products, squares] = [0, 0];
  half.forEach((value, i) => {
    products += (i - middle) * (value - mean);
    squares += (i - middle) ** 2;
  });
  return ((products / squares) * 100) / every;
}

/** A bundled child in a folder of its own, until it is disposed of. */
export class Soak implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'aand-soak-'));

  static async prepare(): Promise<Soak> {
    const soak = new Soak();
    symlinkSync(resolve('node_modules'), join(soak.#folder, 'node_modules'));
    await bundle('test/support/soak_child.ts', soak.#script, 'node');
    return soak;
  }

  get #script(): string {
    return join(this.#folder, 'child.mjs');
  }

  /** Rejects where the child fails, or does not end by itself in that time. */
  async run(kind: SoakKind, operations: number, every: number, timeout: number): Promise<SoakResult> {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--expose-gc', this.#script, kind, `${operations}`, `${every}`],
      { timeout, killSignal: 'SIGKILL', maxBuffer: 2 ** 24 },
    );
    return JSON.parse(stdout.trim().split('\n').at(-1) as string) as SoakResult;
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
