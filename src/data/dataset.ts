/**
 * What a data set is to the rest of the program: lists of images with their labels and masks, whatever the
 * layout on disk is.
 */
import type { MaskEncoding } from './mask_pixels.ts';
import type { SaturationRule } from './saturation.ts';

/** One image of a data set, with its label and its mask. */
export interface Sample {
  readonly path: string;
  /** File name without its extension. */
  readonly stem: string;
  /** `good` or the kind of defect. */
  readonly defect: string;
  /** Ground truth, for defects that have one. */
  readonly maskPath?: string;
  /** Further masks of the same image: what any of them marks is a defect. */
  readonly moreMasks?: readonly string[];
  /** The mask holds class numbers: everything above 0 is a defect. */
  readonly maskOfClasses?: boolean;
  /** Every mask is a defect of its own, which is found whole from some area on (MVTec LOCO AD). */
  readonly saturation?: readonly SaturationRule[];
  /** How the mask is read (see `prepareMasks`); without it what is above 127 is a defect. */
  readonly maskEncoding?: MaskEncoding;
  /** A mask of a good image: it should mark nothing. */
  readonly goodMaskPath?: string;
  /** The lighting or the camera's view, where the file's name says it. */
  readonly condition?: string;
  /** Which part it shows, where several images show one part from several sides. */
  readonly part?: string;
}

/** The masks of a defect, none where it has none. */
export function masksOf({ maskPath, moreMasks = [] }: Pick<Sample, 'maskPath' | 'moreMasks'>): string[] {
  return maskPath === undefined ? [] : [maskPath, ...moreMasks];
}

/** What the masks of a data set are; goes into metrics.json. */
export interface MaskSummary extends MaskEncoding {
  readonly count: number;
  /** How they are read, in words. */
  readonly encoding: string;
  /** Masks of defects that mark no pixel, or every pixel. */
  readonly empty: readonly string[];
  readonly full: readonly string[];
}

export const formats = [
  'mvtec',
  'visa',
  'mvtec3d',
  'mvtecad2',
  'mvtecloco',
  'btad',
  'ksdd2',
  'realiad',
  'folder',
] as const;
/**
 * A layout of images on disk: MVTec AD, VisA, MVTec 3D-AD, MVTec AD 2, MVTec LOCO AD, BTAD, KolektorSDD2,
 * Real-IAD, or folders of the user.
 */
export type Format = (typeof formats)[number];

/** A category of a data set: its images for training and testing, and how its masks are read. */
export interface Dataset {
  readonly name: string;
  readonly format: Format;
  readonly train: readonly Sample[];
  readonly test: readonly Sample[];
  /** Good images that the data set sets apart: thresholds come from them, they are not trained on. */
  readonly validation?: readonly Sample[];
  /** Images that a list names, which are in none of the others. */
  readonly leftOut?: readonly Sample[];
  /** Folders of images whose labels are not published: scores can be written, metrics cannot. */
  readonly unlabelled?: readonly { readonly folder: string; readonly count: number }[];
  /** The category's own folder. */
  readonly folder: string;
  /** How the masks are read, once they were looked at (see `prepareMasks`); null without masks. */
  readonly masks?: MaskSummary | null;
  /** What is missing or wrong, by file, and what was guessed. */
  readonly warnings: readonly string[];
}

/** Where a category lies: its data set's folder and its name. */
export interface CategoryLocation {
  readonly root: string;
  readonly category: string;
  /**
   * The last part of the path as it was spelled, where that is another name (a link). VisA's lists may use
   * it.
   */
  readonly alias?: string;
  /** The category's own folder. */
  readonly folder: string;
}
