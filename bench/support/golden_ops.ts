/**
 * Runs every case of ops.safetensors on an engine and compares. Shared by Node and the browsers, so it uses
 * neither.
 */

import { gradients } from '../../src/engine/gradients.ts';
import { ParameterSet } from '../../src/engine/graph/parameter_set.ts';
import { Tape } from '../../src/engine/graph/tape.ts';
import { elements, type Layout, type Tensor } from '../../src/engine/graph/tensor.ts';
import { adam, adamStep } from '../../src/engine/ops/adam.ts';
import { amplificationLoss } from '../../src/engine/ops/amplification_loss.ts';
import { batchNorm } from '../../src/engine/ops/batch_norm.ts';
import { conv2d, convTranspose2d } from '../../src/engine/ops/conv2d.ts';
import { cosineDistance } from '../../src/engine/ops/cosine_distance.ts';
import { add } from '../../src/engine/ops/elementwise.ts';
import { focalLoss } from '../../src/engine/ops/focal_loss.ts';
import { gatedResidual, matchingGate } from '../../src/engine/ops/gate.ts';
import { maxPool2d } from '../../src/engine/ops/max_pool2d.ts';
import { one, weightedSum } from '../../src/engine/ops/reduce.ts';
import { gaussianBlur, upsampleBilinear } from '../../src/engine/ops/resample.ts';
import { gatherRows } from '../../src/engine/ops/rows.ts';
import { scoreMap } from '../../src/engine/ops/score_map.ts';
import type { Engine } from '../../src/engine/runtime/engine.ts';
import { Program } from '../../src/engine/runtime/program.ts';
import { ParameterStore } from '../../src/engine/runtime/store.ts';
import { hardDistillationLoss } from '../../src/model/losses.ts';
import { positionalEncoding } from '../../src/model/raa.ts';
import { poolMask } from '../../src/train/sampling.ts';
import { type Comparison, compare, type GoldenSet } from './golden.ts';
import { hwioToOihw, nchwToNhwc, nhwcToNchw, oihwToHwio, permute } from './permute.ts';

interface Case {
  readonly op: string;
  readonly name: string;
  readonly inputs: Readonly<Record<string, { shape: number[]; scale: number; shift: number }>>;
  readonly stride?: number;
  readonly padding?: number;
  readonly dilation?: number;
  readonly kernel?: number;
  readonly size?: [number, number];
  readonly flatten?: boolean;
  readonly eps?: number;
  readonly momentum?: number;
  readonly training?: boolean;
  readonly temperature?: number;
}

const tolerance = { absolute: 1e-5, relative: 1e-4 };

/** Differentiates sum(y * g) with respect to inputs and runs it. */
export class OpHarness {
  readonly tape = new Tape(new ParameterSet());
  readonly values: Record<string, Float32Array | Uint32Array> = {};

  input(name: string, shape: readonly number[], layout: Layout, values: Float32Array | Uint32Array): Tensor {
    this.values[name] = values;
    return this.tape.input(name, shape, layout);
  }

  /** Gradients of sum(y * g). */
  gradients(y: Tensor, g: Float32Array, wanted: readonly Tensor[]): Map<Tensor, Tensor> {
    const seed = this.input('seed', y.shape, y.layout, g);
    return gradients(this.tape, new Map([[y, seed]]), wanted);
  }

  async run(engine: Engine, outputs: Record<string, Tensor>): Promise<Record<string, Float32Array>> {
    const store = new ParameterStore(engine, this.tape.parameters);
    const program = await Program.compile(engine, this.tape, { outputs, store });
    try {
      return await program.run(this.values);
    } finally {
      program.destroy();
      store.destroy();
    }
  }
}

type Converter = (values: Float32Array, shape: readonly number[]) => Float32Array;
const same: Converter = (values) => values;

/**
 * What a case records: the result, its inputs by golden name, and how golden values map to the engine's
 * layouts.
 */
