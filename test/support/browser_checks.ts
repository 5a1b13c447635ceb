/**
 * Entry of the browser tests: `runInPage(set, device)` fetches the golden file from its own server and
 * returns the results.
 */
import { type CheckedDevice, type CheckedSet, encodeResults, runChecks } from './checks.ts';

async function runInPage(set: CheckedSet, device: CheckedDevice): Promise<string> {
  const bytes = new Uint8Array(await (await fetch(`/${set}.safetensors`)).arrayBuffer());
  return encodeResults(await runChecks(set, bytes, device));
}

Object.assign(globalThis, { runInPage });
