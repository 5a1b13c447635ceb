/**
 * A process on the compiler of a GPU that is not there: opens the engine, plans every program and compiles
 * each kernel once. It appends a line with the kernel's name to the layer's record before the layer does, and
 * writes the same line to the standard error, where some drivers print their figures.
 *
 * Arguments: FILE of the record, and as JSON a {@link CompileRequest}.
 */
import { appendFileSync, writeSync } from 'node:fs';
import { globals } from 'webgpu';
import { variantKey } from '../../src/engine/dispatch.ts';
import { Engine } from '../../src/engine/runtime/engine.ts';
import { allPrograms, kernelsOf, modelledDispatches, resnetConvolutions } from './programs.ts';
import type { CompileRequest, Opened } from './records.ts';

/** A driver that calls itself software or gives another name than users' GPUs have. */
function rename(names: Readonly<Record<string, string>>): void {
  const { GPUAdapterInfo: info } = globals as { GPUAdapterInfo: { prototype: object } };
  for (const [key, value] of Object.entries(names))
    Object.defineProperty(info.prototype, key, { get: () => value });
}

const [file = '', text = '{}'] = process.argv.slice(2);
const request = JSON.parse(text) as CompileRequest;
rename(request.adapter);
const say = (line: unknown) => {
  const written = `${JSON.stringify(line)}\n`;
  appendFileSync(file, written);
  writeSync(2, written);
};
// A device that computes nothing would not pass the check of its matrix units.
const engine = await Engine.open({
  minimal: request.minimal,
  subgroupMatrices: !request.minimal,
  checkMatrixUnits: false,
});
try {
  const { adapter, profile, target } = engine;
  const opened: Opened = { driver: adapter.description, profile: profile.name, target };
  say({ opened });
  const sizes = (request.modelled ?? []).map((batch) => ({ batch, program: resnetConvolutions(batch) }));
  for (const { batch, program } of sizes)
    say({ modelled: { batch, dispatches: modelledDispatches(program, engine) } });
  const programs = sizes.length ? sizes.map(({ program }) => program) : allPrograms(engine, request.minimal);
  for (const { variant, programs: names, shape } of kernelsOf(programs, engine)) {
    const label = variantKey(variant);
    if (!label.includes(request.filter)) continue;
    say({ label, programs: names, shape });
    // One after the other, or names and figures would mix.
    try {
      await engine.pipeline(variant);
    } catch (error) {
      say({ label, failure: (error as Error).message });
    }
  }
} finally {
  await engine.close();
}
