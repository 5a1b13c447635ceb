/** Whole-number division as kernels compute it, on the bounds of quotients: for tests on several drivers. */
import { RandomStream } from '../../src/base/random.ts';
import {
  type Engine,
  need,
  type Operation,
  ParameterSet,
  ParameterStore,
  Program,
  registerKernel,
  Tape,
  type Tensor,
  threads,
} from '../../src/engine/index.ts';

const division: Operation = {
  name: 'division',
  words: ['pairs'],
  infer: ({ pairs }) => ({ results: pairs as Tensor }),
  lower: ({ inputs, outputs }) => {
    const pairs = need(inputs, 'pairs');
    const count = (pairs.shape[0] as number) / 2;
    return [
      {
        kernel: { module: kernel(), entry: 'main' },
        bindings: { pairs, results: need(outputs, 'results') },
        uniforms: { count },
        workgroups: threads(count),
        writes: ['results'],
      },
    ];
  },
};

const kernel = () =>
  registerKernel(
    'test_division',
    `
import package::math::divide;
import package::math::remainder;

struct Uniforms { count: u32 }
@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read_write> pairs: array<vec2u>;
@group(0) @binding(2) var<storage, read_write> results: array<vec2u>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * 64u + local;
  if (i < uniforms.count) {
    let pair = pairs[i];
    results[i] = vec2u(divide(pair.x, pair.y), remainder(pair.x, pair.y));
  }
}
`,
  );

const largest = 2 ** 32 - 1;
const random = new RandomStream('division');

/** Divisors of 1 to 30 bits: small ones all, powers of two and their neighbours, random ones. */
function divisors(): number[] {
  const found = Array.from({ length: 300 }, (_, i) => i + 1);
  for (let bits = 8; bits < 31; bits++)
    found.push(
      2 ** bits - 1,
      2 ** bits,
      2 ** bits + 1,
      ...Array.from({ length: 20 }, () => Math.floor(random.uniform(2 ** bits, 2 ** (bits + 1)))),
    );
  return [...found, 2 ** 31 - 1];
}

/** Pairs [n, d] with n one less than a multiple of d, a multiple, and one more; the largest n included. */
export function divisionPairs(): Uint32Array {
  const pairs: number[] = [];
  for (const d of divisors()) {
    const most = Math.floor(largest / d);
    const quotients = [0, 1, 2, most - 1, most];
    for (let bits = 2; 2 ** bits < most; bits++)
      quotients.push(2 ** bits - 1, 2 ** bits, Math.floor(random.uniform(2 ** bits, 2 ** (bits + 1))));
    for (const quotient of quotients)
      for (const n of [quotient * d - 1, quotient * d, quotient * d + 1, quotient * d + d - 1])
        if (n >= 0 && n <= largest) pairs.push(n, d);
    pairs.push(largest, d, largest - 1, d);
  }
  return Uint32Array.from(pairs);
}

/** What is wrong with the engine's quotients and remainders, as `n / d = quotient rest remainder`. */
export async function wrongDivisions(engine: Engine, pairs: Uint32Array): Promise<string[]> {
  const tape = new Tape(new ParameterSet());
  const input = tape.input('pairs', [pairs.length], 'dense');
  const outputs = { results: tape.record(division, { pairs: input }, {}).results as Tensor };
  const store = new ParameterStore(engine, tape.parameters);
  const program = await Program.compile(engine, tape, { outputs, store });
  const { results } = await program.run({ pairs });
  program.destroy();
  const bits = results as Float32Array;
  const found = new Uint32Array(bits.buffer, bits.byteOffset, bits.length);
  const wrong: string[] = [];
  for (let i = 0; i < pairs.length; i += 2) {
    const [n, d] = [pairs[i] as number, pairs[i + 1] as number];
    if (found[i] !== Math.floor(n / d) || found[i + 1] !== n % d)
      wrong.push(`${n} / ${d} = ${found[i]} rest ${found[i + 1]}`);
  }
  return wrong;
}
