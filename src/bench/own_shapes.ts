/**
 * Cases of the user's own shapes, from texts such as `conv2d:C=64,H=56,K=128`. Sizes have the letters that
 * vendors' libraries use: N images, C channels, H x W pixels, K output channels, R x S weights.
 */
import { backbones } from '../model/backbones.ts';
import { checkImageSize } from '../model/teacher.ts';
import { type BenchCase, type Direction, directions } from './case.ts';
import {
  type ConvolutionShape,
  convolutionOutput,
  directionCase,
  halfConvolutionCase,
  transposedCase,
} from './convolutions.ts';
import { modelCases, trainingCases } from './models.ts';

/** Sizes by their letters, with what they are where the text does not say; without one they are required. */
interface Sizes {
  readonly [key: string]: number | ((given: (key: string) => number) => number) | undefined;
}

interface Kind {
  readonly sizes: Sizes;
  /** Words that a key may be; the first is the default. */
  readonly words: Readonly<Record<string, readonly string[]>>;
  /** A text that fits, for messages and help. */
  readonly example: string;
  readonly cases: (size: (key: string) => number, word: (key: string) => string) => BenchCase[];
}

/** No tensor of a device has more values; it also keeps whole numbers exact. */
const mostValues = 2 ** 30;
const mostSize = 2 ** 24;

const types = ['f32', 'f16'] as const;

function checkValues(what: string, shape: readonly number[]): void {
  const values = shape.reduce((product, size) => product * size, 1);
  if (values > mostValues)
    throw new Error(`${what} [${shape.join(', ')}] has ${values} values, more than ${mostValues}`);
}

/** The sides of a rectangle of so many pixels that is as square as whole numbers allow. */
function sidesOf(pixels: number): [number, number] {
  let side = Math.floor(Math.sqrt(pixels));
  while (pixels % side) side--;
  return [side, pixels / side];
}

function convolutions(name: string, c: ConvolutionShape, direction: string, type: string): BenchCase[] {
  const output = convolutionOutput(c);
  if (output.some((size) => size < 1))
    throw new Error(`the kernel of ${c.w[0]}x${c.w[1]} is larger than the padded image`);
  checkValues('the input', c.x);
  checkValues('the weights', c.w);
  checkValues('the output', output);
  if (type === 'f16') {
    if (direction !== 'forward') throw new Error('type=f16 has no gradients: 16-bit weights are not trained');
    return [halfConvolutionCase(`${name}/f16`, c)];
  }
  const chosen = direction === 'all' ? directions : [direction as Direction];
  return chosen.map((each) =>
    directionCase(direction === 'all' ? name.replace('direction=all', `direction=${each}`) : name, c, each),
  );
}

/** A network's cases at a size; `which` is the place of one of them in its list. */
function network(which: number, training: boolean): Kind {
  return {
    sizes: { N: 1, size: training ? 128 : 256 },
    words: { backbone: Object.keys(backbones), type: training ? ['f32'] : types },
    example: '',
    cases: (size, word) => {
      checkImageSize(size('size'));
      checkValues('the input', [size('N'), size('size'), size('size'), 3]);
      const backbone = backbones[word('backbone') as keyof typeof backbones];
      const list = training
        ? trainingCases(backbone, size('size'), size('N'), size('N'))
        : modelCases(backbone, false, size('N'), size('size'));
      const half = word('type') === 'f16';
      return list
        .slice(which, which + 1)
        .map((each) => (half ? { ...each, name: `${each.name}/f16`, half } : each));
    },
  };
}

