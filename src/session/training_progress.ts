/** How far a whole training is, and how long it still takes: over its stages, not within one. */
import type { Losses } from '../model/method.ts';
import type { Progress } from '../train/trainer.ts';
import type { Clock, Reporter } from './ports.ts';

/** How far a training is, reading and judging included. */
export interface TrainingProgress {
  /** What is done: `reading`, `stage I`, `stage II`, `left out 1 of 2, stage I`, `testing`, `calibrating`. */
  readonly stage: string;
  /** Of this stage, from 1; 0 where it has no epochs. */
  readonly epoch: number;
  readonly epochs: number;
  /** Of the whole training, 0 to 1; it never falls. */
  readonly fraction: number;
  /** Seconds until the whole training is over; undefined before there is anything to tell them by. */
  readonly remaining: number | undefined;
  /** Means over the epoch so far; none outside the stages. */
  readonly losses: Losses;
}

/** A part of a training that has a name, and how much work it is compared with the others. */
export interface TrainingPart {
  readonly stage: string;
  readonly work: number;
}

// Beside a step of training, which goes forward, backward and over the weights, of as many images.
const judgingWork = 0.25;
// Of the whole training: decoding is seldom more.
const readingShare = 0.02;

/** What a training consists of. */
export interface TrainingShape {
  /** Images that are learned, copies included. */
  readonly learned: number;
  /** Epochs of the stages, by their names; one where the method keeps a memory bank. */
  readonly stages: readonly { readonly stage: string; readonly epochs: number }[];
  /** Parts that images are left out in. */
  readonly leftOut: number;
  /** Images that are tested with the trained detector. */
  readonly tested: number;
  /** Good images that are judged for the limit afterwards. */
  readonly calibrated: number;
}

/** The parts of a training in their order. */
export function partsOf({ learned, stages, leftOut, tested, calibrated }: TrainingShape): TrainingPart[] {
  const stagesOn = (images: number, prefix: string) =>
    stages.map(({ stage, epochs }) => ({ stage: `${prefix}${stage}`, work: images * epochs }));
  const others = Array.from({ length: leftOut }, (_, i) =>
    stagesOn(learned * (1 - 1 / leftOut), `left out ${i + 1} of ${leftOut}, `),
  );
  const parts = [
    ...stagesOn(learned, ''),
    { stage: 'testing', work: judgingWork * tested },
    ...others.flat(),
    { stage: 'calibrating', work: judgingWork * calibrated },
  ];
  const work = parts.reduce((sum, part) => sum + part.work, 0);
  return [{ stage: 'reading', work: readingShare * work }, ...parts];
}

/** A reporter that tells how far the whole training is. */
export class TrainingWatch implements Reporter {
  readonly #clock: Clock;
  readonly #tell: (progress: TrainingProgress) => void;
  readonly #started: number;
  #parts: readonly TrainingPart[] = [];
  #part = 0;
  #partStarted: number;
  #told: number;
  /** Seconds per unit of work, of the parts that are over, by what the part's name ends with. */
  readonly #rates = new Map<string, number>();
  #fraction = 0;
  #left: number | undefined;

  constructor(clock: Clock, tell: (progress: TrainingProgress) => void) {
    this.#clock = clock;
    this.#tell = tell;
    this.#started = clock.now();
    this.#partStarted = this.#started;
    this.#told = this.#started;
  }

  /** Seconds since it began. */
  get seconds(): number {
    return (this.#clock.now() - this.#started) / 1000;
  }

  /** What the training consists of, as soon as that is known. */
  expect(parts: readonly TrainingPart[]): void {
    this.#parts = parts;
  }

  training = (progress: Progress): void => {
    const { stage, epoch, epochs, images, total, losses, remaining } = progress;
    const share = epochs ? (epoch + images / total) / epochs : 1;
    this.#report(stage, share, { epoch: epoch + 1, epochs, losses, remaining });
  };

  counting = (label: string): ((done: number, total: number) => void) => {
    return (done, total) =>
      this.#report(label, done / total, { epoch: 0, epochs: 0, losses: {}, remaining: undefined });
  };

  stop = (): void => {};

  /** Everything is done. */
  finish(): void {
    this.#tell({ stage: 'done', epoch: 0, epochs: 0, fraction: 1, remaining: 0, losses: {} });
  }

  #report(
    stage: string,
    share: number,
    o: Pick<TrainingProgress, 'epoch' | 'epochs' | 'losses' | 'remaining'>,
  ): void {
    const { epoch, epochs, losses } = o;
    const at = this.#parts.findIndex((part) => part.stage === stage);
    // A part that comes again, or that nobody expected, moves nothing.
    if (at > this.#part) this.#begin(at);
    if (at === this.#part) {
      this.#fraction = Math.max(this.#fraction, this.#done(share));
      this.#left = this.#remaining(share, o.remaining);
    }
    this.#told = this.#clock.now();
    this.#tell({ stage, epoch, epochs, fraction: this.#fraction, remaining: this.#left, losses });
  }

  /** The parts before this one were over when something was told last. */
  #begin(next: number): void {
    const over = this.#parts[this.#part];
    if (over?.work) this.#rates.set(kindOfPart(over), (this.#told - this.#partStarted) / 1000 / over.work);
    this.#part = next;
    this.#partStarted = this.#told;
  }

  #done(share: number): number {
    const before = this.#parts.slice(0, this.#part).reduce((sum, { work }) => sum + work, 0);
    const all = this.#parts.reduce((sum, { work }) => sum + work, 0);
    return Math.min(1, (before + share * (this.#parts[this.#part]?.work ?? 0)) / all);
  }

  /** @param own seconds that the part itself still needs, where it knows */
  #remaining(share: number, own: number | undefined): number | undefined {
    const part = this.#parts[this.#part];
    // How fast images are read says nothing of how fast they are learned.
    if (!part || part.stage === 'reading' || share <= 0) return undefined;
    const spent = (this.#clock.now() - this.#partStarted) / 1000;
    const left = own ?? (spent * (1 - share)) / share;
    const rate = (spent + left) / (part.work || 1);
    return this.#parts
      .slice(this.#part + 1)
      .reduce((sum, later) => sum + later.work * (this.#rates.get(kindOfPart(later)) ?? rate), left);
  }
}

/** Parts of one kind take as long: a stage, and the same stage without some images. */
function kindOfPart({ stage }: TrainingPart): string {
  return stage.replace(/^left out .*, /, '');
}
