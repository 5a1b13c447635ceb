/** The passes, each by the print of the nodes that it gives, and where it must leave them alone. */
import { describe, expect, test } from 'vitest';
import type { LoweringContext } from '../src/engine/device/context.ts';
import { mesaCpu } from '../src/engine/device/mesa_cpu.ts';
import type { Rewrites } from '../src/engine/device/profile.ts';
import type { Target } from '../src/engine/device/target.ts';
import { gradients } from '../src/engine/gradients.ts';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { printNodes } from '../src/engine/graph/print.ts';
import { type Node, need, Tape } from '../src/engine/graph/tape.ts';
import type { Tensor } from '../src/engine/graph/tensor.ts';
import { adam } from '../src/engine/ops/adam.ts';
import { batchNorm } from '../src/engine/ops/batch_norm.ts';
import { conv2d, convTranspose2d } from '../src/engine/ops/conv2d.ts';
import { add, relu } from '../src/engine/ops/elementwise.ts';
import { gatedResidual, matchingGate, softmaxGate } from '../src/engine/ops/gate.ts';
import { l2Normalize } from '../src/engine/ops/normalize.ts';
import type { Operation } from '../src/engine/ops/operation.ts';
import { mean, one, weightedSum } from '../src/engine/ops/reduce.ts';
import { weightGradient } from '../src/engine/ops/weight_gradient.ts';
import { addends } from '../src/engine/passes/addends.ts';
import { deadNodes } from '../src/engine/passes/dead_nodes.ts';
import { epilogues } from '../src/engine/passes/epilogues.ts';
import { foldNorm } from '../src/engine/passes/fold_norm.ts';
import { halves } from '../src/engine/passes/halves.ts';
import { fuse } from '../src/engine/passes/index.ts';
import { type Pass, passContext } from '../src/engine/passes/pass.ts';
import { Rewriter } from '../src/engine/passes/rewriter.ts';
import { rowLengths } from '../src/engine/passes/row_lengths.ts';
import { scaleWhereRead } from '../src/engine/passes/scale_where_read.ts';
import { statistics } from '../src/engine/passes/statistics.ts';
import { textures } from '../src/engine/passes/textures.ts';
import { totals } from '../src/engine/passes/totals.ts';
import { winograd } from '../src/engine/passes/winograd.ts';
import { selectProgram } from '../src/engine/plan/lower.ts';
import { printPlan } from '../src/engine/plan/plan.ts';
import { backbones } from '../src/model/backbones.ts';
import { detect } from '../src/model/methods.ts';
import { planning } from './support/targets.ts';

/** What differs from a device that wants no rewrite. */
type Differences = Partial<Target & Rewrites & { readonly splits: number }>;

function device(own: Differences = {}): LoweringContext {
  const {
    winograd = false,
    textures = false,
    statistics = false,
    rowLengths = false,
    totals = false,
    splits,
    ...target
  } = own;
  const rewrites = { winograd, textures, statistics, rowLengths, totals };
  return planning({ profile: mesaCpu, target, force: { rewrites, ...(splits && { splits }) } });
}

const target = device();

/** A tape, and short ways to record on it. */
class Recorder {
  readonly tape: Tape;

  constructor(half = false) {
    this.tape = new Tape(new ParameterSet({ half }));
  }

  input(name = 'x', shape: readonly number[] = [1, 4, 4, 4]): Tensor {
    return this.tape.input(name, shape, 'channels');
  }

  /** Weights of a 1x1 convolution, or of another size. */
  weights(name = 'w', shape: readonly number[] = [1, 1, 4, 4]): Tensor {
    return this.tape.parameter(name, shape, 'filter', 'model');
  }

  vector(name: string): Tensor {
    return this.tape.parameter(name, [4], 'channels', 'model');
  }

  constant(name = 'c', batch = 1): Tensor {
    return this.tape.constant(name, [batch, 4, 4, 4], 'channels', new Float32Array(batch * 64));
  }

  norm(x: Tensor, options: { training?: boolean; relu?: boolean; residual?: Tensor } = {}): Tensor {
    const parameters = {
      weight: this.vector('weight'),
      bias: this.vector('bias'),
      running_mean: this.vector('mean'),
      running_var: this.vector('var'),
    };
    return batchNorm(this.tape, x, parameters, { training: false, ...options });
  }

  /** What a pass makes of the tape. */
  run(pass: Pass, outputs: readonly Tensor[], own: Differences = {}): Node[] {
    return pass.run(this.tape.nodes, passContext(this.tape, outputs, device(own)));
  }

  applies(pass: Pass, own: Differences = {}): boolean {
    return pass.applies(passContext(this.tape, [], device(own)));
  }
}

const names = (nodes: readonly Node[]) => nodes.map(({ definition }) => definition.name);

