/**
 * Splits of a list of images. Each image's side depends on that image alone, so a new photograph moves no
 * other one.
 */
import { RandomStream } from '../base/random.ts';

function fileName(path: string): string {
  return path.replace(/^.*\//, '').normalize('NFC');
}

/**
 * Splits off about a share. A hash of the seed and of each file's name decides, not the number of files and
 * not the folder's name: images that are added, removed or edited leave the others where they are. Each side
 * gets at least one image: where the hashes leave a side empty, the image with the smallest (or the largest)
 * hash goes there.
 *
 * @param list two or more
 * @param share of the list that is drawn, above 0 and below 1
 * @param purpose names the split, so that different splits of one list are independent
 * @returns both parts in the order of the list
 */
export function splitByName<T extends { readonly path: string }>(
  list: readonly T[],
  share: number,
  seed: number,
  purpose: string,
): { drawn: T[]; rest: T[] } {
  const hashes = list.map(({ path }) => new RandomStream(seed, purpose, fileName(path)).next());
  const extreme = (sign: 1 | -1) =>
    hashes.reduce((best, hash, i) => (sign * hash < sign * (hashes[best] as number) ? i : best), 0);
  const [smallest, largest] = [extreme(1), extreme(-1)];
  const isDrawn = hashes.map((hash, i) => (hash < share || i === smallest) && i !== largest);
  return { drawn: list.filter((_, i) => isDrawn[i]), rest: list.filter((_, i) => !isDrawn[i]) };
}
