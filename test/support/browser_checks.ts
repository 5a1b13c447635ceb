/**
 * Entry of the browser tests: `runInPage(minimal)` fetches the golden files from its own server and returns
 * the results.
 */
import { encodeResults, runChecks } from './checks.ts';

async function runInPage(minimal: boolean): Promise<string> {
  const fetched = async (name: string) =>
    new Uint8Array(await (await fetch(`/${name}.safetensors`)).arrayBuffer());
  return encodeResults(await runChecks(await fetched('ops'), await fetched('models'), minimal));
}

Object.assign(globalThis, { runInPage });