describe('dead_nodes', () => {
  test('drops what nobody reads, and what only that reads', () => {
    const r = new Recorder();
    const x = r.input();
    relu(r.tape, relu(r.tape, x));
    const y = relu(r.tape, x);
    expect(printNodes(r.run(deadNodes, [y]))).toMatchInlineSnapshot(`"%3[1x4x4x4] = relu(a=$x[1x4x4x4])"`);
  });

  test('keeps what overwrites parameters, and gradients that the optimiser reads', () => {
    const r = new Recorder();
    const x = r.input();
    const w = r.weights();
    r.norm(x, { training: true });
    const found = gradients(r.tape, new Map([[conv2d(r.tape, x, w), r.input('seed')]]), [w]);
    adam(r.tape, 'model', found, r.tape.input('step', [2], 'dense'), { betas: [0.9, 0.99], epsilon: 1e-8 });
    expect(names(r.run(deadNodes, []))).toEqual(['batch_norm', 'conv2d_weight_gradient', 'adam']);
  });
});

describe('fold_norm', () => {
  test('batch norm in evaluation goes into the weights before, which moves to its place', () => {
    const r = new Recorder();
    const x = r.input();
    const convolved = conv2d(r.tape, x, r.weights(), r.vector('b'));
    const y = r.norm(convolved, { relu: true, residual: relu(r.tape, x) });
    expect(printNodes(r.run(foldNorm, [y]))).toMatchInlineSnapshot(`
      "%4[1x4x4x4] = relu(a=$x[1x4x4x4])
      %11[1x1x4x4], %12[4], %13[4] = batch_norm_fold(w=@w[1x1x4x4], b=@b[4], weight=@weight[4], bias=@bias[4], running_mean=@mean[4], running_var=@var[4]) {epsilon=0.00001 transposed=false scaledByReaders=false}
      %9[1x4x4x4] = conv2d(x=$x[1x4x4x4], w=%11[1x1x4x4], b=%12[4], residual=%4[1x4x4x4]) {stride=1 padding=0 dilation=1 relu=true}"
    `);
  });

  test('output channels of a transposed convolution are the rows of its weights', () => {
    const r = new Recorder();
    const y = r.norm(convTranspose2d(r.tape, r.input(), r.weights()));
    expect(printNodes(r.run(foldNorm, [y]))).toMatchInlineSnapshot(`
      "%9[1x1x4x4], %10[4], %11[4] = batch_norm_fold(w=@w[1x1x4x4], weight=@weight[4], bias=@bias[4], running_mean=@mean[4], running_var=@var[4]) {epsilon=0.00001 transposed=true scaledByReaders=false}
      %7[1x4x4x4] = conv_transpose2d(x=$x[1x4x4x4], w=%9[1x1x4x4], b=%10[4]) {stride=1 padding=0 dilation=1 relu=false outputSize=[4,4]}"
    `);
  });

  test.each<[string, (r: Recorder, x: Tensor) => Tensor[]]>([
    ['in training', (r, x) => [r.norm(conv2d(r.tape, x, r.weights()), { training: true })]],
    ['after nothing', (r, x) => [r.norm(x)]],
    ['after an operation without weights', (r, x) => [r.norm(relu(r.tape, x))]],
    [
      'of a value that the program reads',
      (r, x) => {
        const convolved = conv2d(r.tape, x, r.weights());
        return [convolved, r.norm(convolved)];
      },
    ],
    [
      'of a value with a second reader',
      (r, x) => {
        const convolved = conv2d(r.tape, x, r.weights());
        return [r.norm(convolved), relu(r.tape, convolved)];
      },
    ],
    [
      'whose saved statistics are read',
      (r, x) => {
        const y = r.norm(conv2d(r.tape, x, r.weights()));
        return [y, need((r.tape.nodes.at(-1) as Node).outputs, 'saved')];
      },
    ],
    ['of weights that are computed', (r, x) => [r.norm(conv2d(r.tape, x, relu(r.tape, r.weights())))]],
    [
      'of weights that are trained',
      (r, x) => {
        const y = r.norm(conv2d(r.tape, x, r.weights()));
        adam(r.tape, 'model', new Map(), r.tape.input('step', [2], 'dense'), {
          betas: [0.9, 0.99],
          epsilon: 1e-8,
        });
        return [y];
      },
    ],
  ])('no batch norm %s', (_, record) => {
    const r = new Recorder();
    const outputs = record(r, r.input());
    expect(printNodes(r.run(foldNorm, outputs))).toBe(printNodes(r.tape.nodes));
  });
});

