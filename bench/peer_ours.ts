/** This engine as a process among the peers; see bench/peers/worker.mjs for the protocol. */
import { packageVersion } from '../src/cli/package.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { compilePeer, peerConfigs } from './peer_work.ts';
import { answerTurns } from './worker.ts';

const { work } = JSON.parse(process.argv[2] ?? '{}') as { work: 'forward' | 'train' };
const version = await packageVersion();
const engine = await Engine.open();
const { run } = await compilePeer(engine, peerConfigs(version)[work]);
const output = await run();
await run();
await answerTurns(
  { version, adapter: engine.adapter.description || engine.target.name, output: Array.from(output) },
  async () => {
    const started = performance.now();
    await run();
    return performance.now() - started;
  },
);
await engine.close();
