/** When a picture of the camera is worth judging: something moved, and now lies still. */

/** Size of the small grey pictures that are compared: each value averages a spot of the camera's picture. */
export const stillnessSize = { width: 32, height: 24 } as const;

/** Values that have to change: a small part covers few of them. */
const changedValues = 12;

/**
 * How much two pictures differ: the mean of the {@link changedValues} largest differences, 0 to 255.
 *
 * @param a,b grey values of pictures of one size
 */
export function difference(a: Uint8Array, b: Uint8Array): number {
  const counts = new Uint32Array(256);
  for (let i = 0; i < a.length; i++) {
    const at = Math.abs((a[i] as number) - (b[i] as number));
    counts[at] = (counts[at] as number) + 1;
  }
  const wanted = Math.min(changedValues, a.length);
  let [sum, left] = [0, wanted];
  for (let value = 255; left > 0; value--) {
    const taken = Math.min(left, counts[value] as number);
    sum += taken * value;
    left -= taken;
  }
  return sum / wanted;
}

export interface StillnessOptions {
  /** The {@link difference} that counts as a change. The noise of cameras stays below 6. */
  readonly change?: number;
  /** Milliseconds without a change. */
  readonly milliseconds?: number;
}

/**
 * Looks at small pictures of a camera, one after the other. It asks for a judgement once for each thing that
 * comes to rest; what lies there when it begins is not judged, and neither is the empty place where it is
 * known.
 */
export class Stillness {
  readonly #change: number;
  readonly #milliseconds: number;
  #last: Uint8Array | undefined;
  #empty: Uint8Array | undefined;
  #since = 0;
  #moved = false;

  constructor({ change = 10, milliseconds = 400 }: StillnessOptions = {}) {
    this.#change = change;
    this.#milliseconds = milliseconds;
  }

  /** Tells what the place looks like without a part: that is never judged. */
  setEmpty(grey: Uint8Array): void {
    this.#empty = grey;
  }

  /**
   * Takes the next picture.
   *
   * @param grey values of a picture of {@link stillnessSize}
   * @param now milliseconds of a clock that only goes forwards
   * @returns whether the camera's picture is to be judged now
   */
  add(grey: Uint8Array, now: number): boolean {
    // Compared with the last picture that was another one: what creeps adds up to a change too.
    if (!this.#last || difference(grey, this.#last) >= this.#change) {
      this.#moved = this.#last !== undefined;
      this.#last = grey;
      this.#since = now;
      return false;
    }
    if (now - this.#since < this.#milliseconds) return false;
    const moved = this.#moved;
    this.#moved = false;
    if (!this.#empty || difference(grey, this.#empty) >= this.#change) return moved;
    // The empty place may slowly become lighter or darker.
    this.#empty = grey;
    return false;
  }
}