const kinds: Readonly<Record<string, Kind>> = {
  conv2d: {
    sizes: {
      N: 1,
      C: undefined,
      H: undefined,
      W: (given) => given('H'),
      K: undefined,
      R: 3,
      S: (given) => given('R'),
      stride: 1,
      // An odd kernel then keeps the image's size at stride 1.
      pad: (given) => given('R') >> 1,
    },
    words: { direction: ['forward', 'data-gradient', 'weight-gradient', 'all'], type: types },
    example: 'conv2d:N=1,C=64,H=56,W=56,K=128,R=3,S=3,stride=1,pad=1',
    cases: (n, word) =>
      convolutions(
        `conv2d/N=${n('N')},C=${n('C')},H=${n('H')},W=${n('W')},K=${n('K')},R=${n('R')},S=${n('S')},` +
          `stride=${n('stride')},pad=${n('pad')},direction=${word('direction')}`,
        {
          x: [n('N'), n('H'), n('W'), n('C')],
          w: [n('R'), n('S'), n('C'), n('K')],
          stride: n('stride'),
          padding: n('pad'),
        },
        word('direction'),
        word('type'),
      ),
  },
  matmul: {
    sizes: { M: undefined, N: undefined, K: undefined },
    words: { type: types },
    example: 'matmul:M=4096,N=1024,K=1024',
    cases: (n, word) =>
      convolutions(
        `matmul/M=${n('M')},N=${n('N')},K=${n('K')}`,
        { x: [1, ...sidesOf(n('M')), n('K')], w: [1, 1, n('K'), n('N')], stride: 1, padding: 0 },
        'forward',
        word('type'),
      ),
  },
  conv_transpose2d: {
    sizes: {
      N: 1,
      C: undefined,
      H: undefined,
      W: (given) => given('H'),
      K: undefined,
      R: 2,
      S: (given) => given('R'),
      stride: 2,
    },
    words: { type: ['f32'] },
    example: 'conv_transpose2d:N=1,C=256,H=16,W=16,K=128,R=2,S=2,stride=2',
    cases: (n) => {
      const out = (extent: number, kernel: number) => (extent - 1) * n('stride') + kernel;
      checkValues('the input', [n('N'), n('H'), n('W'), n('C')]);
      checkValues('the weights', [n('R'), n('S'), n('K'), n('C')]);
      checkValues('the output', [n('N'), out(n('H'), n('R')), out(n('W'), n('S')), n('K')]);
      return [
        transposedCase(
          `conv_transpose2d/N=${n('N')},C=${n('C')},H=${n('H')},W=${n('W')},K=${n('K')},R=${n('R')},` +
            `S=${n('S')},stride=${n('stride')}`,
          {
            x: [n('N'), n('H'), n('W'), n('C')],
            w: [n('R'), n('S'), n('K'), n('C')],
            stride: n('stride'),
          },
        ),
      ];
    },
  },
  classifier: { ...network(0, false), example: 'classifier:backbone=resnet18,N=8,size=224' },
  teacher: { ...network(1, false), example: 'teacher:backbone=resnet18,N=8,size=256' },
  detector: { ...network(2, false), example: 'detector:backbone=resnet18,N=8,size=256,type=f16' },
  'classifier-step': { ...network(0, true), example: 'classifier-step:backbone=resnet18,N=4,size=128' },
  'stage1-step': { ...network(1, true), example: 'stage1-step:backbone=resnet18,N=16,size=128' },
  'stage2-step': { ...network(2, true), example: 'stage2-step:backbone=resnet18,N=16,size=128' },
};

/** A text of every kind of case, each with all its sizes. */
export const shapeExamples: readonly string[] = Object.values(kinds).map(({ example }) => example);

function sizeOf(key: string, text: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  const least = key === 'pad' ? 0 : 1;
  if (!(value >= least && value <= mostSize))
    throw new Error(`${key} is a whole number from ${least} to ${mostSize}, not '${text}'`);
  return value;
}

function pairsOf(text: string): Map<string, string> {
  const pairs = new Map<string, string>();
  for (const part of text.split(',').map((each) => each.trim())) {
    const at = part.indexOf('=');
    if (at < 1) throw new Error(`'${part}' is no KEY=VALUE`);
    const key = part.slice(0, at).trim();
    if (pairs.has(key)) throw new Error(`${key} is there twice`);
    pairs.set(key, part.slice(at + 1).trim());
  }
  return pairs;
}

function casesOf(text: string, type: string): BenchCase[] {
  const colon = text.indexOf(':');
  const name = (colon < 0 ? text : text.slice(0, colon)).trim();
  const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
  if (!kind) throw new Error(`it begins with one of ${Object.keys(kinds).join(', ')} and a colon`);
  const { sizes, words, example, cases } = kind;
  const rest = colon < 0 ? '' : text.slice(colon + 1).trim();
  const pairs = rest ? pairsOf(rest) : new Map<string, string>();
  const keys = [...Object.keys(sizes), ...Object.keys(words)];
  for (const key of pairs.keys())
    if (!keys.includes(key)) throw new Error(`${name} has no ${key}; it has ${keys.join(', ')}`);
  const size = (key: string): number => {
    const given = pairs.get(key);
    if (given !== undefined) return sizeOf(key, given);
    const value = sizes[key];
    if (value === undefined) throw new Error(`${key} is missing, as in ${example}`);
    return typeof value === 'number' ? value : value(size);
  };
  const word = (key: string): string => {
    const choices = words[key] ?? [];
    const fallback = key === 'type' && choices.includes(type) ? type : choices[0];
    const given = pairs.get(key) ?? (fallback as string);
    if (!choices.includes(given))
      throw new Error(
        `${key} is ${choices.length > 1 ? 'one of ' : ''}${choices.join(', ')}, not '${given}'`,
      );
    return given;
  };
  for (const key of Object.keys(words)) word(key);
  return cases(size, word);
}

/**
 * The cases of a text such as `conv2d:C=64,H=56,K=128` or `detector:backbone=resnet18,N=8`.
 *
 * @param type 32-bit or 16-bit floats where the text does not say; gradients and training steps have 32 bits
 * @throws Error that says what of the text does not fit, and how it may look
 */
export function ownCases(text: string, type: 'f32' | 'f16' = 'f32'): BenchCase[] {
  try {
    return casesOf(text, type);
  } catch (error) {
    throw new Error(`shape '${text}': ${(error as Error).message}`);
  }
}
