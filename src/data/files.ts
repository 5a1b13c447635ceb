/** Image files in folders: which names count, what their stems are, which stem occurs twice. */
import { listFolder } from '#platform';

export const imageExtensions = ['.png', '.jpg', '.jpeg', '.bmp', '.webp', '.tif', '.tiff'] as const;

/** The extension in lower case with its dot, '' without one. */
export function extensionOf(name: string): string {
  return /\.[^./]*$/.exec(name)?.[0].toLowerCase() ?? '';
}

export function isImagePath(path: string, extensions: readonly string[] = imageExtensions): boolean {
  return extensions.includes(extensionOf(path));
}

/** File name without its folder and extension. */
export function stemOf(path: string): string {
  return path.replace(/^.*\//, '').replace(/\.[^.]*$/, '');
}

/** Image files directly in a folder, sorted; empty where the folder does not exist. */
export async function imagesIn(folder: string, extensions?: readonly string[]): Promise<string[]> {
  return (await listFolder(folder)).filter((name) => isImagePath(name, extensions));
}

/** Folders directly in a folder, sorted, without their slash. */
export async function foldersIn(folder: string): Promise<string[]> {
  return (await listFolder(folder)).filter((name) => name.endsWith('/')).map((name) => name.slice(0, -1));
}

/** Masks of a folder by the stem of the image that they belong to: NAME_mask.png or NAME.png. */
export async function masksIn(folder: string): Promise<Map<string, string>> {
  const masks = new Map<string, string>();
  for (const name of await imagesIn(folder)) masks.set(stemOf(name).replace(/_mask$/, ''), `${folder}/${name}`);
  return masks;
}

/** A warning for each stem that several files of a folder share: pictures and masks go by stem. */
export function duplicateStems(folder: string, names: readonly string[]): string[] {
  const first = new Map<string, string>();
  const warnings: string[] = [];
  for (const name of names) {
    const other = first.get(stemOf(name));
    if (other) warnings.push(`${folder}: ${other} and ${name} have one stem; results and masks go by stem`);
    else first.set(stemOf(name), name);
  }
  return warnings;
}
