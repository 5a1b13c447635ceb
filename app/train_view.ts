/**
 * Train: photographs of good parts (and bad ones), a look at what will be learned, the training, its result.
 */
import * as Comlink from 'comlink';
import { ask } from './ask.ts';
import { attempt, showProblem, training } from './connection.ts';
import { acceptDrops, button, element, fileButton, isImageFile } from './dom.ts';
import { pixelCanvas } from './heat_map.ts';
import { createKeptBox, mayReplace } from './kept_box.ts';
import { createRecorder } from './recorder.ts';
import { createRegionBox } from './region_box.ts';
import { minutes } from './time.ts';
import { summaryOf } from './train_choices.ts';
import { createTrainForm } from './train_form.ts';
import { createProgress } from './train_progress.ts';
import { showResult } from './train_result.ts';
import type { ChosenImage, TrainingResult } from './types.ts';

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

  const summary = element('p', { className: 'quiet', aria: { role: 'status' } });
  const forecast = element('p', { className: 'quiet forecast', aria: { role: 'status' } });
  const preview = element('div');
  const result = element('div');
  const regionBox = createRegionBox({
    photographs: () => [...good.values()],
    noPhotograph: 'Choose good photographs first.',
    purpose:
      'Leave out what is no part of the product: the background, a clamp, a label that always differs. ' +
      'Draw it once: it holds for every photograph, so the part should lie in the same place.',
  });
  const progressCard = element('div', { className: 'card', hidden: true });
  const resultCard = element('div', { className: 'card', hidden: true });
  const progress = createProgress();
  const hints = element(
    'div',
    { className: 'card hints' },
    element('h2', {}, 'Photographs that teach well'),
    element(
      'ul',
      {},
      ...[
        'Good parts only: whatever is in them counts as good later.',
        'The same camera, distance, place and light as on the line.',
        'All that may differ between good parts: batches, tools, directions.',
        'Fifty or more; twenty are a start. Each new one makes the limit surer.',
        'Bad parts, where you have some: they are not learned, they show what is found.',
      ].map((text) => element('li', {}, text)),
    ),
  );

  const chosen = () => ({ good: good.size, bad: bad.size });
  const form = createTrainForm(
    () => refresh(),
    (text) => {
      forecast.textContent = text;
    },
  );
  const job = () => {
    const region = regionBox.region();
    return { ...form.job(chosen()), ...(region && { region }) };
  };

  const refresh = () => {
    summary.textContent = summaryOf({ ...chosen(), folds: form.folds(chosen()) });
    form.adapt(chosen());
    regionBox.refresh();
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

  const recorder = createRecorder({
    add: (files) => take(good, files),
    remove: (files) => {
      for (const [key, file] of good) if (files.includes(file)) good.delete(key);
      refresh();
    },
  });

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
        ...(anomalies.length
          ? [element('h3', {}, 'Made-up defects that it learns from'), sheet(anomalies)]
          : []),
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
            // What the worker says of its progress may come after its answer.
            if (trying) forecast.textContent = text;
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
    resultCard.scrollIntoView({ block: 'nearest' });
  };

  const run = (work: () => Promise<TrainingResult>) =>
    attempt(async () => {
      running = true;
      refresh();
      kept.box.hidden = true;
      progressCard.hidden = false;
      hints.hidden = true;
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
          'Paused. It waits on this device at its last checkpoint, without epochs at its beginning, even ' +
            'if the page is closed.',
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
          recorder,
          summary,
          form.name,
          form.choices,
          regionBox.element,
          form.experts,
          element('div', { className: 'row' }, start, estimate, look),
          forecast,
          preview,
        ),
      ),
      element('div', {}, hints, resultCard, progressCard),
    ),
  );
  progressCard.append(
    element('h2', {}, 'Training'),
    ...progress.above,
    element('div', { className: 'row' }, pause, cancel),
    ...progress.below,
  );
  resultCard.append(element('h2', {}, 'Result'), result);
  refresh();
  const restore = async () => {
    await form.restoreTeachers();
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
