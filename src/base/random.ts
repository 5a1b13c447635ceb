/**
 * Counter-based random streams. A stream is a hash of its keys (seed, purpose, epoch, sample): any sample of
 * any epoch can be drawn again alone, and a resumed run continues bit for bit. The 32-bit mixing is the one
 * of the golden rule (src/bench/rule.ts).
 */
function mix(z: number): number {
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return (z ^ (z >>> 15)) >>> 0;
}

/** Random numbers that depend on the stream's keys and their place in it alone. */
export class RandomStream {
  readonly #key: number;
  readonly #second: number;
  #counter = 0;

  /**
   * The stream of these keys; the same keys give the same numbers.
   *
   * @param keys numbers or names that identify the stream
   */
  constructor(...keys: readonly (number | string)[]) {
    let a = 0x811c9dc5;
    let b = 0x9e3779b9;
    for (const byte of new TextEncoder().encode(JSON.stringify(keys))) {
      a = Math.imul(a ^ byte, 0x01000193);
      b = mix(b + byte + 0x632be5ab);
    }
    this.#key = a >>> 0;
    this.#second = b;
  }

  /** Uniform integer in [0, 2^32). */
  bits(): number {
    this.#counter++;
    return mix((mix((this.#key + Math.imul(this.#counter, 0x9e3779b9)) >>> 0) ^ this.#second) >>> 0);
  }

  /** Uniform in [0, 1) with 32 bits. */
  next(): number {
    return this.bits() / 4294967296;
  }

  /** Uniform in [low, high). */
  uniform(low: number, high: number): number {
    return low + (high - low) * this.next();
  }

  /** Uniform integer in [low, high]. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** Standard normal (Box-Muller). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.next()));
    return radius * Math.cos(2 * Math.PI * this.next());
  }

  /** The first `count` values of a random permutation of 0..total-1. */
  sample(total: number, count: number): Uint32Array {
    const values = Uint32Array.from({ length: total }, (_, i) => i);
    const chosen = Math.min(count, total);
    for (let i = 0; i < chosen; i++) {
      const j = this.integer(i, total - 1);
      const value = values[i] as number;
      values[i] = values[j] as number;
      values[j] = value;
    }
    return values.subarray(0, chosen);
  }
}
