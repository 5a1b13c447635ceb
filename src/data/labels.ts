/** How people call good parts: as names of folders, in lists, as numbers. */

// In lower case, without spaces, dashes, underlines and dots.
const goodWords = new Set([
  'good',
  'ok',
  'okay',
  'normal',
  'nominal',
  'pass',
  'passed',
  'io',
  'nodefect',
  'nodefects',
  'defectfree',
  'nondefective',
  'noanomaly',
  'noanomalies',
  'anomalyfree',
  'nonanomalous',
]);
const goodNumbers = new Set(['0', 'false']);

function plain(label: unknown): string {
  return String(label)
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[\s_.-]+/g, '');
}

/**
 * Whether two names differ at most in case, spaces, dashes and underlines: `Ground Truth` and `ground_truth`.
 */
export function sameName(a: string, b: string): boolean {
  return plain(a) === plain(b);
}

/**
 * Whether a label of an image means a good part: good, ok, okay, normal, nominal, pass, passed, i.O., no
 * defect, defect-free, non-defective, no anomaly, anomaly-free or non-anomalous in any spelling; 0 or false,
 * as number, text or boolean.
 */
export function isGoodLabel(label: unknown): boolean {
  return goodWords.has(plain(label)) || goodNumbers.has(plain(label));
}

/**
 * Those of a folder's folders that hold good parts. `0` means good only where no name says so in words:
 * beside `good` it is a kind of defect.
 */
export function goodFolders(names: readonly string[]): string[] {
  const words = names.filter((name) => goodWords.has(plain(name)));
  return words.length ? words : names.filter((name) => goodNumbers.has(plain(name)));
}
