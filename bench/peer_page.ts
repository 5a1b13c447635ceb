/** This engine as a peer in a page. */
import { Engine } from '../src/engine/runtime/engine.ts';
import { compilePeer, type PeerConfig } from './peer_work.ts';

export async function openPeer(config: PeerConfig) {
  const engine = await Engine.open();
  const { run } = await compilePeer(engine, config);
  return { version: config.version, run };
}
