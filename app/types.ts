/** What the page and its worker tell each other. */
import type { BenchCase } from '../src/bench/case.ts';
import type { BenchFailure, BenchReport, BenchResult } from '../src/bench/report.ts';
import type { Augmentation } from '../src/data/augment.ts';
import type { RegionOfInterest } from '../src/data/region.ts';
import type { DetectorSettings } from '../src/detector/settings.ts';
import type { Findings } from '../src/eval/findings.ts';
import type { TrainingPart } from '../src/session/measured_job.ts';
import { packagedBackbones } from '../src/weights/packaged.ts';

/** The device that the page computes on. */
export interface DeviceFacts {
  readonly name: string;
  /** Name of the profile that kernels are chosen by. */
  readonly profile: string;
  /** Kernels run on the processor: much slower than a GPU. */
  readonly software: boolean;
  readonly subgroupSize: number;
}

/** A prediction without a verdict: the threshold is the page's, and moves. */
export interface MapResult {
  readonly score: number;
  readonly map: Float32Array;
  readonly width: number;
  readonly height: number;
  /** 1 where the image is inspected, else 0, [height, width]; absent where all of it is. */
  readonly inspected?: Uint8Array | undefined;
  readonly milliseconds: { readonly decode: number; readonly detect: number };
}

export interface LevelMaps {
  readonly side: number;
  readonly distance: Float32Array;
  readonly gate: Float32Array | undefined;
  readonly residual: Float32Array | undefined;
}

/** A training as it is kept on disk, so that closing the tab loses nothing but the running epoch. */
export interface TrainingJob {
  readonly name: string;
  readonly backbone: string;
  /** Where the teacher's weights come from: the page's own, or a file that was loaded. */
  readonly teacher: string;
  readonly imageSize: number;
  readonly batch: number;
  readonly epochs: readonly [number, number];
  readonly foreground: string;
  readonly mode: 'aand' | 'rd' | 'patchcore';
  readonly seed: number;
  /** Which part of every photograph is inspected; absent: all of it. */
  readonly region?: RegionOfInterest;
  /** What may differ between good parts: changed copies of few images are learned too. */
  readonly augment?: readonly Augmentation[];
  /** Light and camera change in every epoch; absent in trainings of earlier versions. */
  readonly robust?: boolean;
  /**
   * Parts that good images are left out in for the threshold; absent in trainings of earlier versions, which
   * held images out.
   */
  readonly folds?: number;
}

export interface TrainingProgress {
  readonly stage: string;
  readonly epoch: number;
  readonly epochs: number;
  readonly images: number;
  /** What is counted, where that is no image. */
  readonly unit?: 'images' | 'patches';
  readonly total: number;
  readonly losses: Readonly<Record<string, number>>;
  readonly imagesPerSecond: number;
  readonly remaining: number;
}

/** An example under the student of the last epoch. */
export interface Example {
  readonly name: string;
  readonly pixels: Uint8Array;
  readonly side: number;
  readonly score: number;
  readonly map: Float32Array;
}

/** Weights that a training may learn from. */
export interface TeacherFacts {
  readonly backbone: string;
  /** The file that they were loaded from, or the page's own. */
  readonly source: string;
}

/** The source of the page's own teachers. */
export const packagedSource = 'packaged teacher';

/** The page's own teachers; the first is the default. */
export const packagedTeachers: readonly TeacherFacts[] = packagedBackbones.map((backbone) => ({
  backbone,
  source: packagedSource,
}));

/** An image that the user chose for a training. */
export interface ChosenImage {
  readonly kind: 'good' | 'bad';
  readonly name: string;
  readonly file: File;
}

export interface TrainingCallbacks {
  /** Images of a new training that are stored on the device. */
  onStored(done: number, total: number): void;
  /** The device is tried out, from 0 to 1: it compiles, and takes the first steps. */
  onTried(share: number): void;
  /** What the training goes through, in its order. */
  onParts(parts: readonly TrainingPart[]): void;
  /** Images that are judged, such as `testing`. */
  onCounting(label: string, done: number, total: number): void;
  onProgress(progress: TrainingProgress): void;
  onEpoch(stage: string, losses: Readonly<Record<string, number>>): void;
  /** Epochs that ran before, at the start and after the device was lost. */
  onResume(stage: string, history: readonly Readonly<Record<string, number>>[]): void;
  onExamples(examples: readonly Example[]): void;
  /** Something about the images that stays true. */
  onWarning(text: string): void;
  /** Something that the user should know while it goes on. */
  onNotice(text: string): void;
}

export interface TrainingResult {
  readonly settings: DetectorSettings;
  readonly findings: Findings;
  readonly auroc: number | null;
  readonly f1: number | null;
  readonly trainedOn: number;
  readonly heldOut: number;
  readonly seconds: number;
}

/** What is kept on this device. */
export interface Kept {
  /** Another tab of this page is training: what is kept is its own until then. */
  readonly elsewhere: boolean;
  /** A training that waits to be continued, or is done. */
  readonly training:
    | { readonly job: TrainingJob; readonly good: number; readonly bad: number; readonly finished: boolean }
    | undefined;
  /** The job of the finished model: the kept training's, or that of one before it. */
  readonly model: TrainingJob | undefined;
}

/** Photographs of a training that is forecast. */
export interface ForecastImages {
  readonly good: number;
  readonly bad: number;
  /** A few of them, to time reading and storing. */
  readonly some: readonly { readonly name: string; readonly bytes: ArrayBuffer }[];
}

export interface ForecastFacts {
  readonly bytes: number;
  /** What was measured; undefined where the device was not tried, for it cannot do it, or not well. */
  readonly seconds: number | undefined;
  readonly advice: string;
}

export interface Preview {
  readonly side: number;
  /**
   * RGB pixels of foregrounds (dimmed outside), and of synthetic anomalies where the method learns from them.
   */
  readonly foregrounds: readonly Uint8Array[];
  readonly anomalies: readonly Uint8Array[];
  /** Share of the images that is foreground. */
  readonly share: number;
}

export interface TuningProgress {
  readonly done: number;
  readonly total: number;
  /** Time of what the fixed table chooses over the best, of all products so far. */
  readonly regret: number;
}

/** What the user wants measured. */
export interface BenchRequest {
  readonly kinds: readonly BenchCase['kind'][];
  /** Parts of names or /regular expressions/, with blanks between them; empty for the short list. */
  readonly names: string;
  /** Own shapes as `aand bench --shape` takes them, with blanks between them. */
  readonly shapes: string;
}

/** What happens while it is measured. */
export type BenchEvent =
  | { readonly kind: 'peaks' }
  | ({ readonly kind: 'begin' } & Pick<BenchReport, 'record' | 'adapter' | 'peaks'>)
  | { readonly kind: 'case'; readonly name: string; readonly place: number; readonly total: number }
  | { readonly kind: 'result'; readonly result: BenchResult }
  | { readonly kind: 'failure'; readonly failure: BenchFailure };