describe('addends', () => {
  test('a fixed addend becomes a fixed residual, of one image where the batch has more', () => {
    const r = new Recorder();
    const sum = add(r.tape, r.input('x', [2, 4, 4, 4]), r.constant());
    const y = conv2d(r.tape, sum, r.weights(), r.vector('b'));
    expect(printNodes(r.run(addends, [y]))).toMatchInlineSnapshot(`
      "%6[1x4x4x4] = conv2d(x=#c[1x4x4x4], w=@w[1x1x4x4]) {stride=1 padding=0 dilation=1 relu=false}
      %5[2x4x4x4] = conv2d(x=$x[2x4x4x4], w=@w[1x1x4x4], b=@b[4], residual=%6[1x4x4x4]) {stride=1 padding=0 dilation=1 relu=false}"
    `);
  });

  test('applies to inference alone, because it changes rounding', () => {
    const r = new Recorder();
    expect(r.applies(addends)).toBe(true);
    r.norm(r.input(), { training: true });
    expect(r.applies(addends)).toBe(false);
  });

  test.each<[string, (r: Recorder, x: Tensor) => Tensor[]]>([
    ['that changes', (r, x) => [conv2d(r.tape, add(r.tape, r.constant(), x), r.weights())]],
    [
      'whose sum the program reads',
      (r, x) => {
        const sum = add(r.tape, x, r.constant());
        return [sum, conv2d(r.tape, sum, r.weights())];
      },
    ],
    [
      'whose sum has two readers',
      (r, x) => {
        const sum = add(r.tape, x, r.constant());
        return [relu(r.tape, sum), conv2d(r.tape, sum, r.weights())];
      },
    ],
    [
      'before weights that are computed',
      (r, x) => [conv2d(r.tape, add(r.tape, x, r.constant()), relu(r.tape, r.weights()))],
    ],
    [
      'before a product that cannot take it apart',
      (r, x) => [convTranspose2d(r.tape, add(r.tape, x, r.constant()), r.weights())],
    ],
  ])('no addend %s', (_, record) => {
    const r = new Recorder();
    const outputs = record(r, r.input());
    expect(printNodes(r.run(addends, outputs))).toBe(printNodes(r.tape.nodes));
  });
});

describe('epilogues', () => {
  test('add and ReLU go into the product, at the place where the residual is there', () => {
    const r = new Recorder();
    const x = r.input();
    const convolved = conv2d(r.tape, x, r.weights());
    const y = relu(r.tape, add(r.tape, relu(r.tape, x), convolved));
    expect(printNodes(r.run(epilogues, [y]))).toMatchInlineSnapshot(`
      "%3[1x4x4x4] = relu(a=$x[1x4x4x4])
      %5[1x4x4x4] = conv2d(x=$x[1x4x4x4], w=@w[1x1x4x4], residual=%3[1x4x4x4]) {stride=1 padding=0 dilation=1 relu=true}"
    `);
  });

  test('a gated residual goes into the product that is gated', () => {
    const r = new Recorder();
    const x = r.input();
    const gate = r.tape.input('gate', [1, 4, 4], 'dense');
    const y = gatedResidual(r.tape, x, conv2d(r.tape, x, r.weights()), gate);
    expect(printNodes(r.run(epilogues, [y]))).toMatchInlineSnapshot(
      `"%4[1x4x4x4] = conv2d(x=$x[1x4x4x4], w=@w[1x1x4x4], residual=$x[1x4x4x4], gate=$gate[1x4x4]) {stride=1 padding=0 dilation=1 relu=false}"`,
    );
    const other = new Recorder();
    const product = conv2d(other.tape, other.input(), other.weights());
    const gated = gatedResidual(
      other.tape,
      product,
      other.input('r'),
      other.tape.input('gate', [1, 4, 4], 'dense'),
    );
    expect(names(other.run(epilogues, [gated])), 'the product is not what is gated').toEqual([
      'conv2d',
      'gated_residual',
    ]);
  });

  test('a product takes one residual, and nothing after its ReLU', () => {
    const r = new Recorder();
    const x = r.input();
    const once = add(r.tape, conv2d(r.tape, x, r.weights()), x);
    const twice = add(r.tape, once, x);
    const rectified = relu(r.tape, conv2d(r.tape, twice, r.weights()));
    const y = add(r.tape, rectified, x);
    expect(names(r.run(epilogues, [y]))).toEqual(['conv2d', 'add', 'conv2d', 'add']);
  });

  test.each<[string, (r: Recorder, product: Tensor) => Tensor[]]>([
    ['the program reads the product', (r, product) => [product, relu(r.tape, product)]],
    ['it has two readers', (r, product) => [relu(r.tape, product), r.norm(product)]],
    ['both operands are the product', (r, product) => [add(r.tape, product, product)]],
    ['the other operand serves every image', (r, product) => [add(r.tape, product, r.constant())]],
  ])('not where %s', (_, record) => {
    const r = new Recorder();
    const outputs = record(r, conv2d(r.tape, r.input('x', [2, 4, 4, 4]), r.weights()));
    expect(printNodes(r.run(epilogues, outputs))).toBe(printNodes(r.tape.nodes));
  });

  test('an operation joins by saying what it is as an epilogue', () => {
    const rectified: Operation = {
      name: 'my_relu',
      infer: ({ v }) => ({ y: v as Tensor }),
      fusion: { asEpilogue: () => ({ relu: true }) },
      lower: () => [],
    };
    const r = new Recorder();
    const product = conv2d(r.tape, r.input(), r.weights());
    const { y } = r.tape.record(rectified, { v: product }, {});
    expect(printNodes(r.run(epilogues, [y as Tensor]))).toMatchInlineSnapshot(
      `"%3[1x4x4x4] = conv2d(x=$x[1x4x4x4], w=@w[1x1x4x4]) {stride=1 padding=0 dilation=1 relu=true}"`,
    );
  });
});

