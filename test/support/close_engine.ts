/** Entry of a child process that opens an engine, closes it, and has nothing left to do. */
import { Engine } from '../../src/engine/runtime/engine.ts';

const engine = await Engine.open();
await engine.close();
console.log('closed');
