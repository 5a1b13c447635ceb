/**
 * Entry of the browser tests: `runInPage(set, minimal)` fetches the golden file from its own server and
 * returns the results.
 */
import { type CheckedSet, encodeResults, runChecks } from './checks.ts';

async function runInPage(set: CheckedSet, minimal: boolean): Promise<string> {
  const bytes = new Uint8Array(await (await fetch(`/${set}.safetensors`)).arrayBuffer());
  return encodeResults(await runChecks(set, bytes, minimal));
}

Object.assign(globalThis, { runInPage });