describe('winograd', () => {
  const convolution = (
    o: { side?: number; channels?: number; kernel?: number; stride?: number; dilation?: number } = {},
  ) => {
    const { side = 16, channels = 32, kernel = 3, stride = 1, dilation = 1 } = o;
    const r = new Recorder();
    const x = r.input('x', [1, side, side, channels]);
    const w = r.weights('w', [kernel, kernel, channels, channels]);
    return { r, y: conv2d(r.tape, x, w, undefined, { padding: dilation, stride, dilation }) };
  };

  test('3x3 convolutions with fixed weights read transformed ones', () => {
    const { r, y } = convolution();
    expect(printNodes(r.run(winograd, [y]))).toMatchInlineSnapshot(`
      "%3[36x1x32x32] = winograd_weights(w=@w[3x3x32x32]) {tile=4 stored=false}
      %2[1x16x16x32] = winograd_conv2d(x=$x[1x16x16x32], w=%3[36x1x32x32]) {stride=1 padding=1 dilation=1 relu=false tile=4}"
    `);
  });

  test('weights that fill the lines of a texture are written there alone', () => {
    const { r, y } = convolution({ channels: 256 });
    expect(printNodes(r.run(winograd, [y], { textures: true }))).toMatchInlineSnapshot(`
      "%3[36x1x256x256], %4[2359296] = winograd_weights(w=@w[3x3x256x256]) {tile=4 stored=true}
      %2[1x16x16x256] = winograd_conv2d(x=$x[1x16x16x256], w=%3[36x1x256x256], w_texture=%4[2359296]) {stride=1 padding=1 dilation=1 relu=false tile=4}"
    `);
  });

  test('small outputs take smaller tiles, and the smallest none', () => {
    const tile = (side: number) => {
      const { r, y } = convolution({ side });
      return r.run(winograd, [y]).at(-1)?.attributes.tile;
    };
    expect([16, 12, 8, 6].map(tile)).toEqual([4, 2, 2, undefined]);
  });

  test('applies where the target wants it, and to no training', () => {
    const { r } = convolution();
    expect(r.applies(winograd, { winograd: true })).toBe(true);
    expect(r.applies(winograd, { winograd: false })).toBe(false);
    const training = new Recorder();
    training.norm(training.input(), { training: true });
    expect(training.applies(winograd, { winograd: true })).toBe(false);
  });

  test.each<[string, Parameters<typeof convolution>[0], Differences]>([
    ['of another size', { kernel: 1 }, {}],
    ['with a stride', { stride: 2 }, {}],
    ['with a dilation', { dilation: 2 }, {}],
    ['of few channels', { channels: 28 }, {}],
    ['of few channels for products from textures', { channels: 252 }, { textures: true }],
    ['whose transformed weights a device cannot bind', {}, { maxStorageBufferBindingSize: 2 ** 16 }],
  ])('no convolution %s', (_, options, own) => {
    const { r, y } = convolution(options);
    expect(printNodes(r.run(winograd, [y], own))).toBe(printNodes(r.tape.nodes));
  });

  test('no convolution of computed weights or of a fixed image', () => {
    const r = new Recorder();
    const x = r.input('x', [1, 16, 16, 32]);
    const w = r.weights('w', [3, 3, 32, 32]);
    const changing = r.input('v', [3, 3, 32, 32]);
    const computed = conv2d(r.tape, x, relu(r.tape, changing), undefined, { padding: 1 });
    const image = r.tape.constant('image', [1, 16, 16, 32], 'channels', new Float32Array(8192));
    const fixed = conv2d(r.tape, relu(r.tape, image), w, undefined, { padding: 1 });
    expect(names(r.run(winograd, [computed, fixed]))).toEqual(['relu', 'conv2d', 'relu', 'conv2d']);
  });

  test('a detector leaves out large weights where direct convolutions are nearly as fast', () => {
    const forms = (own: Differences, compact: boolean | undefined) => {
      const tape = new Tape(new ParameterSet());
      const images = tape.input('images', [1, 256, 256, 3], 'channels');
      const { map } = detect(tape, images, backbones.resnet18, 'aand');
      tape.compact = compact ?? tape.compact;
      const whole = device({ textures: true, winograd: true, subgroupSize: 16, ...own });
      return names(fuse(tape, [map], whole).nodes).filter((name) => name === 'winograd_conv2d').length;
    };
    expect(forms({}, undefined)).toBe(0);
    expect(forms({}, false)).toBe(9);
    expect(forms({ subgroupSize: 8 }, undefined)).toBe(9);
    expect(forms({ textures: false }, undefined)).toBeGreaterThan(9);
  });
});

