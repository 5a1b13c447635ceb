/**
 * The greedy k-center choice (Sener and Savarese, 2018, https://arxiv.org/abs/1708.00489): one after the
 * other the row that lies farthest from all rows chosen before. Every step is exact; the device keeps the
 * rows and their distances, in parts that fit a binding.
 */

import { Interrupted } from '../base/errors.ts';
import { ParameterSet } from '../engine/graph/parameter_set.ts';
import { Tape } from '../engine/graph/tape.ts';
import { roundUp } from '../engine/graph/tensor.ts';
import { farthestRow } from '../engine/ops/farthest.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import { Program } from '../engine/runtime/program.ts';
import { ParameterStore } from '../engine/runtime/store.ts';

export interface CoresetOptions {
  /** Rows to choose: at least 1, at most all. */
  readonly count: number;
  /** The row to begin with. */
  readonly first: number;
  /** Rows in a part; default: what a binding of 128 MiB holds. */
  readonly rowsPerPart?: number;
  readonly signal?: AbortSignal | undefined;
  /** Told after every choice. */
  readonly onChosen?: ((chosen: number, count: number) => void) | undefined;
}

const partBytes = 2 ** 27;
// A distance that every row's is below.
const far = 3e38;

/**
 * Chooses rows.
 *
 * @param rows [P, channels]
 * @returns the chosen rows in the order of their choice; fewer than asked for where all others equal them
 * @throws Interrupted when the signal is raised; OutOfMemoryError; DeviceLostError
 */
export async function greedyCoreset(
  engine: Engine,
  rows: Float32Array,
  channels: number,
  { count, first, rowsPerPart, signal, onChosen }: CoresetOptions,
): Promise<Uint32Array> {
  const total = rows.length / channels;
  const perPart = rowsPerPart ?? Math.floor(partBytes / (4 * roundUp(channels, 4)));
  const starts = Array.from({ length: Math.ceil(total / perPart) }, (_, part) => part * perPart);
  const tape = new Tape(new ParameterSet());
  const center = tape.input('center', [channels], 'channels');
  const outputs = Object.fromEntries(
    starts.flatMap((start, part) => {
      const length = Math.min(perPart, total - start);
      const all = tape.parameter(`rows${part}`, [length, channels], 'channels', `rows${part}`);
      const nearest = tape.parameter(`nearest${part}`, [length], 'dense', `nearest${part}`);
      const { value, index } = farthestRow(tape, all, center, nearest);
      return [
        [`value${part}`, value],
        [`index${part}`, index],
      ];
    }),
  );
  const store = new ParameterStore(engine, tape.parameters);
  let program: Program | undefined;
  try {
    for (const [part, start] of starts.entries()) {
      const length = Math.min(perPart, total - start);
      store.write(`rows${part}`, rows.subarray(start * channels, (start + length) * channels));
      store.write(`nearest${part}`, new Float32Array(length).fill(far));
    }
    program = await Program.compile(engine, tape, { outputs, store });
    const chosen = new Uint32Array(count);
    chosen[0] = first;
    onChosen?.(1, count);
    for (let i = 1; i < count; i++) {
      if (signal?.aborted) throw new Interrupted();
      const last = chosen[i - 1] as number;
      const found = await program.run({ center: rows.slice(last * channels, (last + 1) * channels) });
      let [best, at] = [0, -1];
      for (const [part, start] of starts.entries()) {
        const value = found[`value${part}`]?.[0] as number;
        if (value > best) {
          const { buffer, byteOffset } = found[`index${part}`] as Float32Array;
          best = value;
          at = start + (new Uint32Array(buffer, byteOffset, 1)[0] as number);
        }
      }
      // All that are left lie on chosen ones.
      if (at < 0) return chosen.slice(0, i);
      chosen[i] = at;
      onChosen?.(i + 1, count);
    }
    return chosen;
  } finally {
    program?.destroy();
    store.destroy();
  }
}
