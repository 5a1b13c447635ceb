/** Entry of a child process on the driver that VK_DRIVER_FILES names: prints what divisions are wrong. */
import { Engine } from '../../src/engine/runtime/engine.ts';
import { divisionPairs, wrongDivisions } from './division.ts';

const engine = await Engine.open();
const wrong = await wrongDivisions(engine, divisionPairs());
console.log(JSON.stringify({ profile: engine.profile.name, wrong: wrong.slice(0, 10) }));
engine.close();