describe('row lengths', () => {
  const gpu = { rowLengths: true };
  const keys = (r: Recorder, side = 1) => r.weights('k', [side, side, 4, 4]);

  test('the gate divides the products of its query by the lengths', () => {
    const r = new Recorder();
    const gate = matchingGate(r.tape, r.input(), keys(r), 0.5);
    expect(printNodes(r.run(rowLengths, [gate], gpu))).toMatchInlineSnapshot(`
      "%4[1x1x4x4], %5[4] = l2_normalize(x=@k[1x1x4x4]) {epsilon=1e-12}
      %6[1x4x4x4] = conv_transpose2d(x=$x[1x4x4x4], w=%4[1x1x4x4]) {stride=1 padding=0 dilation=1 relu=false outputSize=[4,4]}
      %7[1x4x4] = softmax_gate(cosines=%6[1x4x4x4], rows=$x[1x4x4x4]) {temperature=0.5 epsilon=1e-12}"
    `);
  });

  test('stays where something else reads the scaled rows, their lengths or the products', () => {
    for (const [operation, output] of [
      ['l2_normalize', 'y'],
      ['l2_normalize', 'norm'],
      ['conv_transpose2d', 'y'],
    ] as const) {
      const r = new Recorder();
      const gate = matchingGate(r.tape, r.input(), keys(r));
      const node = r.tape.nodes.find(({ definition }) => definition.name === operation) as Node;
      const nodes = r.run(rowLengths, [gate, need(node.outputs, output)], gpu);
      expect(nodes, `${operation} ${output}`).toHaveLength(4);
    }
  });

  test('stays in training, whose gradients read the scaled rows', () => {
    const r = new Recorder();
    const x = r.input();
    const gate = matchingGate(r.tape, x, keys(r));
    gradients(r.tape, new Map([[gate, r.tape.input('seed', gate.shape, 'dense')]]), [x]);
    const before = r.tape.nodes.length;
    expect(r.run(rowLengths, [gate], gpu)).toHaveLength(before);
  });

  test('stays before a product that mixes rows or has a bias', () => {
    for (const product of [
      (r: Recorder, x: Tensor) => conv2d(r.tape, x, keys(r, 3), undefined, { padding: 1 }),
      (r: Recorder, x: Tensor) => conv2d(r.tape, x, r.weights(), r.vector('b')),
    ]) {
      const r = new Recorder();
      const cosines = product(r, l2Normalize(r.tape, r.input()));
      const gate = softmaxGate(r.tape, cosines, 0.2);
      expect(r.run(rowLengths, [gate], gpu)).toHaveLength(3);
    }
  });

  test('applies where the target wants it', () => {
    const r = new Recorder();
    expect(r.applies(rowLengths, gpu)).toBe(true);
    expect(r.applies(rowLengths)).toBe(false);
  });
});

describe('totals', () => {
  const gpu = { totals: true };
  const dense = (r: Recorder, name: string, count = 16) => r.tape.input(name, [count], 'dense');

  test('a weighted sum takes in the means and the sums that it alone reads', () => {
    const r = new Recorder();
    const means = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => mean(r.tape, dense(r, name)));
    // Recorded as two sums: one kernel adds four scalars.
    const loss = weightedSum(r.tape, means, [1, 2, 3, 4, 5, 6]);
    const [sum, ...others] = r.run(totals, [loss], gpu);
    expect(others).toEqual([]);
    expect(sum?.outputs.y).toBe(loss);
    expect(printNodes([sum as Node]).replace(/ {.*/, '')).toMatchInlineSnapshot(
      `"%13[1] = weighted_totals(x0=$a[16], x1=$b[16], x2=$c[16], x3=$d[16], x4=$e[16], x5=$f[16])"`,
    );
    expect((sum as Node).attributes.weights).toEqual([1, 2, 3, 4, 5, 6].map((weight) => weight * (1 / 16)));
  });

  test('a mean that something else reads stays, and so do more tensors than a kernel may bind', () => {
    const r = new Recorder();
    const read = mean(r.tape, dense(r, 'read'));
    const loss = weightedSum(r.tape, [read, mean(r.tape, dense(r, 'a'))], [1, 1]);
    expect(names(r.run(totals, [loss, read], gpu))).toEqual(['mean', 'weighted_totals']);

    const many = new Recorder();
    const means = Array.from({ length: 9 }, (_, i) => mean(many.tape, dense(many, `m${i}`)));
    const sums = names(
      many.run(
        totals,
        [
          weightedSum(
            many.tape,
            means,
            means.map(() => 1),
          ),
        ],
        gpu,
      ),
    );
    expect(sums).toEqual(['weighted_totals', 'weighted_totals']);
  });

  test('a mean of many values stays: it needs many workgroups', () => {
    const r = new Recorder();
    const loss = weightedSum(
      r.tape,
      [mean(r.tape, dense(r, 'a', 1025)), mean(r.tape, dense(r, 'b'))],
      [1, 1],
    );
    expect(names(r.run(totals, [loss], gpu))).toEqual(['mean', 'weighted_totals']);
  });

  test('the same mean twice is taken in twice', () => {
    const r = new Recorder();
    const twice = mean(r.tape, dense(r, 'a'));
    const [sum, ...others] = r.run(totals, [weightedSum(r.tape, [twice, twice], [1, 3])], gpu);
    expect(others).toEqual([]);
    expect((sum as Node).attributes.weights).toEqual([1 / 16, 3 / 16]);
  });

  test('applies where the target wants it', () => {
    const r = new Recorder();
    expect(r.applies(totals, gpu)).toBe(true);
    expect(r.applies(totals)).toBe(false);
  });
});

