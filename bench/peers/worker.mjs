/**
 * A peer as a process: reports the output of its first run, then runs once for every line that it reads; with
 * `hostRuns` in its configuration it runs so often by itself and reports the median.
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** Configuration and data that the bench wrote. */
export const config = JSON.parse(process.argv[2] ?? '{}');

export function floats(path) {
  const bytes = readFileSync(path);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

/** Weights by torchvision name: { shape, values }. */
export function readWeights(folder) {
  const index = JSON.parse(readFileSync(`${folder}/weights.json`, 'utf8'));
  const values = floats(`${folder}/weights.bin`);
  return Object.fromEntries(
    Object.entries(index).map(([name, { shape, offset, length }]) => [
      name,
      { shape, values: values.subarray(offset, offset + length) },
    ]),
  );
}

/** @param run does the work once and resolves with its output as numbers */
export async function serve({ version, adapter, run }) {
  const send = (message) => process.stdout.write(`@${JSON.stringify(message)}\n`);
  const output = await run();
  await run();
  send({ version, adapter, output: Array.from(output) });
  // On a device that does nothing: what a run costs on the host.
  if (config.hostRuns) {
    const samples = [];
    for (let i = 0; i < config.hostRuns; i++) {
      const started = performance.now();
      await run();
      samples.push(performance.now() - started);
    }
    samples.sort((a, b) => a - b);
    send({ host_ms: samples[samples.length >> 1] });
    process.exit(0);
  }
  for await (const _ of createInterface({ input: process.stdin })) {
    const started = performance.now();
    await run();
    send({ milliseconds: performance.now() - started });
  }
  process.exit(0);
}
