/** Numbers in texts, as people write them. */

const written = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;

/**
 * The number that a text is; NaN where it is none. A number is decimal digits with a point and an exponent.
 * Blanks, other bases, words such as Infinity and values beyond a double are none, and neither is an empty
 * text: `Number()` takes all of those.
 */
export function decimal(text: string): number {
  const value = written.test(text) ? Number(text) : Number.NaN;
  return Number.isFinite(value) ? value : Number.NaN;
}
