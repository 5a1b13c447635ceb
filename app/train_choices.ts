/** What the Train view asks about the good parts, and what it says of their number. */
import type { Augmentation } from '../src/data/augment.ts';
import { falseAlarmInterval } from '../src/eval/false_alarms.ts';
import { type Schedule, withCopies } from '../src/session/training_defaults.ts';

/** The page's schedule from 64 images on: a browser's user waits for it. */
export const usual: Schedule = { epochs: [20, 30], batch: 8 };

/** What may differ between good parts, in the words of whoever photographs them. */
export const differences: readonly {
  readonly kind: Augmentation;
  readonly text: string;
  readonly hint: string;
}[] = [
  { kind: 'rotations', text: 'They lie in any direction', hint: 'copies are turned by any angle' },
  { kind: 'flips', text: 'Their mirror image is good too', hint: 'not with letters or threads' },
  { kind: 'shifts', text: 'They lie in different places', hint: 'copies are moved by up to 5 %' },
  { kind: 'light', text: 'The light varies', hint: 'copies are lighter, darker, softer, harder' },
];

/** What is learned beside the photographs. */
export function copiesOf(good: number, kinds: readonly Augmentation[]): string {
  if (!kinds.length) return 'Tick what is true: changed copies of few photographs are learned too.';
  if (!good) return 'Changed copies of the photographs will be learned too.';
  const made = withCopies(good) - good;
  return (
    `${made} changed ${made === 1 ? 'copy is' : 'copies are'} learned beside ` +
    `${good === 1 ? 'the photograph' : `the ${good} photographs`}.`
  );
}

/** What was chosen, and what its threshold will be worth. */
export function summaryOf({
  good,
  bad,
  folds,
}: {
  readonly good: number;
  readonly bad: number;
  readonly folds: number;
}): string {
  if (!good) return 'Nothing yet. Twenty good photographs are a start.';
  if (bad) return `${good} good, ${bad} bad.`;
  const text = `${good} good; no bad ones: the threshold will come from good images alone`;
  if (folds) {
    const [, most] = falseAlarmInterval({ good, flagged: 0, from: 'left-out' }) ?? [0, 1];
    return (
      `${text}, each judged by a detector that learned the others. From ${good} it says little: up to ` +
      `${(100 * most).toFixed(0)} % of good parts may be called bad. More photographs tell more.`
    );
  }
  return good === 1
    ? `${text}. From one alone it says nothing: most good parts may be called bad. Two are a start.`
    : `${text}.`;
}