describe('statistics', () => {
  const gpu = { statistics: true };
  const block = (bias = false, training = true) => {
    const r = new Recorder();
    const w = r.weights('w', [3, 3, 4, 4]);
    const convolved = conv2d(r.tape, r.input(), w, bias ? r.vector('b') : undefined, { padding: 1 });
    return { r, convolved, y: r.norm(convolved, { training }) };
  };

  test('the convolution before leaves the moments of its tiles', () => {
    const { r, y } = block();
    expect(printNodes(r.run(statistics, [y], gpu))).toMatchInlineSnapshot(`
      "%2[1x4x4x4], %9[1x2x4] = conv2d(x=$x[1x4x4x4], w=@w[3x3x4x4]) {stride=1 padding=1 dilation=1 relu=false}
      %7[1x4x4x4], %8[2x4] = batch_norm(x=%2[1x4x4x4], weight=@weight[4], bias=@bias[4], running_mean=@mean[4], running_var=@var[4], statistics=%9[1x2x4]) {training=true relu=false epsilon=0.00001 momentum=0.1 chunk=32}"
    `);
    const plan = printPlan(selectProgram(fuse(r.tape, [y], device(gpu)), target).main);
    expect(plan.replace(/,SUBGROUP.*?>| <.*?>/g, '').split('\n')).toEqual([
      'conv2d: conv2d_lane.main,statistics,subgroups',
      'batch_norm: batch_norm.merge',
      'batch_norm: batch_norm.apply',
    ]);
  });

  test('of one convolution they serve one norm', () => {
    const { r, convolved, y } = block();
    const z = r.norm(convolved, { training: true });
    const nodes = r.run(statistics, [y, z], gpu);
    expect(nodes.map(({ inputs }) => inputs.statistics !== undefined)).toEqual([false, true, false]);
  });

  test('applies where the target wants it and operands are in buffers', () => {
    const { r } = block();
    expect(r.applies(statistics, gpu)).toBe(true);
    expect(r.applies(statistics)).toBe(false);
    expect(r.applies(statistics, { ...gpu, textures: true })).toBe(false);
  });

  test.each<[string, { bias?: boolean; training?: boolean }, Differences]>([
    ['in evaluation', { training: false }, {}],
    ['after a bias, which the sums would leave out', { bias: true }, {}],
    ['after a sum in ranges, none of which is the value', {}, { splits: 3 }],
    ['of a batch that runs image by image', {}, { maxStorageBufferBindingSize: 512 }],
    ['after tiles of so few rows that a merge would read too many', {}, { subgroupSize: 0 }],
  ])('none for a norm %s', (_, { bias, training }, own) => {
    const { r, y } = block(bias, training);
    expect(printNodes(r.run(statistics, [y], { ...gpu, ...own }))).toBe(printNodes(r.tape.nodes));
  });
});

describe('textures', () => {
  const own = { textures: true };

  test('products read copies, which stand before them and serve again', () => {
    const r = new Recorder();
    const x = r.input();
    const outputs = [conv2d(r.tape, x, r.weights('w')), conv2d(r.tape, x, r.weights('v'))];
    expect(r.applies(textures, own)).toBe(true);
    expect(r.applies(textures)).toBe(false);
    expect(printNodes(r.run(textures, outputs, own))).toMatchInlineSnapshot(`
      "%5[64] = to_texture(x=$x[1x4x4x4])
      %6[128] = to_texture(x=@w[1x1x4x4])
      %2[1x4x4x4] = conv2d(x=$x[1x4x4x4], w=@w[1x1x4x4], x_texture=%5[64], w_texture=%6[128]) {stride=1 padding=0 dilation=1 relu=false}
      %7[128] = to_texture(x=@v[1x1x4x4])
      %4[1x4x4x4] = conv2d(x=$x[1x4x4x4], w=@v[1x1x4x4], x_texture=%5[64], w_texture=%7[128]) {stride=1 padding=0 dilation=1 relu=false}"
    `);
  });

  test('convolutions read their weights alone so, where the profile says no more', () => {
    const r = new Recorder();
    const x = r.input();
    const w = r.weights();
    const y = conv2d(r.tape, x, w);
    const gradient = weightGradient(r.tape, x, y, w, { stride: 1, padding: 0, dilation: 1, kernel: [1, 1] });
    const nodes = r.run(textures, [y, gradient], { weightTextures: true });
    expect(nodes.map(({ definition, inputs }) => [definition.name, ...Object.keys(inputs)])).toEqual([
      ['to_texture', 'x'],
      ['conv2d', 'x', 'w', 'w_texture'],
      ['conv2d_weight_gradient', 'x', 'dy'],
    ]);
    expect(need((nodes[0] as Node).inputs, 'x')).toBe(w);
  });

  test('in a training a copy of activations is made anew further on, that of weights is not', () => {
    const copies = (training: boolean, between: number) => {
      const r = new Recorder();
      const x = r.input();
      const w = r.weights();
      let y = r.norm(conv2d(r.tape, x, w), { training });
      for (let i = 0; i < between; i++) y = relu(r.tape, y);
      const again = [weightGradient(r.tape, x, y, w, { stride: 1, padding: 0, dilation: 1, kernel: [1, 1] })];
      again.push(convTranspose2d(r.tape, y, w));
      const nodes = r.run(textures, again, own).filter(({ definition }) => definition.name === 'to_texture');
      return nodes.map(({ inputs }) => need(inputs, 'x').name.replace(/\.\d+/, ''));
    };
    expect(copies(true, 3)).toEqual(['x', 'w', 'relu.y']);
    expect(copies(true, 4)).toEqual(['x', 'w', 'x', 'relu.y']);
    expect(copies(false, 4)).toEqual(['x', 'w', 'relu.y']);
  });

  test('a batch that runs in ranges reads weights alone from textures', () => {
    const r = new Recorder();
    const y = conv2d(r.tape, r.input('x', [2, 4, 4, 4]), r.weights());
    expect(
      printNodes(r.run(textures, [y], { ...own, maxStorageBufferBindingSize: 256 })),
    ).toMatchInlineSnapshot(`
      "%3[128] = to_texture(x=@w[1x1x4x4])
      %2[2x4x4x4] = conv2d(x=$x[2x4x4x4], w=@w[1x1x4x4], w_texture=%3[128]) {stride=1 padding=0 dilation=1 relu=false}"
    `);
  });

  test('a tensor of more lines than a texture may have stays in its buffer', () => {
    const r = new Recorder();
    const y = conv2d(r.tape, r.input('x', [1, 64, 65, 4]), r.weights());
    const product = r.run(textures, [y], { ...own, maxTextureSize: 1 }).at(-1) as Node;
    expect(Object.keys(product.inputs)).toEqual(['x', 'w', 'w_texture']);
  });
});

