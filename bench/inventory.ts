/**
 * What the engine consists of on this device: kernel files, and the pipelines of a whole training with its
 * inference.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packagedFile } from '../src/cli/package.ts';
import { imageInput } from '../src/data/image_input.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import type { Tensor } from '../src/engine/graph/tensor.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { Program } from '../src/engine/runtime/program.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import { recordAmplification } from '../src/model/amplification.ts';
import { backbones } from '../src/model/backbones.ts';
import { groups } from '../src/model/groups.ts';
import { detect, detectorParameters, methods } from '../src/model/methods.ts';
import { StepPrograms } from '../src/train/step_programs.ts';

export function kernelLines(): { name: string; lines: number }[] {
  const folder = packagedFile('kernels');
  return readdirSync(folder)
    .filter((name) => name.endsWith('.wesl'))
    .map((name) => ({ name, lines: readFileSync(join(folder, name), 'utf8').split('\n').length - 1 }));
}

/** Pipelines of both training stages and inference, resnet18 at the settings of the README's example. */
export async function trainingPipelines(): Promise<number> {
  const engine = await Engine.open();
  try {
    const backbone = backbones.resnet18;
    const set = detectorParameters(backbone, 'aand');
    const store = new ParameterStore(engine, set);
    const size = 128;
    const batch = 16;
    const amplification = new StepPrograms(engine, store, groups.amplification, (tape, n) =>
      recordAmplification(tape, backbone, size, n),
    );
    await amplification.program(batch);
    const distillation = new StepPrograms(engine, store, groups.student, (tape, n) =>
      methods.aand.stages[1].record(tape, { teacher: backbone, size, batch: n, cached: true }),
    );
    await distillation.program(batch);
    const images = (tape: Tape, n: number) => tape.input('images', [n, size, size, 3], 'channels');
    const compile = async (record: (tape: Tape) => Record<string, Tensor>) => {
      const tape = new Tape(set);
      await Program.compile(engine, tape, { outputs: record(tape), store });
    };
    await compile((tape) => {
      const { amplified } = methods.aand.targets(tape, images(tape, batch), backbone);
      return Object.fromEntries(amplified.map((tensor, i) => [`target${i}`, tensor]));
    });
    await compile((tape) => {
      const { map, score } = detect(tape, imageInput(tape, 1, size), backbone, 'aand');
      return { map, score };
    });
    return engine.pipelineCount;
  } finally {
    await engine.close();
  }
}
