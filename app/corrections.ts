/** Corrections of verdicts: marks with undo, a new limit from them, and learning what was marked as good. */
import * as Comlink from 'comlink';
import { falseAlarmText } from '../src/eval/false_alarms.ts';
import { methodNamed } from '../src/model/methods.ts';
import { attempt, machine } from './connection.ts';
import { button, element } from './dom.ts';
import type { Inspection, Item, Label } from './inspection.ts';
import { recalibrated } from './recalibrate.ts';
import type { TrainingProgress } from './types.ts';

const isAnomalousAt = (score: number, threshold: number | undefined) =>
  threshold === undefined ? null : score >= threshold;

export interface CorrectionHooks {
  /** A mark was taken back: its image is shown. */
  onUndone(item: Item): void;
  /** The model's weights have changed: everything is judged again. */
  onTuned(): Promise<void>;
  saveModel(): void;
}

export function createCorrections(inspection: Inspection, { onUndone, onTuned, saveModel }: CorrectionHooks) {
  const said = element('p', { className: 'quiet', aria: { role: 'status' } });
  let tuning = false;

  const mark = (label: Label) => {
    const { selected } = inspection;
    if (selected) inspection.mark(selected, label);
  };
  const undo = () => {
    const item = inspection.undo();
    if (item) onUndone(item);
  };

  /** A new limit from what is known and what was marked. */
  const recalibrate = () => {
    const { settings, items, limit } = inspection;
    if (!settings) return;
    const marked = items.filter(({ label }) => label);
    if (!marked.length) {
      said.textContent = 'Mark some images as good or bad first.';
      return;
    }
    const { found, scores, words } = recalibrated(settings, marked);
    const changed = items.filter(
      ({ score }) => isAnomalousAt(score, limit?.threshold) !== isAnomalousAt(score, found.threshold),
    ).length;
    const { current } = inspection;
    const shift = found.threshold - (limit?.threshold ?? found.threshold);
    const pixel = current?.pixel ?? found;
    inspection.correct({
      image: { ...found, rule: words },
      pixel: { ...pixel, threshold: pixel.threshold + shift, rule: words },
      calibrationScores: scores,
    });
    const moved = `Limit, raw: ${limit?.threshold.toFixed(4) ?? 'none'} → ${found.threshold.toFixed(4)}`;
    const rate = found.evidence ? ` ${falseAlarmText(found.evidence)}` : '';
    said.textContent = `${moved}; ${changed} of ${items.length} verdicts changed.${rate}`;
  };

  /** Lets the model learn the images that were marked as good, and shows their new scores. */
  const fineTune = () =>
    attempt(async () => {
      const { current, items } = inspection;
      const marked = items.filter(({ label }) => label === 'good');
      if (!current || !marked.length) {
        said.textContent = 'Mark some images as good first: fine-tuning learns them.';
        return;
      }
      const files = await Promise.all(
        marked.map(async ({ name, file }) => ({ name, bytes: await file.arrayBuffer() })),
      );
      const before = new Map(marked.map((item) => [item, item.score]));
      tuning = true;
      tune.disabled = true;
      try {
        const { images } = await machine.fineTune(
          files,
          current,
          Comlink.proxy(({ epoch, epochs, remaining }: TrainingProgress) => {
            const left = `${Math.ceil(remaining)} s left`;
            said.textContent = `learning, epoch ${epoch + 1} of ${epochs}, ${left}`;
          }),
        );
        await onTuned();
        const changes = marked.map(
          (item) => `${item.name} ${(before.get(item) as number).toFixed(3)} → ${item.score.toFixed(3)}`,
        );
        said.textContent =
          `Learned from ${images} good images. Raw scores: ${changes.slice(0, 4).join(', ')}. ` +
          'Recalibrate, then save the model.';
      } finally {
        tuning = false;
        tune.disabled = false;
      }
    });

  const undoButton = button('Undo', undo);
  undoButton.title = 'Takes the last mark back (U)';
  undoButton.disabled = true;
  const good = button('This is good', () => mark('good'));
  good.title = 'Marks the shown image as good (G)';
  const bad = button('This is bad', () => mark('bad'));
  bad.title = 'Marks the shown image as bad (B)';
  const tune = button('Fine-tune', fineTune);
  for (const button of [good, bad]) button.disabled = true;
  inspection.onChange(() => {
    undoButton.disabled = !inspection.canUndo;
    for (const button of [good, bad]) button.disabled = !inspection.selected;
    const mode = inspection.current?.mode;
    const keeps = mode !== undefined && methodNamed(mode).learns === 'memory';
    tune.disabled = keeps || tuning;
    tune.title = keeps ? 'This model remembers features: learn it anew with the images in question' : '';
  });

  return {
    card: element(
      'div',
      { className: 'card' },
      element('h2', {}, 'Corrections'),
      element(
        'p',
        { className: 'quiet' },
        'Was the verdict of the shown image wrong? Mark it. Recalibrating draws the limit anew ' +
          'from all scores that are known. Fine-tuning lets the model learn what was marked as good.',
      ),
      element(
        'div',
        { className: 'row' },
        good,
        bad,
        undoButton,
        button('Recalibrate', recalibrate, 'primary'),
        tune,
      ),
      said,
      element('div', { className: 'row' }, button('Save model', saveModel)),
    ),
    mark,
    undo,
  };
}
