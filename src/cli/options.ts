/**
 * Values of options, for commander's argParser. A value that does not fit is refused before a command begins,
 * with the option, the value and the range (exit code 2). Every option with a number, a list or a name of
 * this program is read here.
 */
import { InvalidArgumentError } from 'commander';
import { decimal } from '../base/decimal.ts';
import { backboneNames as allBackboneNames, backboneNamed } from '../model/backbones.ts';
import type { Mode } from '../model/methods.ts';
import { modes } from '../model/methods.ts';
import { checkImageSize } from '../model/teacher.ts';

/** Reads the text of an option. */
export type Parser<T> = (text: string) => T;

function refuse(message: string): never {
  throw new InvalidArgumentError(message);
}

/** A whole number from `least` to `most`, in plain digits. */
export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): Parser<number> {
  const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    return Number.isSafeInteger(value) && value >= least && value <= most
      ? value
      : refuse(`It must be a whole number ${range}.`);
  };
}

/** A number in a range; `above` and `below` are no part of it, `least` and `most` are. */
export function realNumber(
  lower: { readonly above: number } | { readonly least: number },
  upper: { readonly below: number } | { readonly most: number },
): Parser<number> {
  const words = [
    'above' in lower ? `above ${lower.above}` : `of at least ${lower.least}`,
    'below' in upper ? `below ${upper.below}` : `of at most ${upper.most}`,
  ].join(' and ');
  return (text) => {
    const value = decimal(text);
    const fits =
      ('above' in lower ? value > lower.above : value >= lower.least) &&
      ('below' in upper ? value < upper.below : value <= upper.most);
    return fits ? value : refuse(`It must be a number ${words}.`);
  };
}

/**
 * Items between commas, blanks around them left out; an empty one, or one that is there twice, is refused.
 */
export function listOf<T>(item: Parser<T>): Parser<T[]> {
  return (text) => {
    const parts = text.split(',').map((part) => part.trim());
    if (parts.includes('')) refuse('It is a list with commas between its items, and one item is empty.');
    const items = parts.map(item);
    const twice = items.find((value, i) => items.indexOf(value) !== i);
    if (twice !== undefined) refuse(`It names ${twice} twice.`);
    return items;
  };
}

/** One of some names. */
export function oneOf<T extends string>(names: readonly T[]): Parser<T> {
  return (text) =>
    names.find((name) => name === text) ?? refuse(`It is one of ${names.join(', ')}, not '${text}'.`);
}

/**
 * What a check of the program accepts, as it was written; the error of the check becomes that of the option.
 */
export function checkedBy(check: (text: string) => unknown): Parser<string> {
  return (text) => {
    try {
      check(text);
    } catch (error) {
      refuse(`${(error as Error).message}.`);
    }
    return text;
  };
}

/** A name or path: an empty one is the work of a variable that was not set. */
export function textOption(variadic: boolean) {
  return (text: string, before: unknown): unknown => {
    if (!text.trim()) refuse('It is empty.');
    return variadic ? [...(Array.isArray(before) ? before : []), text] : text;
  };
}

export const backboneNames = allBackboneNames();

export const backboneOption: Parser<string> = (text) => checkedBy(backboneNamed)(text);

export const modeOption: Parser<Mode> = oneOf(modes);

/** Network inputs beyond this side fit no device. */
const mostPixels = 8192;

/** Side of the network input. */
export const imageSizeOption: Parser<number> = (text) => {
  const size = wholeNumber(32, mostPixels)(text);
  checkedBy(() => checkImageSize(size))(text);
  return size;
};

/** Sides of network inputs, in the order in which they are used. */
export const imageSizesOption = listOf(imageSizeOption);

/** Images per step or run. */
export const batchOption = wholeNumber(1, 4096);

/** Images to draw from a list. */
export const countOption = wholeNumber(1);

/** Keys of random streams: what a number holds exactly. */
export const seedOption = wholeNumber(0);

export const epochsOption = wholeNumber(1, 100_000);

/** Epochs of both stages. */
export const stageEpochsOption: Parser<[number, number]> = (text) => {
  const parts = text.split(',');
  if (parts.length !== 2) refuse('It must be two whole numbers with a comma between them, such as 100,120.');
  return parts.map(epochsOption) as [number, number];
};

/**
 * Adam moves a weight by about the rate in each step, whatever the gradient: above 1 nothing is ever learned.
 */
export const learningRateOption = realNumber({ above: 0 }, { most: 1 });

/** A share that leaves something on both sides. */
export const shareOption = realNumber({ above: 0 }, { below: 1 });

/** A share that may be nothing. */
export const shareOrNoneOption = realNumber({ least: 0 }, { below: 1 });

/** A share that may be nothing or all. */
export const shareOrAllOption = realNumber({ least: 0 }, { most: 1 });

/** A number of images, or a share of them. */
export const countOrShareOption: Parser<number> = (text) => {
  const value = decimal(text);
  return (value > 0 && value < 1) || (value >= 1 && Number.isSafeInteger(value))
    ? value
    : refuse('It must be a whole number of at least 1, or a share above 0 and below 1.');
};

/** Side of a tile, in pixels of the image. */
export const tileOption = wholeNumber(32, 65_536);

/** What neighbouring tiles share, in pixels of the image. */
export const tileOverlapOption = wholeNumber(0, 32_768);

/** Extensions of files, with or without their point. */
export const extensionsOption = listOf((text) =>
  /^\.?[a-z0-9]+$/i.test(text) ? text : refuse(`'${text}' is no extension such as .png.`),
);