interface Recorded {
  readonly y: Tensor;
  readonly toEngine: Converter;
  readonly fromEngine: Converter;
  readonly inputs: Record<string, { tensor: Tensor; back: Converter }>;
  readonly extra?: Record<string, Tensor>;
}

function recordCase(h: OpHarness, golden: GoldenSet, c: Case): Recorded {
  const raw = (arg: string) => {
    const { shape, scale, shift } = c.inputs[arg] as { shape: number[]; scale: number; shift: number };
    return { shape, values: golden.rule(`${c.op}/${c.name}/${arg}`, shape, scale, shift) };
  };
  const activation = (arg: string) => {
    const { shape, values } = raw(arg);
    const [n, ch, height, width] = shape as [number, number, number, number];
    return h.input(arg, [n, height, width, ch], 'channels', nchwToNhwc(values, shape));
  };
  const filter = (arg: string) => {
    const { shape, values } = raw(arg);
    const [o, i, kh, kw] = shape as [number, number, number, number];
    return h.input(arg, [kh, kw, i, o], 'filter', oihwToHwio(values, shape));
  };
  const vector = (arg: string) => {
    const { shape, values } = raw(arg);
    return h.input(arg, shape, 'channels', values);
  };
  const nhwc = { toEngine: nchwToNhwc, fromEngine: nhwcToNchw };
  const x = (tensor: Tensor) => ({ tensor, back: nhwcToNchw });
  const w = (tensor: Tensor) => ({ tensor, back: hwioToOihw });
  switch (c.op) {
    case 'conv2d': {
      const inputs = { x: x(activation('x')), w: w(filter('w')) };
      const b = c.inputs.b ? vector('b') : undefined;
      const y = conv2d(h.tape, inputs.x.tensor, inputs.w.tensor, b, {
        stride: c.stride ?? 1,
        padding: c.padding ?? 0,
        dilation: c.dilation ?? 1,
      });
      return { y, ...nhwc, inputs: { ...inputs, ...(b && { b: { tensor: b, back: same } }) } };
    }
    case 'conv_transpose2d': {
      // IOHW of the transposed convolution is OIHW of the convolution that it is the adjoint of.
      const inputs = { x: x(activation('x')), w: w(filter('w')) };
      const y = convTranspose2d(h.tape, inputs.x.tensor, inputs.w.tensor, { stride: c.stride ?? 1 });
      return { y, ...nhwc, inputs };
    }
    case 'batch_norm': {
      const input = activation('x');
      const channels = input.shape.slice(3);
      const parameter = (name: string) => h.tape.parameter(name, channels, 'channels', 'running');
      const running_mean = parameter('running_mean');
      const running_var = parameter('running_var');
      const weight = vector('w');
      const bias = vector('b');
      const y = batchNorm(
        h.tape,
        input,
        { weight, bias, running_mean, running_var },
        { training: c.training ?? true, epsilon: c.eps ?? 1e-5, momentum: c.momentum ?? 0.1 },
      );
      const inputs = { x: x(input), w: { tensor: weight, back: same }, b: { tensor: bias, back: same } };
      return { y, ...nhwc, inputs, extra: { running_mean, running_var } };
    }
    case 'max_pool2d': {
      const input = activation('x');
      const { kernel = 1, stride = 1, padding = 0 } = c;
      return { y: maxPool2d(h.tape, input, { kernel, stride, padding }), ...nhwc, inputs: { x: x(input) } };
    }
    case 'upsample_bilinear': {
      const { shape, values } = raw('x');
      const [n, ch, height, width] = shape as [number, number, number, number];
      const input = h.input('x', [n * ch, height, width], 'dense', values);
      const y = upsampleBilinear(h.tape, input, ...(c.size as [number, number]));
      return { y, toEngine: same, fromEngine: same, inputs: { x: { tensor: input, back: same } } };
    }
    case 'cosine_distance': {
      const inputs = { a: x(activation('a')), b: x(activation('b')) };
      const { map, flat } = cosineDistance(h.tape, inputs.a.tensor, inputs.b.tensor, c.eps);
      return { y: c.flatten ? flat : map, toEngine: same, fromEngine: same, inputs };
    }
    case 'matching_gate': {
      const q = raw('q');
      const k = raw('k');
      const [batch, count, channels] = q.shape as [number, number, number];
      const query = h.input('q', [batch, count, 1, channels], 'channels', q.values);
      const keys = h.input('k', [1, 1, k.shape[0] as number, channels], 'filter', k.values);
      const y = matchingGate(h.tape, query, keys, c.temperature);
      const inputs = { q: { tensor: query, back: same }, k: { tensor: keys, back: same } };
      return { y, toEngine: same, fromEngine: same, inputs };
    }
    case 'gated_residual': {
      const inputs = { x: x(activation('x')), r: x(activation('r')) };
      const g = raw('g');
      const [n, height, width] = inputs.x.tensor.shape as [number, number, number];
      const gate = h.input('g', [n, height, width], 'dense', g.values);
      const y = gatedResidual(h.tape, inputs.x.tensor, inputs.r.tensor, gate);
      return { y, ...nhwc, inputs: { ...inputs, g: { tensor: gate, back: same } } };
    }
    default:
      throw new Error(`the golden set has an operation that this project does not know: ${c.op}`);
  }
}

