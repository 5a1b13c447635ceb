/** The version of this program, for what it writes. */
import { packageRoot, readBytes } from '#platform';

/** The version of the package; `browser` where it has no files. */
export async function programVersion(): Promise<string> {
  try {
    const text = new TextDecoder().decode(await readBytes(`${packageRoot()}/package.json`));
    return (JSON.parse(text) as { version: string }).version;
  } catch {
    return 'browser';
  }
}
