/** Numbers in texts, as people write them. */

const written = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;

/**
 * The number that a text is; NaN where it is none. Only decimal digits with a point and an exponent count: no
 * blanks, no other bases, no words such as Infinity, and nothing that is too large for a number. `Number()`
 * takes all of those, and '' as 0.
 */
export function decimal(text: string): number {
  const value = written.test(text) ? Number(text) : Number.NaN;
  return Number.isFinite(value) ? value : Number.NaN;
}