describe('scale_where_read', () => {
  test('folded weights that are packed on the way to a texture are scaled there', () => {
    const r = new Recorder();
    const y = r.norm(convTranspose2d(r.tape, r.input(), r.weights()));
    const context = passContext(r.tape, [y], device({ textures: true }));
    const packed = textures.run(foldNorm.run(r.tape.nodes, context), context);
    expect(printNodes(scaleWhereRead.run(packed, context))).toMatchInlineSnapshot(`
      "%9[1x1x4x4], %10[4], %11[4] = batch_norm_fold(w=@w[1x1x4x4], weight=@weight[4], bias=@bias[4], running_mean=@mean[4], running_var=@var[4]) {epsilon=0.00001 transposed=true scaledByReaders=true}
      %12[64] = to_texture(x=$x[1x4x4x4])
      %13[128] = to_texture(x=@w[1x1x4x4], scale=%11[4]) {transposed=true}
      %7[1x4x4x4] = conv_transpose2d(x=$x[1x4x4x4], w=%9[1x1x4x4], b=%10[4], x_texture=%12[64], w_texture=%13[128]) {stride=1 padding=0 dilation=1 relu=false outputSize=[4,4]}"
    `);
  });

  test('weights that the program or a product reads as they are stay scaled', () => {
    const r = new Recorder();
    const y = r.norm(conv2d(r.tape, r.input(), r.weights()));
    const folded = r.run(foldNorm, [y]);
    const context = passContext(r.tape, [y], target);
    expect(printNodes(scaleWhereRead.run(folded, context))).toBe(printNodes(folded));
    const onTextures = passContext(r.tape, [y], device({ textures: true }));
    const packed = textures.run(folded, onTextures);
    const weights = need((packed.at(-1) as Node).inputs, 'w');
    const reading = { ...onTextures, read: new Set([y, weights]) };
    expect(printNodes(scaleWhereRead.run(packed, reading))).toBe(printNodes(packed));
  });
});

describe('halves', () => {
  test('values are 16-bit floats where every operation can; what the program reads is not', () => {
    const r = new Recorder(true);
    const between = conv2d(r.tape, r.input(), r.weights('v'));
    const y = conv2d(r.tape, between, r.weights('w'), undefined, {});
    expect(r.applies(halves)).toBe(true);
    expect(new Recorder().applies(halves)).toBe(false);
    expect(printNodes(r.run(halves, [y]))).toMatchInlineSnapshot(`
      "%2[1x4x4x4 f16] = conv2d(x=$x[1x4x4x4], w=@v[1x1x4x4 f16]) {stride=1 padding=0 dilation=1 relu=false}
      %4[1x4x4x4] = conv2d(x=%2[1x4x4x4 f16], w=@w[1x1x4x4 f16]) {stride=1 padding=0 dilation=1 relu=false}"
    `);
  });

  test('a value that an operation reads in 32 bits alone stays so', () => {
    const r = new Recorder(true);
    const between = conv2d(r.tape, r.input(), r.weights('v'));
    const y = conv2d(r.tape, between, r.weights('w'));
    const [product] = r.run(halves, [y, relu(r.tape, between)]);
    expect(product?.outputs.y?.half).toBe(false);
  });

  test('an operation that cannot read a 16-bit parameter is named', () => {
    const r = new Recorder(true);
    const y = relu(r.tape, r.weights());
    expect(() => r.run(halves, [y])).toThrow('relu cannot read 16-bit floats (a, w)');
  });
});

