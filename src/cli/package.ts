/** Files and version of this package, found from the built command or from the sources. */
import { join } from 'node:path';
import { packageRoot, readBytes } from '#platform';

/** Path of a file that ships with the package. */
export function packagedFile(path: string): string {
  return join(packageRoot(), path);
}

export async function packageVersion(): Promise<string> {
  const text = new TextDecoder().decode(await readBytes(packagedFile('package.json')));
  return (JSON.parse(text) as { version: string }).version;
}