async function runCase(engine: Engine, golden: GoldenSet, c: Case): Promise<Record<string, Float32Array>> {
  const h = new OpHarness();
  const recorded = recordCase(h, golden, c);
  const base = `${c.op}/${c.name}`;
  const g = golden.rule(`${base}/grad`, golden.shape(`${base}/y`));
  const wanted = Object.values(recorded.inputs).map(({ tensor }) => tensor);
  const found = h.gradients(recorded.y, recorded.toEngine(g, golden.shape(`${base}/y`)), wanted);
  const outputs: Record<string, Tensor> = { y: recorded.y };
  for (const [name, { tensor }] of Object.entries(recorded.inputs))
    outputs[`d_${name}`] = found.get(tensor) as Tensor;
  const store = new ParameterStore(engine, h.tape.parameters);
  const result: Record<string, Float32Array> = {};
  const program = await Program.compile(engine, h.tape, { outputs, store });
  if (recorded.extra) {
    const count = (recorded.extra.running_mean as Tensor).shape[0] as number;
    store.write('running_mean', golden.rule(`batch_norm/${c.name}/rm`, [count], 0.1));
    store.write('running_var', golden.rule(`batch_norm/${c.name}/rv`, [count], 0.25, 1));
  }
  const values = await program.run(h.values);
  result[`${base}/y`] = recorded.fromEngine(values.y as Float32Array, recorded.y.shape);
  for (const [name, { tensor, back }] of Object.entries(recorded.inputs))
    result[`${base}/d_${name}`] = back(values[`d_${name}`] as Float32Array, tensor.shape);
  if (recorded.extra)
    for (const [name, running] of await store.read(Object.keys(recorded.extra)))
      result[`${base}/${name}`] = running;
  program.destroy();
  store.destroy();
  return result;
}

async function runFocal(engine: Engine, golden: GoldenSet): Promise<Record<string, Float32Array>> {
  const h = new OpHarness();
  const [batch, , size] = golden.shape('loss/mask') as [number, number, number];
  const mask = golden.get('loss/mask');
  const gates: Tensor[] = [];
  const losses: Tensor[] = [];
  for (let i = 0; golden.has(`focal/d_g${i}`); i++) {
    const count = golden.shape(`focal/d_g${i}`)[1] as number;
    const side = Math.sqrt(count);
    const gate = h.input(
      `g${i}`,
      [batch, side, side],
      'dense',
      golden.rule(`focal/g${i}`, [batch, count], 0.45, 0.5),
    );
    const pooled = h.input(`m${i}`, [batch, side, side], 'dense', poolMask(mask, batch, size, side));
    gates.push(gate);
    losses.push(focalLoss(h.tape, gate, pooled).loss);
  }
  const total = weightedSum(
    h.tape,
    losses,
    losses.map(() => 1),
  );
  const found = gradients(h.tape, new Map([[total, one(h.tape)]]), gates);
  const outputs = Object.fromEntries(gates.map((gate, i) => [`focal/d_g${i}`, found.get(gate) as Tensor]));
  return h.run(engine, { 'focal/y': total, ...outputs });
}

