/**
 * The passes that every device gets, each by the print of the nodes that it gives, and where it must leave
 * them alone.
 */
import { describe, expect, test } from 'vitest';
import { gradients } from '../src/engine/gradients.ts';
import { printNodes } from '../src/engine/graph/print.ts';
import { type Node, need } from '../src/engine/graph/tape.ts';
import type { Tensor } from '../src/engine/graph/tensor.ts';
import { adam } from '../src/engine/ops/adam.ts';
import { conv2d, convTranspose2d } from '../src/engine/ops/conv2d.ts';
import { add, relu } from '../src/engine/ops/elementwise.ts';
import { gatedResidual } from '../src/engine/ops/gate.ts';
import type { Operation } from '../src/engine/ops/operation.ts';
import { one } from '../src/engine/ops/reduce.ts';
import { addends } from '../src/engine/passes/addends.ts';
import { deadNodes } from '../src/engine/passes/dead_nodes.ts';
import { epilogues } from '../src/engine/passes/epilogues.ts';
import { foldNorm } from '../src/engine/passes/fold_norm.ts';
import { fuse } from '../src/engine/passes/index.ts';
import { passContext } from '../src/engine/passes/pass.ts';
import { Rewriter } from '../src/engine/passes/rewriter.ts';
import { device, names, Recorder, target } from './support/passes.ts';

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
