/**
 * On the line: the camera's pictures are judged when a trigger asks for it. A sign says OK or NOK, also on
 * the whole screen and with a sound; counters, the trend of the scores, a log, and a list of what was judged.
 */
import * as Comlink from 'comlink';
import type { DetectorSettings } from '../src/detector/settings.ts';
import type { Scale } from '../src/eval/marks.ts';
import { isAnomalous, normalizeScore } from '../src/eval/thresholds.ts';
import { ask } from './ask.ts';
import { attempt, machine, showProblem } from './connection.ts';
import { button, element, field } from './dom.ts';
import { createDriftNotice } from './drift_notice.ts';
import { type Judged, pictureName } from './judged.ts';
import { createJudgedList } from './judged_list.ts';
import { createLineCamera } from './line_camera.ts';
import { createLogCard } from './log_card.ts';
import { createOperatorScreen } from './operator_screen.ts';
import { Sounds } from './sounds.ts';
import { startTrigger, type Trigger, type TriggerKind, triggerTexts } from './triggers.ts';
import type { MapResult } from './types.ts';

/** The model that is open, with the limit that the user set. */
export interface LineModel {
  readonly settings: DetectorSettings;
  /** Null: not calibrated, there are no verdicts. */
  readonly scale: Scale | null;
}

export interface LinePorts {
  model(): LineModel | undefined;
  /** Shows a judged picture where it can be marked and explained. */
  inspect(picture: File, result: MapResult): Promise<void>;
}

const tooSlow = 'Judging takes longer than the time between two triggers: some parts were not judged.';

export function createLineView(root: HTMLElement, ports: LinePorts) {
  const screen = createOperatorScreen();
  const drift = createDriftNotice();
  const sounds = new Sounds();
  const log = createLogCard();
  const list = createJudgedList(({ picture, frame }) =>
    attempt(async () => ports.inspect(await picture, frame.result)),
  );
  const notice = element('p', { className: 'quiet', aria: { role: 'status' } });
  const sound = element('input', { type: 'checkbox' });
  const seconds = element('input', { type: 'number', value: '2', min: '0.2', step: '0.1' });
  const trigger = element(
    'select',
    {},
    ...Object.entries(triggerTexts).map(([value, text]) => element('option', { value }, text)),
  );
  let number = 0;
  // What was judged with another model is not counted together.
  let settings: DetectorSettings | undefined;
  let busy = false;
  let running: Trigger | undefined;

  const reset = () => {
    number = 0;
    screen.reset();
    list.clear();
  };

  const show = (frame: Judged, picture: OffscreenCanvas, model: LineModel) => {
    const blob = picture.convertToBlob({ type: 'image/png' });
    const file = blob.then((data) => new File([data], pictureName(frame), { type: 'image/png' }));
    // Whoever uses it says what went wrong.
    file.catch(() => {});
    screen.show(frame, picture, model.scale);
    list.add({ frame, picture: file, thumbnail: picture });
    log.add(frame, blob);
    if (sound.checked && frame.anomalous !== null) sounds.verdict(frame.anomalous);
  };

  /** Judges what the camera sees now. */
  const judge = async () => {
    const stream = camera.stream();
    const model = ports.model();
    if (!stream || !model) return;
    if (busy) {
      notice.textContent = tooSlow;
      return;
    }
    busy = true;
    try {
      if (settings !== model.settings) {
        settings = model.settings;
        reset();
        drift.watch(settings);
      }
      const time = new Date();
      const picture = stream.capture();
      const bitmap = await createImageBitmap(picture);
      const result = await machine.predict(Comlink.transfer(bitmap, [bitmap]), 'the picture of the camera');
      number++;
      const limit = model.scale?.score ?? null;
      const score = normalizeScore(result.score, limit);
      show({ number, time, result, score, anomalous: isAnomalous(result.score, limit) }, picture, model);
      drift.addFrame(result.score);
    } catch (error) {
      camera.stop();
      showProblem(error);
    } finally {
      busy = false;
    }
  };

  const restartTrigger = () => {
    running?.stop();
    const stream = camera.stream();
    notice.textContent = '';
    pause.hidden = trigger.value !== 'interval';
    running = stream
      ? startTrigger(trigger.value as TriggerKind, stream.video, {
          seconds: Math.max(0.2, Number(seconds.value) || 2),
          judge,
        })
      : undefined;
    now.disabled = !stream || trigger.value === 'always';
    emptyPlace.hidden = running?.setEmpty === undefined;
  };

  const pause = field('Seconds between two', seconds);
  const now = button('Judge now', () => void judge(), 'primary');
  const emptyPlace = button('The place is empty now', () => {
    running?.setEmpty?.();
    notice.textContent = 'What the camera sees now is not judged: the place without a part.';
  });
  const camera = createLineCamera({
    allowed: () => {
      if (!ports.model()) throw new Error('Open a model first, in the Inspect view.');
      sounds.open();
    },
    changed: restartTrigger,
  });
  const zero = button('Counters to zero', () =>
    attempt(async () => {
      const text = 'The list of judged pictures is emptied too. What is in the log and its folder stays.';
      if ((await ask('Set the counters to zero?', text, ['Set to zero', 'Keep them'])) === 'Set to zero')
        reset();
    }),
  );

  trigger.addEventListener('change', restartTrigger);
  seconds.addEventListener('change', restartTrigger);
  document.addEventListener('keydown', (event) => {
    const { target } = event;
    const own = target instanceof HTMLElement && target.closest('button, input, select, a, dialog, summary');
    if (event.key !== ' ' || root.hidden || own || now.disabled) return;
    event.preventDefault();
    if (!event.repeat) void judge();
  });

  root.append(
    element(
      'div',
      { className: 'columns' },
      element(
        'div',
        {},
        screen.card,
        element('div', { className: 'row' }, now, button('Full screen', screen.fill), zero),
        notice,
        drift.card,
        list.card,
      ),
      element(
        'div',
        {},
        camera.card,
        element(
          'div',
          { className: 'card' },
          element('h2', {}, 'When to judge'),
          field('A picture is judged by', trigger),
          pause,
          element('div', { className: 'row' }, emptyPlace),
          element('label', { className: 'row' }, sound, 'Sound for each verdict'),
        ),
        log.card,
      ),
    ),
  );
  restartTrigger();
}