async function runAmplify(engine: Engine, golden: GoldenSet): Promise<Record<string, Float32Array>> {
  const h = new OpHarness();
  const [batch, , size] = golden.shape('loss/mask') as [number, number, number];
  const losses: Tensor[] = [];
  const amplified: { name: string; tensor: Tensor }[] = [];
  for (let i = 0; golden.has(`amplify/d_g${i}`); i++) {
    const shape = golden.shape(`amplify/d_g${i}`);
    const [n, channels, side] = shape as [number, number, number];
    const input = (name: string) =>
      h.input(
        name,
        [n, side, side, channels],
        'channels',
        nchwToNhwc(golden.rule(`amplify/${name}`, shape, 1, 0.5), shape),
      );
    const f = input(`f${i}`);
    const g = input(`g${i}`);
    const mask = poolMask(golden.get('loss/mask'), batch, size, side);
    const fore = poolMask(golden.get('loss/fore'), batch, size, side);
    const total = n * side * side;
    const normal = new Uint32Array(Math.ceil(total / 4) * 4).fill(0xffffffff);
    const abnormal = new Uint32Array(normal.length).fill(0xffffffff);
    let normals = 0;
    let abnormals = 0;
    for (let p = 0; p < total; p++) {
      if (mask[p]) abnormal[abnormals++] = p;
      else if (fore[p]) normal[normals++] = p;
    }
    const indices = (name: string, values: Uint32Array) =>
      h.input(`${name}${i}`, [values.length], 'dense', values);
    const abnormalIndices = indices('abnormal', abnormal);
    losses.push(
      amplificationLoss(h.tape, {
        normal: gatherRows(h.tape, f, indices('normal', normal)),
        abnormal: gatherRows(h.tape, f, abnormalIndices),
        amplified: gatherRows(h.tape, g, abnormalIndices),
        counts: h.input(`counts${i}`, [2], 'dense', new Float32Array([normals, abnormals])),
      }),
    );
    amplified.push({ name: `amplify/d_g${i}`, tensor: g });
  }
  const total = weightedSum(
    h.tape,
    losses,
    losses.map(() => 1),
  );
  const found = gradients(
    h.tape,
    new Map([[total, one(h.tape)]]),
    amplified.map(({ tensor }) => tensor),
  );
  const outputs: Record<string, Tensor> = { 'amplify/y': total };
  for (const { name, tensor } of amplified) outputs[name] = found.get(tensor) as Tensor;
  const values = await h.run(engine, outputs);
  for (const { name, tensor } of amplified)
    values[name] = nhwcToNchw(values[name] as Float32Array, tensor.shape);
  return values;
}

async function runDistillation(engine: Engine, golden: GoldenSet): Promise<Record<string, Float32Array>> {
  const h = new OpHarness();
  const students: Tensor[] = [];
  const teachers: Tensor[] = [];
  for (let i = 0; golden.has(`hkd/d_s${i}`); i++) {
    const shape = golden.shape(`hkd/d_s${i}`);
    const [n, channels, height, width] = shape as [number, number, number, number];
    const input = (name: string) =>
      h.input(
        name,
        [n, height, width, channels],
        'channels',
        nchwToNhwc(golden.rule(`hkd/${name}`, shape, 1, 0.2), shape),
      );
    students.push(input(`s${i}`));
    teachers.push(input(`t${i}`));
  }
  const loss = hardDistillationLoss(h.tape, teachers, students, { hard: true });
  const found = gradients(h.tape, new Map([[loss, one(h.tape)]]), students);
  const outputs: Record<string, Tensor> = { 'hkd/y': loss };
  students.forEach((tensor, i) => {
    outputs[`hkd/d_s${i}`] = found.get(tensor) as Tensor;
  });
  outputs['score_map/y'] = scoreMap(h.tape, teachers, students, golden.shape('score_map/y')[1] as number).map;
  const values = await h.run(engine, outputs);
  students.forEach((tensor, i) => {
    values[`hkd/d_s${i}`] = nhwcToNchw(values[`hkd/d_s${i}`] as Float32Array, tensor.shape);
  });
  return values;
}

