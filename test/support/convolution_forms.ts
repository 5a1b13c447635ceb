/** Winograd's form against the reference, and a detector's maps of one image in batches of two sizes. */
import { expect } from 'vitest';
import { RandomStream } from '../../src/base/random.ts';
import { ParameterSet } from '../../src/engine/graph/parameter_set.ts';
import { Tape } from '../../src/engine/graph/tape.ts';
import { conv2d } from '../../src/engine/ops/conv2d.ts';
import { add, relu } from '../../src/engine/ops/elementwise.ts';
import type { Engine } from '../../src/engine/runtime/engine.ts';
import { initialize } from '../../src/engine/runtime/initialize.ts';
import { Program } from '../../src/engine/runtime/program.ts';
import { type Retargeting, retarget } from '../../src/engine/runtime/retarget.ts';
import { ParameterStore } from '../../src/engine/runtime/store.ts';
import { backbones } from '../../src/model/backbones.ts';
import { detect, detectorParameters } from '../../src/model/methods.ts';
import { expectClose, randomValues } from './operations.ts';
import * as oracle from './oracle.ts';

export interface WinogradCase {
  readonly kernel: 'winograd_f4' | 'winograd_f2';
  readonly size: readonly [height: number, width: number];
  readonly channels: number;
  /** With bias, addend and rectifier. */
  readonly epilogue: boolean;
  readonly textures: boolean;
  /** Tried by `npm test`; the others by `npm run test:full`. */
  readonly quick: boolean;
}

// Weights go straight into a texture whose lines they fill (256 channels), else through a buffer (260).
export const winogradCases: readonly (readonly [title: string, WinogradCase])[] = (
  [
    ['winograd_f4', [13, 14], 260],
    ['winograd_f2', [7, 8], 260],
    ['winograd_f4', [13, 14], 256],
    ['winograd_f2', [7, 8], 256],
  ] as const
).flatMap(([kernel, size, channels], i) =>
  [false, true].flatMap((epilogue) =>
    [false, true].map((textures) => {
      const title = `${kernel}, ${channels} channels${epilogue ? ', epilogue' : ''}${textures ? ', textures' : ''}`;
      const [a, b, c, d] = [
        epilogue && textures,
        epilogue && !textures,
        epilogue && !textures,
        textures && !epilogue,
      ];
      return [
        title,
        { kernel, size, channels, epilogue, textures, quick: [a, b, c, d][i] ?? false },
      ] as const;
    }),
  ),
);

export async function expectWinograd(engine: Engine, c: WinogradCase): Promise<void> {
  const [height, width] = c.size;
  const random = new RandomStream(`winograd ${height}`);
  const shape = { x: [1, height, width, 256], w: [3, 3, 256, c.channels], b: [c.channels] } as const;
  const yShape = [1, height, width, c.channels] as const;
  const draw = (s: readonly number[]) => randomValues({ shape: s, layout: 'dense' }, random);
  const values = { x: draw(shape.x), w: draw(shape.w), b: draw(shape.b), r: draw(yShape) };
  const geometry = { stride: 1, padding: 1, dilation: 1 };
  const linear = oracle.conv2d(
    oracle.array(shape.x, values.x),
    oracle.array(shape.w, values.w),
    geometry,
  ).data;
  const expected = c.epilogue
    ? linear.map((value, i) =>
        Math.max(0, value + (values.b[i % c.channels] as number) + (values.r[i] as number)),
      )
    : linear;
  const tape = new Tape(new ParameterSet());
  const x = tape.input('x', shape.x, 'channels');
  const w = tape.constant('w', shape.w, 'filter', values.w);
  const b = tape.constant('b', shape.b, 'channels', values.b);
  const r = tape.input('r', yShape, 'channels');
  const convolved = conv2d(tape, x, w, c.epilogue ? b : undefined, { padding: 1 });
  const y = c.epilogue ? relu(tape, add(tape, convolved, r)) : convolved;
  const textures = c.textures && engine.profile.rewrites(engine.target).textures;
  const choices = { force: { rewrites: { winograd: true, textures } } };
  const store = new ParameterStore(engine, tape.parameters);
  const program = await Program.compile(retarget(engine, choices), tape, { outputs: { y }, store });
  expect(program.plan).toContain(c.kernel);
  const result = await program.run({ x: values.x, ...(c.epilogue && { r: values.r }) });
  expectClose(result.y as Float32Array, expected, 9 * 256, 'y');
  program.destroy();
}

/** The first map of a batch of one and of a batch of three, which must have the same bits. */
export async function expectSameMaps(
  engine: Engine,
  {
    choices,
    form,
    size,
    compact,
    half = false,
  }: {
    readonly choices: Retargeting;
    /** What the plan must contain for the test to try what it is for. */
    readonly form: string | readonly [alone: string, among: string];
    readonly size: number;
    readonly compact: boolean;
    /** Weights and activations have 16 bits. */
    readonly half?: boolean;
  },
): Promise<void> {
  const backbone = backbones.resnet18;
  const set = detectorParameters(backbone, 'aand', { half });
  const store = new ParameterStore(engine, set);
  initialize(store, set.groups, 0);
  const images = randomValues({ shape: [3, size, size, 3], layout: 'dense' }, new RandomStream('batch'));
  const mapIn = async (batch: number) => {
    const tape = new Tape(set);
    const { map } = detect(tape, tape.input('images', [batch, size, size, 3], 'channels'), backbone, 'aand');
    tape.compact = compact;
    const program = await Program.compile(retarget(engine, choices), tape, { outputs: { map }, store });
    expect(program.plan).toContain(typeof form === 'string' ? form : form[batch === 1 ? 0 : 1]);
    const result = await program.run({ images: images.subarray(0, batch * size * size * 3) });
    program.destroy();
    return (result.map as Float32Array).slice(0, size * size);
  };
  const [alone, among] = [await mapIn(1), await mapIn(3)];
  store.destroy();
  expect(Buffer.compare(new Uint8Array(alone.buffer), new Uint8Array(among.buffer))).toBe(0);
}
