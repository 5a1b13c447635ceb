/** This engine as a process among the peers; see bench/peers/worker.mjs for the protocol. */
import { createInterface } from 'node:readline';
import { packageVersion } from '../src/cli/package.ts';
import { Engine } from '../src/engine/device.ts';
import { compilePeer, peerConfigs } from './peer_work.ts';

const { work } = JSON.parse(process.argv[2] ?? '{}') as { work: 'forward' | 'train' };
const version = await packageVersion();
const send = (message: unknown) => process.stdout.write(`@${JSON.stringify(message)}\n`);
const engine = await Engine.open();
const { run } = await compilePeer(engine, peerConfigs(version)[work]);
const output = await run();
await run();
send({ version, adapter: engine.adapter.description || engine.target.name, output: Array.from(output) });
for await (const _ of createInterface({ input: process.stdin })) {
  const started = performance.now();
  await run();
  send({ milliseconds: performance.now() - started });
}
await engine.close();