async function runGaussian(engine: Engine, golden: GoldenSet): Promise<Record<string, Float32Array>> {
  const h = new OpHarness();
  const shape = golden.shape('gaussian/y');
  const x = h.input('x', [1, ...shape], 'dense', golden.rule('gaussian/x', shape));
  return h.run(engine, { 'gaussian/y': gaussianBlur(h.tape, x, 4) });
}

async function runAdam(engine: Engine, golden: GoldenSet): Promise<Record<string, Float32Array>> {
  const options = { learningRate: 0.005, betas: [0.5, 0.999], epsilon: 1e-8 } as const;
  const shape = golden.shape('adam/p1');
  const tape = new Tape(new ParameterSet());
  const p = tape.parameter('p', shape, 'channels', 'adam');
  const nothing = tape.constant('nothing', shape, 'channels', new Float32Array(elements(shape)));
  // The gradient comes out of an operation, as in training.
  const gradient = add(tape, tape.input('g', shape, 'channels'), nothing);
  adam(tape, 'adam', new Map([[p, gradient]]), tape.input('step', [2], 'dense'), options);
  const store = new ParameterStore(engine, tape.parameters);
  store.write('p', golden.rule('adam/p', shape));
  const program = await Program.compile(engine, tape, { outputs: {}, store });
  const result: Record<string, Float32Array> = {};
  for (let t = 1; golden.has(`adam/p${t}`); t++) {
    await program.run({ g: golden.rule(`adam/g${t - 1}`, shape), step: adamStep(t, options) });
    result[`adam/p${t}`] = (await store.read(['p'])).get('p') as Float32Array;
  }
  program.destroy();
  store.destroy();
  return result;
}

/** All results of the operation set, by golden name. */
export async function runGoldenOps(engine: Engine, golden: GoldenSet): Promise<Record<string, Float32Array>> {
  const results: Record<string, Float32Array> = {};
  const cases = JSON.parse(golden.file.metadata.cases ?? '[]') as Case[];
  for (const c of cases) Object.assign(results, await runCase(engine, golden, c));
  for (const name of golden.file.tensors.keys()) {
    const match = name.match(/^positions\/(\d+)x(\d+)$/);
    if (!match) continue;
    const [d, n] = [Number(match[1]), Number(match[2])];
    results[name] = permute(positionalEncoding(d, n), [n, n, d], [2, 0, 1]);
  }
  Object.assign(results, await runFocal(engine, golden));
  Object.assign(results, await runAmplify(engine, golden));
  Object.assign(results, await runDistillation(engine, golden));
  Object.assign(results, await runGaussian(engine, golden));
  Object.assign(results, await runAdam(engine, golden));
  return results;
}

/** Tensors of the set that are inputs, not results. */
const goldenInputs = new Set(['loss/mask', 'loss/fore']);

/** What the set tries: `conv2d/k3`, `focal`, ... Each has a result and, mostly, gradients. */
export function goldenOpCases(golden: GoldenSet): string[] {
  const results = [...golden.file.tensors.keys()].filter((name) => !goldenInputs.has(name));
  return [...new Set(results.map((name) => name.replace(/\/[^/]*$/, '')))];
}

/** Compares results with the set, or with one case of it. */
export function compareGoldenOps(
  golden: GoldenSet,
  results: Record<string, Float32Array>,
  only?: string,
): Comparison[] {
  return [...golden.file.tensors]
    .filter(([name]) => !goldenInputs.has(name))
    .filter(([name]) => only === undefined || name.replace(/\/[^/]*$/, '') === only)
    .map(([name, { values }]) => compare(name, results[name] ?? [], values, tolerance));
}
