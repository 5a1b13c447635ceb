/**
 * Train: photographs of good parts (and bad ones), a look at what will be learned, the training, its result.
 */
import * as Comlink from 'comlink';
import { foregroundHelp } from '../src/data/foreground.ts';
import { epochsFor, leftOutParts, withCopies } from '../src/session/training_defaults.ts';
import { ask } from './ask.ts';
import { attempt, showProblem, training } from './connection.ts';
import { acceptDrops, button, element, field, fileButton, isImageFile } from './dom.ts';
import { pixelCanvas } from './heat_map.ts';
import { createKeptBox, mayReplace } from './kept_box.ts';
import { minutes } from './time.ts';
import { copiesOf, differences, summaryOf, usual } from './train_choices.ts';
import { createProgress } from './train_progress.ts';
import { showResult } from './train_result.ts';
import {
  type ChosenImage,
  packagedTeachers,
  type TeacherFacts,
  type TrainingJob,
  type TrainingResult,
} from './types.ts';

export function createTrainView(root: HTMLElement, onModel: (model: File) => Promise<void>) {
  const good = new Map<string, File>();
  const bad = new Map<string, File>();
  const clears = new Map<Map<string, File>, HTMLButtonElement>();
  let running = false;
  // Whether the page has a device to compute on.
  let device = true;
  // Another tab of this page trains.
  let elsewhere = false;
  // The device is tried out for a forecast.
  let trying = false;

  const number = (value: string, min: string, step: string) =>
    element('input', { type: 'number', value, min, step });
  const name = element('input', { type: 'text', value: 'my product' });
  const imageSize = number('128', '32', '32');
  const batch = number(String(usual.batch), '1', '1');
  const epochs = usual.epochs.map((count) => number(String(count), '1', '1'));
  // Numbers that a person has typed stay as they are.
  const typed = new Set<HTMLInputElement>();
  const kinds = differences.map(({ kind, text, hint }) => ({
    kind,
    box: element('input', { type: 'checkbox' }),
    text,
    hint,
  }));
  const robust = element('input', { type: 'checkbox' });
  const foreground = element(
    'select',
    {},
    ...['none', 'otsu-bright', 'otsu-dark', 'disc', 'rectangle'].map((rule) =>
      element('option', { value: rule }, rule),
    ),
  );
  let teacherList: readonly TeacherFacts[] = packagedTeachers;
  const teacher = element('select');
  const mode = element(
    'select',
    {},
    element('option', { value: 'aand' }, 'AAND, both stages'),
    element('option', { value: 'rd' }, 'RD4AD, faster'),
  );

  const summary = element('p', { className: 'quiet', aria: { role: 'status' } });
  const copies = element('p', { className: 'quiet', aria: { role: 'status' } });
  const forecast = element('p', { className: 'quiet forecast', aria: { role: 'status' } });
  const preview = element('div');
  const result = element('div');
  const progressCard = element('div', { className: 'card', hidden: true });
  const resultCard = element('div', { className: 'card', hidden: true });
  const progress = createProgress();

  const augment = () => kinds.flatMap(({ kind, box }) => (box.checked ? [kind] : []));
  // Where there are bad images too, the threshold comes from both.
  const leaveOut = () => (bad.size ? 0 : leftOutParts(good.size));
  const chosenTeacher = () => teacherList[teacher.selectedIndex] ?? (packagedTeachers[0] as TeacherFacts);
  const job = (): TrainingJob => ({
    name: name.value,
    backbone: chosenTeacher().backbone,
    teacher: chosenTeacher().source,
    imageSize: Number(imageSize.value),
    batch: Number(batch.value),
    epochs: epochs.map((input) => Number(input.value)) as [number, number],
    foreground: foreground.value,
    mode: mode.value as TrainingJob['mode'],
    seed: 0,
    augment: augment(),
    ...(robust.checked && { robust: true }),
    leaveOut: leaveOut(),
  });

  const refresh = () => {
    summary.textContent = summaryOf({ good: good.size, bad: bad.size, leaveOut: leaveOut() });
    copies.textContent = copiesOf(good.size, augment());
    const learned = augment().length ? withCopies(Math.max(1, good.size)) : Math.max(1, good.size);
    const { epochs: adapted } = usual;
    const wanted = good.size
      ? epochsFor(learned, { epochs: adapted, batch: Math.max(1, Number(batch.value)) })
      : adapted;
    for (const [i, input] of epochs.entries()) if (!typed.has(input)) input.value = String(wanted[i]);
    const usable = good.size > 0 && !running && device;
    look.disabled = !usable || trying;
    estimate.disabled = !usable;
    estimate.textContent = trying ? 'Stop trying' : 'Forecast';
    start.disabled = !usable || elsewhere || trying;
    for (const [list, clear] of clears) clear.disabled = !list.size;
    for (const control of [pause, cancel]) control.disabled = !running;
  };

  const take = (list: Map<string, File>, files: readonly File[]) => {
    for (const file of files.filter(isImageFile)) {
      // Files of several folders may share a name.
      let key = file.name;
      for (let i = 2; list.has(key); i++) key = `${i}-${file.name}`;
      list.set(key, file);
    }
    refresh();
  };

  const drop = (title: string, kind: 'good' | 'bad', list: Map<string, File>) => {
    const clear = button(`Clear ${kind}`, () => {
      list.clear();
      refresh();
    });
    clears.set(list, clear);
    const area = element(
      'div',
      { className: 'drop' },
      element('h2', {}, title),
      element(
        'div',
        { className: 'row' },
        fileButton('Choose', 'image/*', true, (files) => take(list, files)),
        clear,
      ),
      element('p', { className: 'quiet' }, 'or drop images or a folder here'),
    );
    acceptDrops(area, (files) => take(list, files));
    return area;
  };

  const showTeachers = (chosen?: TeacherFacts) => {
    teacher.replaceChildren(
      ...teacherList.map(({ backbone, source }) => element('option', {}, `${backbone} (${source})`)),
    );
    teacher.selectedIndex = teacherList.findIndex(
      (t) => t.backbone === chosen?.backbone && t.source === chosen.source,
    );
    if (teacher.selectedIndex < 0) teacher.selectedIndex = 0;
  };

  const loadTeacher = (files: readonly File[]) =>
    attempt(async () => {
      const [file] = files;
      if (!file) return;
      forecast.textContent = `reading ${file.name}…`;
      const trainer = await training;
      const add = async (replace: boolean) => {
        const bytes = await file.arrayBuffer();
        return trainer.addTeacher(file.name, Comlink.transfer(bytes, [bytes]), replace);
      };
      try {
        let loaded = await add(false);
        if (loaded.replaces !== undefined) {
          forecast.textContent = '';
          const text =
            `"${loaded.replaces}" is kept as the ${loaded.backbone} teacher of this page. ` +
            'A training that was begun with it cannot be resumed without it.';
          if ((await ask('Replace the teacher?', text, ['Replace it', 'Keep it'])) !== 'Replace it') return;
          loaded = await add(true);
        }
        teacherList = await trainer.teachers();
        showTeachers(loaded);
        forecast.textContent = `${file.name} is a ${loaded.backbone} and stays on this device.`;
      } catch (error) {
        forecast.textContent = '';
        throw error;
      }
    });

  const showPreview = () =>
    attempt(async () => {
      const trainer = await training;
      const files = await someGood(8);
      const { side, foregrounds, anomalies, share } = await trainer.preview(job(), files);
      const sheet = (pictures: readonly Uint8Array[]) =>
        element('div', { className: 'sheet' }, ...pictures.map((pixels) => pixelCanvas(pixels, side, side)));
      preview.replaceChildren(
        element(
          'h3',
          {},
          `Foreground: ${(100 * share).toFixed(0)} % of the images (dark parts are left out)`,
        ),
        sheet(foregrounds),
        element('h3', {}, 'Synthetic anomalies that stage I learns from'),
        sheet(anomalies),
      );
    });

  /** Bytes of a few good photographs. */
  const someGood = (count: number) =>
    Promise.all(
      [...good].slice(0, count).map(async ([key, file]) => ({ name: key, bytes: await file.arrayBuffer() })),
    );

  const showForecast = () =>
    attempt(async () => {
      const trainer = await training;
      if (trying) return trainer.pause();
      trying = true;
      refresh();
      try {
        forecast.textContent = 'trying out this device: compiling…';
        const images = { good: good.size, bad: bad.size, some: await someGood(3) };
        const { bytes, seconds, advice } = await trainer.forecast(
          job(),
          images,
          Comlink.proxy((share: number) => {
            const text = `trying out this device: compiling and first steps, ${Math.floor(100 * share)} %`;
            forecast.textContent = text;
          }),
        );
        const memory = `About ${(bytes / 2 ** 20).toFixed(0)} MiB of GPU memory`;
        const time = seconds === undefined ? '' : ` and ${minutes(seconds)}`;
        forecast.textContent = Number.isFinite(bytes) ? `${memory}${time}. ${advice}` : advice;
      } catch (error) {
        forecast.textContent = '';
        if (!/interrupted/i.test((error as Error).message)) throw error;
      } finally {
        trying = false;
        refresh();
      }
    });

  const finish = (done: TrainingResult) => {
    resultCard.hidden = false;
    showResult(result, done, onModel);
  };

  const run = (work: () => Promise<TrainingResult>) =>
    attempt(async () => {
      running = true;
      refresh();
      kept.box.hidden = true;
      progressCard.hidden = false;
      resultCard.hidden = true;
      progress.start();
      try {
        finish(await work());
        progress.done('Done.');
      } catch (error) {
        if (!/interrupted/i.test((error as Error).message)) {
          progress.say('Stopped.');
          throw error;
        }
        progress.say(
          'Paused after the last finished epoch. It waits on this device, even if the page is closed.',
        );
      }
    }).finally(async () => {
      progress.stop();
      running = false;
      refresh();
      await kept.show().catch(showProblem);
    });

  const begin = () =>
    attempt(async () => {
      const trainer = await training;
      if (!(await mayReplace(await trainer.kept()))) return;
      // Firefox asks the user; the training does not wait for the answer.
      navigator.storage.persist?.().catch(() => {});
      const images: ChosenImage[] = [
        ...[...good].map(([name, file]) => ({ kind: 'good' as const, name, file })),
        ...[...bad].map(([name, file]) => ({ kind: 'bad' as const, name, file })),
      ];
      await run(() => trainer.begin(job(), images, Comlink.proxy(progress.callbacks)));
    });

  const resume = () => run(async () => (await training).resume(Comlink.proxy(progress.callbacks)));

  const kept = createKeptBox(
    () => running,
    (held) => {
      elsewhere = held;
      refresh();
    },
    resume,
    onModel,
  );

  const start = button('Start training', begin, 'primary');
  const look = button('Preview', showPreview);
  const estimate = button('Forecast', showForecast);
  const pause = button('Pause', () => attempt(async () => (await training).pause()));
  const cancel = button('Cancel and discard', () =>
    attempt(async () => {
      const text =
        'The training stops. Its images and checkpoints are deleted from this device. ' +
        'An earlier model stays.';
      if ((await ask('Delete the training?', text, ['Delete', 'Go on'])) !== 'Delete') return;
      await (await training).discardTraining();
      progressCard.hidden = true;
      await kept.show();
    }),
  );
  foreground.title = foregroundHelp;
  teacher.title =
    "What the student learns to imitate. torchvision's ImageNet weights (resnet18-f37072fd.pth, " +
    'wide_resnet50_2-95faca4d.pth) find more than the packaged ones.';

  root.append(
    kept.box,
    element(
      'div',
      { className: 'columns' },
      element(
        'div',
        {},
        element(
          'div',
          { className: 'card' },
          element(
            'div',
            { className: 'fields' },
            drop('Good parts', 'good', good),
            drop('Bad parts (optional)', 'bad', bad),
          ),
          summary,
          field('Name', name),
          element(
            'fieldset',
            { className: 'choices' },
            element('legend', {}, 'What differs between good parts?'),
            ...kinds.map(({ box, text, hint }) =>
              element('label', {}, box, element('span', {}, text, element('small', {}, hint))),
            ),
            element(
              'label',
              {},
              robust,
              element(
                'span',
                {},
                'Light and camera will change later',
                element('small', {}, 'learned under other light and from other places: takes longer'),
              ),
            ),
            copies,
          ),
          element(
            'details',
            {},
            element('summary', {}, 'Settings for experts'),
            element(
              'div',
              { className: 'fields' },
              field('Teacher', teacher, 'field wide'),
              field('Image size', imageSize),
              field('Batch', batch),
              ...epochs.map((input, i) => field(`Epochs, stage ${'I'.repeat(i + 1)}`, input)),
              field('Foreground', foreground),
              field('Method', mode, 'field wide'),
            ),
            element(
              'div',
              { className: 'row' },
              fileButton('Load teacher weights', '.pth,.pt,.safetensors', false, loadTeacher),
            ),
          ),
          element('div', { className: 'row' }, start, estimate, look),
          forecast,
          preview,
        ),
      ),
      element('div', {}, progressCard, resultCard),
    ),
  );
  progressCard.append(
    element('h2', {}, 'Training'),
    ...progress.above,
    element('div', { className: 'row' }, pause, cancel),
    ...progress.below,
  );
  resultCard.append(element('h2', {}, 'Result'), result);
  for (const input of epochs)
    input.addEventListener('input', () => (input.value ? typed.add(input) : typed.delete(input)));
  for (const input of epochs) input.addEventListener('change', refresh);
  batch.addEventListener('input', refresh);
  for (const { box } of kinds) box.addEventListener('change', refresh);
  refresh();
  showTeachers();
  const restore = async () => {
    teacherList = await (await training).teachers();
    showTeachers();
    await kept.show();
  };
  // Without storage there is nothing to restore.
  restore().catch(() => {});
  return {
    /** There is no device to compute on: what needs one is not offered. */
    withoutDevice(): void {
      device = false;
      refresh();
    },
  };
}
