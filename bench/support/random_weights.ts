/** Teachers that have learned nothing: for tests, and as the lower end of tables of teachers. */
import type { Engine } from '../../src/engine/runtime/engine.ts';
import { initialize } from '../../src/engine/runtime/initialize.ts';
import { ParameterStore } from '../../src/engine/runtime/store.ts';
import { groups } from '../../src/model/groups.ts';
import { detectorParameters } from '../../src/model/methods.ts';
import type { Teacher } from '../../src/model/teacher.ts';
import { storeParameters } from '../../src/weights/parameters.ts';
import { readSafetensors, type SafetensorsFile, writeSafetensors } from '../../src/weights/safetensors.ts';

/** Random weights of a teacher, drawn as for a training from nothing, as a file with torchvision's names. */
export async function randomWeights(engine: Engine, teacher: Teacher, seed = 7): Promise<SafetensorsFile> {
  const store = new ParameterStore(engine, detectorParameters(teacher, 'rd'));
  try {
    initialize(store, [groups.teacher], seed);
    const tensors = await storeParameters(store, [groups.teacher], { prefix: 'teacher.' });
    return readSafetensors(writeSafetensors(tensors));
  } finally {
    store.destroy();
  }
}
