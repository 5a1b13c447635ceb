/** Files and version of this package, found from the built command or from the sources. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '#platform';

/** Path of a file that ships with the package. */
export function packagedFile(path: string): string {
  return join(packageRoot(), path);
}

export function packageVersion(): string {
  const text = readFileSync(packagedFile('package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
