/** How the masks of a data set are encoded, decided from what all of them show. */
import { rangeOf } from '../base/lists.ts';
import {
  type ChannelEvidence,
  classEncoding,
  type Levels,
  type MaskChannel,
  type MaskEncoding,
  type MaskEvidence,
  plainEncoding,
} from './mask_pixels.ts';

/** Colours this near to each other are one background. */
const sameBackground = 16;
/** A limit this near to the usual one is the usual one. */
const usualLimitWithin = 22;
/** Above this share of pixels half way between good and defective, a mask looks like a photograph. */
const halfWayShare = 0.1;

/**
 * Share of the pixels between the lowest and the highest value that lie in areas of one value, in masks of
 * classes.
 */
const classShare = 0.3;
/** Where no value is above this one, several values are class numbers. */
const highestClass = 31;

const lowest = ({ values }: Levels) => values[0] as number;
const highest = ({ values }: Levels) => values.at(-1) as number;
const isBlack = (background: readonly number[]) => Math.max(...background) === 0;

function distance(a: readonly number[], b: readonly number[]): number {
  return Math.max(...a.map((value, i) => Math.abs(value - (b[i] as number))));
}

/** Share of the pixels above `from` and up to `to`. */
function shareBetween({ values, counts }: Levels, from: number, to = 255): number {
  const inside = (value: number) => value > from && value <= to;
  const total = counts.reduce((sum, count) => sum + count, 0);
  return counts.reduce((sum, count, i) => sum + (inside(values[i] as number) ? count : 0), 0) / total;
}

/** What several values in a mask are: classes in areas of their own, or shades between two values. */
function kindOf(levels: readonly Levels[]): 'two values' | 'classes' | 'shades' {
  const several = levels.filter(({ values }) => values.length > 2);
  if (!several.length) return 'two values';
  const sum = (part: 'flat' | 'between') => several.reduce((total, one) => total + one[part], 0);
  const numbers = rangeOf(levels.map(highest)).max <= highestClass;
  return numbers || sum('flat') >= classShare * sum('between') ? 'classes' : 'shades';
}

/** Half way between the values that mean good and those that mean a defect. */
function limitOf(levels: readonly Levels[]): number {
  if (!levels.length) return plainEncoding.limit;
  const shades = kindOf(levels) === 'shades';
  if (!shades) {
    // Every class is a defect, the first value above the background too.
    const dark = rangeOf(levels.map(lowest)).max;
    const bright = rangeOf(levels.map(({ values }) => values[1] as number)).min;
    if (dark < bright) return (dark + bright) / 2;
  }
  const shaded = levels.filter(({ values }) => values.length > 2);
  const all = shades ? shaded : levels;
  const middle = (rangeOf(all.map(lowest)).min + rangeOf(all.map(highest)).max) / 2;
  return Math.abs(middle - plainEncoding.limit) <= usualLimitWithin ? plainEncoding.limit : middle;
}

/** The levels of a mask as distances from a background; undefined where the mask has another background. */
function levelsFrom(evidence: ChannelEvidence, background: readonly number[]): Levels | undefined {
  if (isBlack(background)) return evidence.levels;
  return distance(evidence.border, background) <= sameBackground ? evidence.fromBorder : undefined;
}

/** Whether a mask's pixels differ at all: two colours may be equally far from black. */
function varies({ levels, fromBorder }: ChannelEvidence): boolean {
  return levels.values.length > 1 || fromBorder !== undefined;
}

/** The encoding of a set of masks, and how it was found. */
export interface MaskDecision {
  readonly encoding: MaskEncoding;
  /** In words. */
  readonly text: string;
  /** Nothing was guessed: white on black, or the class numbers of a data set that is known to have them. */
  readonly usual: boolean;
}

/**
 * Decides how a set of masks is encoded: by the channel, the background and the values of most of them. A
 * mask of one value decides nothing.
 *
 * @param options.classes the layout says that masks hold class numbers: everything above 0 counts
 * @param options.dark the background is black or transparent even where bright areas surround the others
 */