describe('fuse', () => {
  test('batch norm, residual and ReLU become the convolution; the folding runs once', () => {
    const r = new Recorder();
    const x = r.input();
    const y = r.norm(conv2d(r.tape, x, r.weights()), { relu: true, residual: x });
    const fused = fuse(r.tape, [y], target);
    expect(names(fused.prologue)).toEqual(['batch_norm_fold']);
    expect(names(fused.nodes)).toEqual(['conv2d']);
  });

  test('what depends on fixed values alone runs once, unless the program reads it', () => {
    const once = (record: (r: Recorder) => Tensor[]) => {
      const r = new Recorder();
      const { prologue, nodes } = fuse(r.tape, record(r), target);
      return [names(prologue), names(nodes)];
    };
    const rectified = (r: Recorder) => relu(r.tape, relu(r.tape, r.vector('v')));
    expect(once((r) => [add(r.tape, r.tape.input('x', [4], 'channels'), rectified(r))])).toEqual([
      ['relu', 'relu'],
      ['add'],
    ]);
    expect(once((r) => [rectified(r)])).toEqual([['relu'], ['relu']]);
    const trained = (r: Recorder) => {
      const y = rectified(r);
      const step = r.tape.input('step', [2], 'dense');
      adam(r.tape, 'model', new Map(), step, { betas: [0.9, 0.99], epsilon: 1e-8 });
      return [add(r.tape, r.tape.input('x', [4], 'channels'), y)];
    };
    expect(once(trained)).toEqual([[], ['relu', 'relu', 'adam', 'add']]);
  });

  test('leaves the tape as it is, and gives the same again', () => {
    const r = new Recorder();
    const w = r.weights('w', [3, 3, 4, 4]);
    const sum = add(r.tape, r.input(), r.constant());
    const y = relu(r.tape, r.norm(conv2d(r.tape, sum, w, undefined, { padding: 1 })));
    const own = device({ textures: true, winograd: true });
    const before = printNodes(r.tape.nodes);
    const print = ({ prologue, nodes }: ReturnType<typeof fuse>) => printNodes([...prologue, ...nodes]);
    const first = print(fuse(r.tape, [y], own));
    expect(printNodes(r.tape.nodes)).toBe(before);
    expect(print(fuse(r.tape, [y], own))).toBe(first);
  });

  test('a gradient that only the optimiser reads is not fused away', () => {
    const r = new Recorder();
    const x = r.tape.parameter('x', [1, 4, 4, 4], 'channels', 'model');
    const y = conv2d(r.tape, x, r.tape.parameter('w', [1, 1, 4, 4], 'filter', 'frozen'));
    const found = gradients(r.tape, new Map([[y, r.input('seed')]]), [x]);
    const gradient = found.get(x) as Tensor;
    const seen = relu(r.tape, gradient);
    adam(r.tape, 'model', found, r.tape.input('step', [2], 'dense'), { betas: [0.9, 0.99], epsilon: 1e-8 });
    const { nodes } = fuse(r.tape, [seen], target);
    expect(nodes.some(({ outputs }) => Object.values(outputs).includes(gradient))).toBe(true);
  });
});

describe('Rewriter', () => {
  test('keeps places, readers and producers as nodes are replaced', () => {
    const r = new Recorder();
    const x = r.input();
    const a = relu(r.tape, x);
    const b = relu(r.tape, a);
    const [first, second] = r.tape.nodes as [Node, Node];
    const context = passContext(r.tape, [b], target);
    const rewriter = new Rewriter(r.tape.nodes);
    expect(rewriter.onlyReader(a, context)).toBe(second);
    expect(rewriter.onlyReader(b, context), 'the program reads it').toBeUndefined();
    const extra = rewriter.record(first.definition, { a: x }, {});
    rewriter.replace(first, first, extra);
    const reads = { ...second, inputs: { a: need(extra.outputs, 'y') } };
    rewriter.replace(second, reads);
    expect(rewriter.nodes).toEqual([first, extra, reads]);
    expect(rewriter.isRead(a, context)).toBe(false);
    expect(rewriter.readers(need(extra.outputs, 'y'))).toEqual([reads]);
    expect(rewriter.producer(b)).toBe(reads);
    expect(rewriter.producer(x)).toBeUndefined();
    expect(() => rewriter.replace(second)).toThrow('relu does not stand in this list');
    expect(r.tape.nodes).toEqual([first, second]);
  });

  test('new tensors differ from all others, and a wrong shape is named', () => {
    const r = new Recorder();
    const y = add(r.tape, r.input(), r.constant());
    const rewriter = new Rewriter(r.tape.nodes);
    const [node] = r.tape.nodes as [Node];
    const made = need(rewriter.record(node.definition, node.inputs, {}).outputs, 'y');
    expect(made.id).toBeGreaterThan(y.id);
    expect(() => rewriter.record(node.definition, { a: y, b: one(r.tape) }, {})).toThrow(
      'add(a add.0.y[1,4,4,4], b one[1]): the shapes differ',
    );
  });
});
