/** Operations with kernels of the user's own, by the engine's public face alone. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  Engine,
  gradients,
  need,
  type Operation,
  ParameterSet,
  ParameterStore,
  Program,
  quads,
  RandomStream,
  registerKernel,
  Tape,
  type Tensor,
  threads,
} from '../src/engine/index.ts';

const text = `
import package::math::tanh4;

struct Uniforms { count: u32, slope: f32 }
@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dy: array<vec4f>;

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < uniforms.count) {
    y[id.x] = tanh4(uniforms.slope * x[id.x]);
  }
}

@compute @workgroup_size(64)
fn gradient(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < uniforms.count) {
    x[id.x] = uniforms.slope * dy[id.x] * (1.0 - y[id.x] * y[id.x]);
  }
}
`;
const squash = registerKernel('test_squash', text);

const squashGradient: Operation<{ slope: number }> = {
  name: 'squash_gradient',
  infer: ({ y }) => ({ dx: y as Tensor }),
  lower: ({ inputs, outputs, attributes }) => [
    {
      kernel: { module: squash, entry: 'gradient' },
      bindings: { x: need(outputs, 'dx'), y: need(inputs, 'y'), dy: need(inputs, 'dy') },
      uniforms: { count: quads(need(inputs, 'y')), slope: attributes.slope },
      workgroups: threads(quads(need(inputs, 'y'))),
      writes: ['x'],
    },
  ],
};

const squashOperation: Operation<{ slope: number }> = {
  name: 'squash',
  infer: ({ x }) => ({ y: x as Tensor }),
  backward: ({ tape, node, gradient }) => {
    const inputs = { y: need(node.outputs, 'y'), dy: gradient('y') };
    return { x: tape.record(squashGradient, inputs, node.attributes).dx };
  },
  lower: ({ inputs, outputs, attributes }) => [
    {
      kernel: { module: squash, entry: 'forward' },
      bindings: { x: need(inputs, 'x'), y: need(outputs, 'y') },
      uniforms: { count: quads(need(inputs, 'x')), slope: attributes.slope },
      workgroups: threads(quads(need(inputs, 'x'))),
      writes: ['y'],
    },
  ],
};

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open();
});
afterAll(() => engine.close());

function compile(operation: Operation<{ slope: number }>): { tape: Tape; program: Promise<Program> } {
  const tape = new Tape(new ParameterSet());
  const x = tape.input('x', [2, 3, 3, 5], 'channels');
  const y = tape.record(operation, { x }, { slope: 2 }).y as Tensor;
  const seed = tape.input('seed', y.shape, 'channels');
  const dx = gradients(tape, new Map([[y, seed]]), [x]).get(x) as Tensor;
  const store = new ParameterStore(engine, tape.parameters);
  return { tape, program: Program.compile(engine, tape, { outputs: { y, dx }, store }) };
}

test('an operation with a kernel of its own runs, forward and backward', async () => {
  const program = await compile(squashOperation).program;
  const random = new RandomStream('own kernels');
  const values = () => Float32Array.from({ length: 90 }, () => random.uniform(-1, 1));
  const [x, seed] = [values(), values()];
  const { y, dx } = await program.run({ x, seed });
  program.destroy();
  x.forEach((value, i) => {
    const expected = Math.tanh(2 * value);
    expect(y?.[i]).toBeCloseTo(expected, 5);
    expect(dx?.[i]).toBeCloseTo(2 * (seed[i] as number) * (1 - expected ** 2), 5);
  });
});

test('a uniform that is missing is named before anything is compiled', async () => {
  const forgetful: Operation<{ slope: number }> = {
    ...squashOperation,
    lower: (node, context) =>
      squashOperation.lower(node, context).map(({ uniforms: { count }, ...dispatch }) => ({
        ...dispatch,
        uniforms: { count: count as number },
      })),
  };
  await expect(compile(forgetful).program).rejects.toThrow(
    "operation 'squash', dispatch 1 of 1: kernel test_squash.forward: the uniform 'slope' is missing",
  );
});

test('the same kernel again is fine; another text, a taken name or a wrong text is refused', () => {
  expect(registerKernel('test_squash', text)).toBe(squash);
  expect(() => registerKernel('test_squash', `${text}// changed`)).toThrow(
    "kernel 'test_squash' is registered already, with another text",
  );
  expect(() => registerKernel('math', text)).toThrow("kernel 'math': the package has a kernel of that name");
  expect(() => registerKernel('Squash', text)).toThrow('lower case letters');
  expect(() => registerKernel('no_entry', 'const one = 1;')).toThrow("kernel 'no_entry' has no entry point");
  expect(() => registerKernel('broken', 'fn main( {')).toThrow('broken');
});
