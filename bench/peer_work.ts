/**
 * The work that all engines do: ResNet-18 forward or an Adam step, with weights and inputs of the golden
 * rule.
 */

import { ruleParameters, ruleTensor } from '../src/bench/rule.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import { elements, type Tensor } from '../src/engine/graph/tensor.ts';
import type { Engine } from '../src/engine/runtime/engine.ts';
import { Program } from '../src/engine/runtime/program.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import { backbones } from '../src/model/backbones.ts';
import { classifierGroup, classifierLoss, classifierParameters, classify } from '../src/model/classifier.ts';
import { stepInput } from '../src/train/schedule.ts';
import { recordStep } from '../src/train/step_programs.ts';

export interface PeerConfig {
  readonly work: 'forward' | 'train';
  /** NCHW. */
  readonly shape: readonly [number, number, number, number];
  readonly labels: readonly number[];
  readonly learningRate: number;
  /** Of this engine. */
  readonly version: string;
}

export const peerConfigs = (version: string): Readonly<Record<PeerConfig['work'], PeerConfig>> => ({
  forward: { work: 'forward', shape: [1, 3, 256, 256], labels: [], learningRate: 0, version },
  train: { work: 'train', shape: [4, 3, 128, 128], labels: [1, 20, 300, 999], learningRate: 1e-3, version },
});

/** Images in NHWC order. */
export function peerImages({ shape: [n, c, h, w] }: PeerConfig): Float32Array {
  return ruleTensor('image', n * c * h * w);
}

/** The network with its weights on a device. */
export function peerStore(engine: Engine): ParameterStore {
  const store = new ParameterStore(engine, classifierParameters(backbones.resnet18));
  ruleParameters(
    { rule: (name, shape, scale, shift) => ruleTensor(name, elements(shape), scale, shift) },
    store,
  );
  return store;
}

/** Records the inference that the exported model holds. */
export function recordForward(store: ParameterStore, config: PeerConfig): { tape: Tape; logits: Tensor } {
  const [n, c, h, w] = config.shape;
  const tape = new Tape(store.set);
  return { tape, logits: classify(tape, tape.input('images', [n, h, w, c], 'channels'), backbones.resnet18) };
}

/** This engine's own run of the work. */
export async function compilePeer(
  engine: Engine,
  config: PeerConfig,
): Promise<{ program: Program; run: () => Promise<Float32Array> }> {
  const store = peerStore(engine);
  const images = peerImages(config);
  if (config.work === 'forward') {
    const { tape, logits } = recordForward(store, config);
    const program = await Program.compile(engine, tape, { outputs: { logits }, store });
    return { program, run: async () => (await program.run({ images })).logits as Float32Array };
  }
  const [n, c, h, w] = config.shape;
  const tape = new Tape(store.set);
  const labels = tape.input('labels', [n], 'dense');
  const loss = classifierLoss(
    tape,
    tape.input('images', [n, h, w, c], 'channels'),
    labels,
    backbones.resnet18,
  );
  recordStep(tape, loss, classifierGroup);
  const program = await Program.compile(engine, tape, { outputs: { loss }, store });
  const given = { images, labels: Float32Array.from(config.labels) };
  let step = 0;
  const run = async () =>
    (await program.run({ ...given, ...stepInput(++step, config.learningRate) })).loss as Float32Array;
  return { program, run };
}
