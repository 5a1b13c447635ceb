/** Files and version of this package, found from the built command or from the sources. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readBytes } from '#platform';

function root(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('the package folder was not found');
    folder = parent;
  }
  return folder;
}

/** Path of a file that ships with the package. */
export function packagedFile(path: string): string {
  return join(root(), path);
}

export async function packageVersion(): Promise<string> {
  const text = new TextDecoder().decode(await readBytes(packagedFile('package.json')));
  return (JSON.parse(text) as { version: string }).version;
}
