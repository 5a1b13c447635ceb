/** A child process: prints the subgroup size of the default adapter and a detector's map in base64. */

import { RandomStream } from '../../src/base/random.ts';
import { Tape } from '../../src/engine/graph/tape.ts';
import { Engine } from '../../src/engine/runtime/engine.ts';
import { initialize } from '../../src/engine/runtime/initialize.ts';
import { Program } from '../../src/engine/runtime/program.ts';
import { ParameterStore } from '../../src/engine/runtime/store.ts';
import { backbones } from '../../src/model/backbones.ts';
import { groups } from '../../src/model/groups.ts';
import { detect, detectorParameters } from '../../src/model/methods.ts';
import { randomValues } from './operations.ts';

const shape = [1, 64, 64, 3] as const;
await using engine = await Engine.open();
const set = detectorParameters(backbones.resnet18, 'aand');
const store = new ParameterStore(engine, set);
initialize(store, Object.values(groups), 3);
const tape = new Tape(set);
const { map } = detect(tape, tape.input('images', shape, 'channels'), backbones.resnet18, 'aand');
const program = await Program.compile(engine, tape, { outputs: { map }, store });
const result = await program.run({
  images: randomValues({ shape, layout: 'channels' }, new RandomStream('images')),
});
const bytes = Buffer.from((result.map as Float32Array).buffer).toString('base64');
console.log(JSON.stringify({ subgroupSize: engine.adapter.subgroupSize, bytes }));
