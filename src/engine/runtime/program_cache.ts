/** Programs that are compiled at their first use and kept, by what tells them apart: a batch size, mostly. */
import { ClosedError } from '../../base/errors.ts';
import type { Program } from './program.ts';

/** Compiles a program per key at its first use, and keeps it. */
export class ProgramCache<Key = number> {
  readonly #programs = new Map<Key, Promise<Program>>();
  readonly #compiled = new Set<Program>();
  #closing: Promise<void> | undefined;

  /**
   * The program of a key, compiled where there is none. A compilation that fails is not kept: the next call
   * tries anew.
   */
  async get(key: Key, compile: () => Promise<Program>): Promise<Program> {
    if (this.#closing) throw new ClosedError('the programs are closed');
    let program = this.#programs.get(key);
    if (!program) {
      program = compile();
      this.#programs.set(key, program);
      program.then(
        (compiled) => this.#compiled.add(compiled),
        () => this.#programs.delete(key),
      );
    }
    return program;
  }

  /** GPU bytes of the programs that are compiled. */
  get bytes(): number {
    return [...this.#compiled].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** After the parameters were written. */
  async refresh(): Promise<void> {
    for (const program of this.#programs.values()) await (await program).refresh();
  }

  /**
   * Frees the programs after the compilations and runs that are under way; later calls reject with a
   * ClosedError.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const programs = [...this.#programs.values()];
    this.#programs.clear();
    for (const compiled of programs) {
      const program = await compiled.catch(() => undefined);
      await program?.idle();
      program?.destroy();
    }
    this.#compiled.clear();
  }
}