export function decideEncoding(
  masks: readonly MaskEvidence[],
  { classes = false, dark = false }: { readonly classes?: boolean; readonly dark?: boolean } = {},
): MaskDecision {
  const varied = masks.filter(({ colour, alpha }) => varies(colour) || (alpha && varies(alpha)));
  const byAlpha = varied.filter(({ alphaTells }) => alphaTells).length * 2 > varied.length;
  const channel: MaskChannel = byAlpha ? 'alpha' : 'colour';
  const found = varied.flatMap((evidence) => evidence[channel] ?? []).filter(varies);
  const surrounded = dark ? [] : found.filter(({ fromBorder }) => fromBorder);
  let background: readonly number[] = byAlpha ? [0] : [0, 0, 0];
  if (surrounded.length * 2 > found.length) {
    const near = (border: readonly number[]) =>
      surrounded.filter((other) => distance(other.border, border) <= sameBackground).length;
    background = surrounded
      .map(({ border }) => border)
      .reduce((best, one) => (near(one) > near(best) ? one : best));
  }
  const levels = found
    .flatMap((one) => levelsFrom(one, background) ?? [])
    .filter(({ values }) => values.length > 1);
  const asClasses = classes && channel === 'colour' && isBlack(background);
  const encoding: MaskEncoding = asClasses ? classEncoding : { channel, background, limit: limitOf(levels) };
  const coloured = masks.some((mask) => mask.coloured);
  const usual =
    asClasses ||
    (channel === 'colour' && isBlack(background) && !coloured && encoding.limit === plainEncoding.limit);
  return { encoding, text: describe(encoding, levels, coloured), usual };
}

/** Values of 16-bit files, divided by 257, may lie below 1. */
const round = (value: number) => Number(value < 1 ? value.toPrecision(2) : value.toFixed(1));

function describe(
  { channel, background, limit }: MaskEncoding,
  levels: readonly Levels[],
  coloured: boolean,
): string {
  const dark = isBlack(background);
  const white = Math.min(...background) >= 255 - sameBackground;
  const what = coloured ? 'coloured' : dark ? 'bright' : white ? 'dark' : 'marks';
  const ground = dark ? 'black' : white ? 'white' : `a background of ${background.map(round).join(' ')}`;
  const where =
    channel === 'alpha'
      ? `in the alpha channel, ${dark ? 'opaque on transparent' : 'transparent on opaque'}`
      : `${what} on ${ground}`;
  const highs = [...new Set(levels.map((one) => round(highest(one))))].sort((a, b) => a - b);
  const kind = kindOf(levels);
  const values =
    kind === 'two values'
      ? highs.length
        ? `values 0 and ${highs.join(' or ')}`
        : 'one value'
      : `${kind} up to ${highs.at(-1)}`;
  return `${where}, ${values}; ${dark ? 'marked' : 'marked where the difference is'} above ${round(limit)}`;
}

/** Share of a mask's pixels that are marked; undefined where its background is another one than its set's. */
export function markedShare(
  mask: MaskEvidence,
  { channel, background, limit }: MaskEncoding,
): number | undefined {
  const evidence = mask[channel];
  if (!evidence) return 0;
  if (!varies(evidence) && !isBlack(background)) return distance(evidence.border, background) > limit ? 1 : 0;
  const levels = levelsFrom(evidence, background);
  return levels && shareBetween(levels, limit);
}

/** How a mask differs from its set, as the end of a sentence about it; undefined where it does not. */
export function misfit(mask: MaskEvidence, { channel, background }: MaskEncoding): string | undefined {
  const evidence = mask[channel];
  if (!evidence) return 'it has no alpha channel, unlike the other masks';
  const levels = levelsFrom(evidence, background);
  if (isBlack(background) ? evidence.fromBorder : varies(evidence) && !levels)
    return 'its background is another one than that of the other masks, it may be inverted';
  if (levels && kindOf([levels]) === 'shades') {
    const [a, b] = [lowest(levels), highest(levels)];
    if (shareBetween(levels, a + (b - a) / 4, b - (b - a) / 4) > halfWayShare)
      return 'many of its pixels are neither dark nor bright, it looks like a photograph';
  }
  return undefined;
}
