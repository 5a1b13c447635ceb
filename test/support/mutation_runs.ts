/** Damaged files through the product's own ways in: Detector.open, and the resuming of a training. */
import { isDeepStrictEqual } from 'node:util';
import { RandomStream } from '../../src/base/random.ts';
import { Detector } from '../../src/detector/detector.ts';
import { readDetector, writeDetectorTensors } from '../../src/detector/file.ts';
import { ParameterSet } from '../../src/engine/graph/parameter_set.ts';
import type { Engine } from '../../src/engine/runtime/engine.ts';
import { ParameterStore } from '../../src/engine/runtime/store.ts';
import type { CheckpointStorage } from '../../src/train/checkpoint.ts';
import { trainStage } from '../../src/train/trainer.ts';
import { writeWithDigest } from '../../src/weights/digest.ts';
import { randomDetector, settings } from './model_files.ts';
import { changeSetting, type Mutation, mutations, type Outcome, Subject, Tally } from './mutations.ts';

/** Tries damaged files one after the other, the kinds in turns. */
async function tryAll(
  subject: Subject,
  options: { readonly count: number; readonly seed: number },
  kinds: Readonly<Record<string, (subject: Subject, random: RandomStream) => Mutation | Promise<Mutation>>>,
  attempt: (bytes: Uint8Array) => Promise<Outcome>,
): Promise<Tally> {
  const tally = new Tally();
  const names = Object.keys(kinds);
  for (let i = 0; i < options.count; i++) {
    const kind = names[i % names.length] as string;
    const { bytes, undo } = await (kinds[kind] as (typeof kinds)[string])(
      subject,
      new RandomStream(options.seed, kind, i),
    );
    const started = performance.now();
    const outcome = await attempt(bytes).catch((error: unknown): Outcome => {
      // An error of the program's own has a message for the user; what JavaScript throws by itself does not
      // count.
      const own = error instanceof Error && !/^(Type|Range|Reference|Syntax)Error$/.test(error.name);
      return own && error.message.length > 10 ? 'refused' : 'crash';
    });
    tally.add(kind, outcome, performance.now() - started);
    undo();
  }
  return tally;
}

/** Model files: what opens must have the settings and the map of the file that was written. */
export async function mutateModel(
  engine: Engine,
  options: { readonly count: number; readonly seed: number },
) {
  const file = await writeDetectorTensors(randomDetector(), settings);
  const subject = new Subject(file);
  const image = {
    width: 32,
    height: 32,
    channels: 3,
    data: new Uint8Array(3072).map((_, i) => i * 7),
  } as const;
  const open = async (bytes: Uint8Array) => {
    await using detector = await Detector.open(engine, bytes, 'm');
    const [prediction] = await detector.predict([image]);
    return { settings: detector.settings, map: prediction?.map };
  };
  const written = await open(file);
  const attempt = async (bytes: Uint8Array): Promise<Outcome> => {
    const opened = await open(bytes);
    return isDeepStrictEqual(opened, written) ? 'identical' : 'different';
  };
  return tryAll(subject, options, mutations, attempt);
}

/**
 * Settings as a program that knows the format would write them, with digests that fit: what is read must be
 * what the file says.
 */
export async function mutateSettings(options: {
  readonly count: number;
  readonly seed: number;
}): Promise<Tally> {
  const tensors = new Map([['x', { shape: [1], values: new Float32Array(1) }]]);
  const subject = new Subject(await writeDetectorTensors(tensors, settings));
  const kinds = {
    'a setting, with digests that fit': async (_: Subject, random: RandomStream) => {
      const { __metadata__: metadata, ...rest } = subject.header();
      const header = { ...rest, __metadata__: metadata };
      changeSetting(header, random);
      return { bytes: await writeWithDigest(tensors, header.__metadata__), undo: () => {} };
    },
  };
  return tryAll(subject, options, kinds, async (bytes) => {
    const { settings: read, metadata } = await readDetector(bytes, 'm');
    const { format: _, ...said } = JSON.parse(metadata.detector as string) as Record<string, unknown>;
    return isDeepStrictEqual(read, said) ? 'identical' : 'different';
  });
}

/**
 * A training of a few numbers, whose steps are arithmetic on them: everything around the steps is the
 * product's.
 */
async function shortTraining(
  engine: Engine,
  storage: Pick<CheckpointStorage, 'load' | 'save'>,
  o: { readonly epochs: number; readonly resume: boolean },
): Promise<void> {
  const set = new ParameterSet();
  for (const [name, size] of [
    ['a.weight', 24],
    ['a.bias', 8],
    ['b.weight', 24],
  ] as const)
    set.define({ name, shape: [size], layout: 'dense', group: 'g', initial: { kind: 'constant', value: 0 } });
  const store = new ParameterStore(engine, set);
  try {
    for (const { name, shape } of set.specs)
      store.write(name, new Float32Array(shape[0] as number).fill(0.5));
    await trainStage({
      stage: 'stage II',
      store,
      group: 'g',
      items: 6,
      batch: 2,
      epochs: o.epochs,
      seed: 3,
      checkpoint: {
        storage: { ...storage, name: 'the checkpoint', advice: 'Train anew' },
        run: {
          settings: { seed: 3 },
          inputs: { images: { digest: '0'.repeat(64), each: '0123456789abcdef' } },
        },
      },
      resume: o.resume,
      step: async (items, epoch, step) => {
        for (const kind of ['parameter', 'first_moment', 'second_moment'] as const) {
          const values = await store.read(set.names, kind);
          for (const [name, old] of values)
            store.write(
              name,
              old.map((value, i) => value * 0.9 + (i + step + (items[0] as number)) / 64),
              kind,
            );
        }
        return { losses: Promise.resolve({ loss: 1 / (epoch + step) }) };
      },
    });
  } finally {
    store.destroy();
  }
}

/** Checkpoints: what is continued must end in the very checkpoint that an undamaged one ends in. */
export async function mutateCheckpoint(
  engine: Engine,
  options: { readonly count: number; readonly seed: number },
) {
  const run = async (start: Uint8Array | undefined, epochs: number) => {
    let last: Uint8Array | undefined;
    const storage = {
      load: async () => start,
      save: async (data: Uint8Array) => {
        last = data.slice();
      },
    };
    await shortTraining(engine, storage, { epochs, resume: start !== undefined });
    return last;
  };
  // Two of three epochs: the run that goes on is one of three from the start.
  const saved: Uint8Array[] = [];
  const keep = {
    load: async () => undefined,
    save: async (data: Uint8Array) => void saved.push(data.slice()),
  };
  await shortTraining(engine, keep, { epochs: 3, resume: false });
  const [, second, third] = saved;
  const attempt = async (bytes: Uint8Array): Promise<Outcome> =>
    isDeepStrictEqual(await run(bytes, 3), third) ? 'identical' : 'different';
  if ((await attempt(second as Uint8Array)) !== 'identical')
    throw new Error('an undamaged checkpoint goes on otherwise');
  return tryAll(new Subject(second as Uint8Array), options, mutations, attempt);
}
