/** What is kept of trainings on this device, in a box above the Train view. */
import { ask } from './ask.ts';
import { attempt, training } from './connection.ts';
import { button, element, save } from './dom.ts';
import { copyPath } from './storage.ts';
import type { Kept, TrainingJob } from './types.ts';

export const saveModel = async () => {
  const model = await (await training).model();
  save(model.name, model, 'application/octet-stream');
};

const describe = ({ job, good, bad, finished }: NonNullable<Kept['training']>) =>
  `"${job.name}": ${good} good${bad ? `, ${bad} bad` : ''}, ${job.backbone}, ${job.imageSize} pixels, ` +
  `epochs ${job.epochs.join(' and ')}, ${finished ? 'finished' : 'not finished'}`;

/** @returns whether a new training may take the place of what is kept; the user was told what is lost */
export async function mayReplace({ training: kept }: Kept): Promise<boolean> {
  const unfinished = kept && !kept.finished ? kept.job : undefined;
  if (unfinished) {
    const answer = await ask(
      'A training is not finished',
      `"${unfinished.name}" can still be resumed. ` +
        'A new training takes its place: its images and checkpoints are deleted.',
      ['Delete it and start', 'Keep it'],
    );
    if (answer !== 'Delete it and start') return false;
  }
  return true;
}

const lookMilliseconds = 2000;

export interface KeptBox {
  readonly box: HTMLElement;
  /** Shows what is kept now. */
  show(): Promise<void>;
}

/**
 * @param isRunning whether this tab trains: then the box is hidden
 * @param onElsewhere told whether another tab trains
 */
export function createKeptBox(
  isRunning: () => boolean,
  onElsewhere: (elsewhere: boolean) => void,
  onResume: () => void,
  onModel: (model: File) => Promise<void>,
): KeptBox {
  const box = element('div', { className: 'card', hidden: true });

  const discard = (title: string, text: string, work: () => Promise<void>) =>
    button('Discard', () =>
      attempt(async () => {
        if ((await ask(title, text, ['Delete', 'Keep it'])) !== 'Delete') return;
        await work();
        await show();
      }),
    );
  const modelButtons = (className: string) => [
    button(
      'Inspect with its model',
      () => attempt(async () => onModel(await (await training).model())),
      className,
    ),
    button('Save its model', () => attempt(saveModel)),
  ];
  const discardAll = (job: TrainingJob) =>
    discard(
      'Delete the model?',
      `The model of "${job.name}" and its images are deleted from this device.`,
      async () => (await training).discardAll(),
    );

  const content = ({ elsewhere, training: kept, model }: Kept): HTMLElement[] => {
    if (elsewhere)
      return [
        element('h2', {}, 'Another tab is training'),
        element(
          'p',
          {},
          'What is kept on this device belongs to that tab until its training ends or is paused. ' +
            'This tab can inspect, preview and forecast.',
        ),
      ];
    const parts: HTMLElement[] = [];
    if (kept && !kept.finished)
      parts.push(
        element('h2', {}, 'A training is kept on this device'),
        element('p', {}, describe(kept)),
        element(
          'div',
          { className: 'row' },
          button('Resume', onResume, 'primary'),
          discard(
            'Delete the training?',
            `"${kept.job.name}" can still be resumed. ` +
              'Its images and checkpoints are deleted from this device.',
            async () => (await training).discardTraining(),
          ),
        ),
      );
    if (model)
      parts.push(
        element(
          'h2',
          {},
          kept?.finished ? 'A training is kept on this device' : 'An earlier model is kept on this device',
        ),
        element(
          'p',
          {},
          kept?.finished ? describe(kept) : `"${model.name}", ${model.backbone}, ${model.imageSize} pixels`,
        ),
        element(
          'div',
          { className: 'row' },
          ...modelButtons(kept && !kept.finished ? '' : 'primary'),
          ...(kept && !kept.finished ? [] : [discardAll(model)]),
        ),
      );
    return parts;
  };

  let again: ReturnType<typeof setTimeout> | undefined;
  const show = async () => {
    clearTimeout(again);
    const kept = await (await training).kept();
    // A tab that was closed cannot tell that it is gone.
    if (kept.elsewhere) again = setTimeout(refresh, lookMilliseconds);
    onElsewhere(kept.elsewhere);
    const parts = content(kept);
    box.replaceChildren(...parts);
    box.hidden = isRunning() || !parts.length;
  };

  // Other tabs say when they begin and end.
  const refresh = () => {
    show().catch(() => {});
  };
  new BroadcastChannel(`aand training ${copyPath}`).addEventListener('message', refresh);
  window.addEventListener('focus', refresh);
  document.addEventListener('visibilitychange', () => document.hidden || refresh());
  return { box, show };
}
