/** The passes that change how values lie: transforms, textures, scales and 16-bit floats. */
import { describe, expect, test } from 'vitest';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { printNodes } from '../src/engine/graph/print.ts';
import { type Node, need, Tape } from '../src/engine/graph/tape.ts';
import { conv2d, convTranspose2d } from '../src/engine/ops/conv2d.ts';
import { relu } from '../src/engine/ops/elementwise.ts';
import { weightGradient } from '../src/engine/ops/weight_gradient.ts';
import { foldNorm } from '../src/engine/passes/fold_norm.ts';
import { halves } from '../src/engine/passes/halves.ts';
import { fuse } from '../src/engine/passes/index.ts';
import { passContext } from '../src/engine/passes/pass.ts';
import { scaleWhereRead } from '../src/engine/passes/scale_where_read.ts';
import { textures } from '../src/engine/passes/textures.ts';
import { winograd } from '../src/engine/passes/winograd.ts';
import { backbones } from '../src/model/backbones.ts';
import { detect } from '../src/model/methods.ts';
import { type Differences, device, names, Recorder, target } from './support/passes.ts';

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
