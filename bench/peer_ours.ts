/** This engine as a process among the peers; see bench/peers/worker.mjs for the protocol. */
import { packageVersion } from '../src/cli/package.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { compilePeer, peerConfigs } from './peer_work.ts';
import { answerTurns } from './worker.ts';

const { work, hostRuns } = JSON.parse(process.argv[2] ?? '{}') as {
  readonly work: 'forward' | 'train';
  /** On a device that does nothing: runs so often by itself, and reports the median. */
  readonly hostRuns?: number;
};
const version = packageVersion();
const engine = await Engine.open();
const { run } = await compilePeer(engine, peerConfigs(version)[work]);
const output = await run();
await run();
if (hostRuns) {
  const samples: number[] = [];
  for (let i = 0; i < hostRuns; i++) {
    const started = performance.now();
    await run();
    samples.push(performance.now() - started);
  }
  samples.sort((a, b) => a - b);
  console.log(`@${JSON.stringify({ host_ms: samples[samples.length >> 1] })}`);
  await engine.close();
  process.exit(0);
}
await answerTurns(
  { version, adapter: engine.adapter.description || engine.target.name, output: Array.from(output) },
  async () => {
    const started = performance.now();
    await run();
    return performance.now() - started;
  },
);
await engine.close();
