/**
 * Names of results. One scheme for pictures, JSON and CSV: a result is named by its image's path below what
 * the user named (FOLDER/STEM). No two results share a name, also on file systems that take A and a as one
 * letter.
 */

/** An image that gets a result. */
export interface NamedImage {
  /** Names of the folders above the image that belong to its result's name, outermost first. */
  readonly folders: readonly string[];
  /** The image's own file name, with its extension. */
  readonly file: string;
  /** What tells this image from all others, such as its absolute path. */
  readonly identity: string;
  /** Name of what holds the folders; it is added where two images would share a name without it. */
  readonly root?: string;
}

// Most file systems take 255 bytes; a temporary name is longer than the name that it stands for.
const longestBytes = 150;
const reserved = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])$/i;

const encoder = new TextEncoder();

/** 64 bits of a text (FNV-1a) as hexadecimal digits. */
function digits(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of encoder.encode(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(16).padStart(16, '0');
}

/** Letters, up to this many bytes of UTF-8. */
function cut(text: string, bytes: number): string {
  let length = 0;
  let kept = '';
  for (const letter of text) {
    length += encoder.encode(letter).length;
    if (length > bytes) break;
    kept += letter;
  }
  return kept;
}

/**
 * A text as one name of a file or folder on every file system: letters of all scripts stay; what Windows or a
 * shell does not take becomes _; a name that is too long is cut and gets digits of the whole name.
 */
export function safeName(text: string): string {
  const plain = text
    .replace(/[\p{Cc}\p{Cs}\u2028\u2029<>:"/\\|?*]/gu, '_')
    .replace(/^\.+/, '_')
    .replace(/[. ]+$/, '_');
  const named =
    plain.replace(/^[^.]*/, (first) => (reserved.test(first.trimEnd()) ? `${first}_` : first)) || '_';
  if (encoder.encode(named).length <= longestBytes) return named;
  return `${cut(named, longestBytes - 10)}~${digits(text).slice(0, 8)}`;
}

/** What a file system that ignores case and composition of letters makes of a path. */
function folded(path: string): string {
  return path.normalize('NFKC').toUpperCase().toLowerCase();
}

/** Names of an image, the plainest first; the last ones hold digits of its identity. */
function candidate({ folders, file, identity, root }: NamedImage, level: number): string {
  const stem = file.replace(/(?<=.)\.[^.]*$/, '');
  const plain = [
    [...folders, stem],
    [...folders, file],
    ...(root === undefined
      ? []
      : [
          [root, ...folders, stem],
          [root, ...folders, file],
        ]),
  ];
  const chosen = plain[level];
  if (chosen) return chosen.map(safeName).join('/');
  const length = Math.min(16, 8 + 4 * (level - plain.length));
  return [...folders.map(safeName), `${safeName(stem)}~${digits(identity).slice(0, length)}`].join('/');
}

/** Paths among these that another one has too, or that another one needs as a folder. */
function clashes(paths: readonly string[], extension: string): Set<string> {
  const seen = new Set<string>();
  const twice = new Set<string>();
  const folders = new Set<string>();
  for (const path of paths) {
    if (seen.has(path)) twice.add(path);
    seen.add(path);
    for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) folders.add(path.slice(0, at));
  }
  for (const path of seen) if (folders.has(path + extension)) twice.add(path);
  return twice;
}

// Beyond this the digits are all used.
const mostLevels = 8;

/**
 * One name per image, with `/` between folders and without the extension of the result. A name does not
 * depend on the order of the images: FOLDER/STEM where no other image has it, FOLDER/STEM.EXTENSION where
 * stems repeat, then below the root's name, then with digits of the image's path. Names that differ in case
 * only count as the same.
 *
 * @param taken whether a name belongs to something else already
 * @throws Error where every name of an image is taken
 */
export function resultNames(
  images: readonly NamedImage[],
  extension = '.png',
  taken: (name: string, image: NamedImage) => boolean = () => false,
): string[] {
  // A list may hold an image twice. Each time it has a result of its own.
  const times = new Map<string, number>();
  const distinct = images.map((image) => {
    const time = (times.get(image.identity) ?? 0) + 1;
    times.set(image.identity, time);
    return time === 1 ? image : { ...image, identity: `${image.identity}\n${time}` };
  });
  const levels = images.map(() => 0);
  for (;;) {
    const names = distinct.map((image, i) => candidate(image, levels[i] as number));
    const keys = names.map(folded);
    const twice = clashes(keys, extension);
    let moved = false;
    for (const [i, image] of images.entries()) {
      if (!twice.has(keys[i] as string) && !taken(names[i] as string, image)) continue;
      moved = true;
      const level = (levels[i] as number) + 1;
      if (level > mostLevels) throw new Error(`${image.identity}: every name of its result is taken`);
      levels[i] = level;
    }
    if (!moved) return names;
  }
}
