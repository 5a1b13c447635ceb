/** A detector in 32 or in 16 bits, with random weights and images: what can be compared of it. */
import { RandomStream } from '../../src/base/random.ts';
import { Tape } from '../../src/engine/graph/tape.ts';
import type { Engine } from '../../src/engine/runtime/engine.ts';
import { initialize } from '../../src/engine/runtime/initialize.ts';
import { Program } from '../../src/engine/runtime/program.ts';
import { ParameterStore } from '../../src/engine/runtime/store.ts';
import { backbones } from '../../src/model/backbones.ts';
import { detect, detectorParameters } from '../../src/model/methods.ts';

const size = 64;

/** Largest difference of a map in 16 bits from that in 32 bits, as a share of the map's largest value. */
export const halfTolerance = 5e-3;

export interface DetectorRun {
  readonly map: Float32Array;
  readonly score: Float32Array;
  readonly plan: string;
  /** Of the program, of the parameters, and the least that the values of a run need. */
  readonly bytes: number;
  readonly weights: number;
  readonly arena: number;
  /** One of the weights, read back. */
  readonly kept: Float32Array;
}

/** One run of a resnet18's detector on two images. */
export async function runDetector(engine: Engine, half: boolean): Promise<DetectorRun> {
  const { resnet18 } = backbones;
  const random = new RandomStream('half');
  const images = Float32Array.from({ length: 2 * size * size * 3 }, () => random.uniform(-2, 2));
  const set = detectorParameters(resnet18, 'aand', { half });
  const store = new ParameterStore(engine, set);
  initialize(store, set.groups, 0);
  const tape = new Tape(set);
  const { map, score } = detect(tape, tape.input('images', [2, size, size, 3], 'channels'), resnet18, 'aand');
  const program = await Program.compile(engine, tape, { outputs: { map, score }, store });
  try {
    const result = await program.run({ images });
    const name = 'student.layer1.0.conv2.weight';
    return {
      map: result.map as Float32Array,
      score: result.score as Float32Array,
      plan: program.plan,
      bytes: program.bytes,
      weights: store.bytes,
      arena: program.memory.lowerBound,
      kept: (await store.read([name])).get(name) as Float32Array,
    };
  } finally {
    program.destroy();
    store.destroy();
  }
}
