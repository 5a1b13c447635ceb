/** Inspect: a model, images, heat maps with a threshold that moves, corrections. */
import * as Comlink from 'comlink';
import type { DetectorSettings } from '../src/detector/settings.ts';
import { falseAlarmText } from '../src/eval/false_alarms.ts';
import { type Calibration, isAnomalous, normalizeScore } from '../src/eval/thresholds.ts';
import type { ColourMapName } from './colour_maps.ts';
import { advice, attempt, machine, showProblem } from './connection.ts';
import { acceptDrops, button, element, field, fileButton, isImageFile, save } from './dom.ts';
import { createDriftNotice } from './drift_notice.ts';
import { drawLegend, drawOverlay } from './heat_map.ts';
import { createImageTable, type Item } from './image_table.ts';
import type { LineModel } from './line_view.ts';
import { recalibrated } from './recalibrate.ts';
import { explainSpot } from './spot.ts';
import type { MapResult, OpeningProgress, TrainingProgress } from './types.ts';

/** Told how a model is opened: the first screen shows it. */
export interface OpeningHooks {
  /** What is being done; a share from 0 to 1 where it is known. */
  opening(text: string, share?: number): void;
  /** Images that wait for a model. */
  waiting(count: number): void;
  opened(): void;
}

export function createInspectView(root: HTMLElement, hooks: OpeningHooks) {
  let settings: DetectorSettings | undefined;
  /** Null for a model without a threshold: raw scores, no verdicts. */
  let threshold: Calibration | null = null;
  let items: Item[] = [];
  let selected: Item | undefined;
  // The image that was chosen last: decoding takes a moment.
  let wanted: Item | undefined;
  // The selected image alone is kept decoded: a folder of photographs would fill the memory.
  let picture: ImageBitmap | undefined;
  // Work that was begun with another model, or before newer files came, stops where it is.
  let generation = 0;
  // The demo model's sample goes when the user opens images of their own.
  let showingDemo = false;
  // Fine-tuned since it was opened.
  let tuned = false;
  // Images that wait for their turn, or for a model.
  let todo: File[] = [];
  let opening = false;
  let inspecting = false;

  const canvas = element('canvas', { aria: { role: 'img', label: 'image with heat map' } });
  const legendCanvas = element('canvas', { aria: { role: 'img', label: 'colour scale' } });
  const legendTexts = [element('span'), element('span'), element('span')] as const;
  const verdict = element('p', { className: 'verdict', aria: { role: 'status' } }, 'No image yet');
  const details = element('p', { className: 'quiet' }, 'Drop images here, or a model file (.safetensors).');
  const spot = element('div');
  const modelLine = element('p', { className: 'quiet' }, 'no model');
  const opacity = element('input', { type: 'range', min: '0', max: '100', value: '50', id: 'opacity' });
  const slider = element('input', { type: 'range', min: '0', max: '1000', value: '500', id: 'threshold' });
  const thresholdText = element('output');
  thresholdText.htmlFor.add('threshold');
  const colours = element(
    'select',
    { id: 'colours' },
    ...['jet', 'turbo', 'inferno', 'viridis'].map((name) => element('option', { value: name }, name)),
  );
  const table = createImageTable((item) => attempt(() => choose(item)));
  const drift = createDriftNotice();
  const corrections = element('p', { className: 'quiet', aria: { role: 'status' } });

  const colourMap = () => colours.value as ColourMapName;
  /** The pixels' scale moves with the threshold, so that its middle colour stays at the line. */
  const pixel = (): Calibration | null => {
    if (!threshold) return null;
    const { image, pixel } = settings ?? {};
    const moved = threshold.threshold + (image && pixel ? pixel.threshold - image.threshold : 0);
    return { ...(pixel ?? threshold), threshold: moved };
  };
  /** The calibration that the colours follow: without a threshold the range of the shown map. */
  const scale = (item: Item | undefined): Calibration => {
    const top = item?.result.map.reduce((a, b) => Math.max(a, b), 1e-6) ?? 1;
    return pixel() ?? { threshold: top / 2, min: 0, max: top, rule: 'the range of this map' };
  };

  const draw = (item = selected) => {
    drawLegend(legendCanvas, colourMap());
    const p = scale(item);
    const range = p.max - p.min;
    [1, 0.5, 0].forEach((value, i) => {
      (legendTexts[i] as HTMLElement).textContent = (p.threshold + (value - 0.5) * range).toFixed(2);
    });
    if (!item || !picture) return;
    const { result } = item;
    const map = { values: result.map, width: result.width, height: result.height };
    drawOverlay(canvas, picture, picture, map, {
      pixel: p,
      colours: colourMap(),
      opacity: Number(opacity.value) / 100,
    });
    const bad = isAnomalous(result.score, threshold);
    verdict.textContent = bad === null ? 'No threshold' : bad ? 'Anomalous' : 'Good';
    verdict.className = bad === null ? 'verdict' : `verdict ${bad ? 'bad' : 'good'}`;
    const { decode, detect } = result.milliseconds;
    const normalized = normalizeScore(result.score, threshold);
    const raw = `raw ${result.score.toFixed(4)}`;
    const score = normalized === null ? raw : `score ${normalized.toFixed(3)} (${raw})`;
    const times = `decoding ${decode.toFixed(0)} ms, detecting ${detect.toFixed(0)} ms`;
    details.textContent = `${item.name}: ${score}; ${times}`;
  };

  const list = () => table.show(items, selected, threshold);

  const dropPicture = () => {
    picture?.close();
    picture = undefined;
    selected = undefined;
  };

  const showPicture = (item: Item, bitmap: ImageBitmap) => {
    dropPicture();
    picture = bitmap;
    selected = item;
    draw();
  };

  const choose = async (item: Item) => {
    if (!item.file) return;
    wanted = item;
    const bitmap = await createImageBitmap(item.file);
    // Another image was chosen meanwhile, or the list is a new one.
    if (wanted !== item || !items.includes(item)) return bitmap.close();
    showPicture(item, bitmap);
    spot.replaceChildren();
    list();
  };

  /** Ends of the slider, beyond the calibration's scores on both sides. */
  const ends = ({ min, max }: Calibration): readonly [number, number] => {
    const margin = 0.25 * (max - min || 1);
    return [min - margin, max + margin];
  };

  const setThreshold = (calibration: Calibration | null) => {
    threshold = calibration;
    slider.disabled = !calibration;
    if (calibration) {
      const { threshold: value, rule } = calibration;
      const [low, high] = ends(calibration);
      slider.value = String(Math.round((1000 * (value - low)) / (high - low)));
      thresholdText.textContent = `${value.toFixed(4)} (${rule})`;
    } else
      thresholdText.textContent =
        'none: this model is not calibrated, scores are raw. ' +
        'Inspect some images, mark them below as good or bad and recalibrate.';
    draw();
    list();
  };

  const dropDemo = () => {
    if (!showingDemo) return;
    showingDemo = false;
    items = [];
    todo = [];
    dropPicture();
  };

  const sayOpening = (text: string, share?: number) => {
    modelLine.textContent = text;
    hooks.opening(text, share);
  };

  const openModel = async (bytes: ArrayBuffer, name: string) => {
    const before = modelLine.textContent;
    opening = true;
    try {
      sayOpening(`Reading ${name}…`);
      settings = await machine.openModel(
        Comlink.transfer(bytes, [bytes]),
        name,
        Comlink.proxy(({ stage, fraction }: OpeningProgress) => {
          const doing = stage === 'compiling' ? 'Compiling for this device' : 'First run';
          sayOpening(`${doing}, ${Math.floor(100 * fraction)} %`, fraction);
        }),
      );
    } catch (error) {
      modelLine.textContent = before;
      // The model from before inspects what came meanwhile.
      opening = false;
      void attemptRest();
      throw error;
    }
    opening = false;
    generation++;
    tuned = false;
    const { backbone, mode, imageSize, training } = settings;
    const product = String(training.category ?? training.name ?? '');
    modelLine.textContent = `${name}: ${product} ${backbone}, ${mode}, ${imageSize} pixels`;
    hooks.opened();
    setThreshold(settings.image);
    drift.watch(settings);
    todo = [...items.flatMap(({ file }) => file ?? []), ...todo];
    items = [];
    dropPicture();
    await inspectRest();
  };

  const inspectFiles = async (files: readonly File[]) => {
    const models = files.filter(({ name }) => /\.(safetensors|pth|pt|ckpt|onnx)$/i.test(name));
    const images = files.filter(isImageFile);
    const [model] = models;
    if (models.length > 1) throw new Error(`These are ${models.length} models: open one at a time.`);
    if (!models.length && !images.length) {
      if (files.length === 1)
        showProblem(
          `"${files[0]?.name}" is neither an image (png, jpg, bmp, webp) nor a model (.safetensors).`,
        );
      else if (files.length)
        showProblem('None of these files is an image (png, jpg, bmp, webp) or a model (.safetensors).');
      return;
    }
    todo.push(...images);
    if (model) return openModel(await model.arrayBuffer(), model.name);
    if (settings && !opening) return inspectRest();
    table.say(`${todo.length} images wait for the model`);
    hooks.waiting(todo.length);
  };

  /** Inspects what waits, one after the other. What comes meanwhile is taken too. */
  const inspectRest = async () => {
    if (inspecting) return;
    inspecting = true;
    const failed: string[] = [];
    let done = 0;
    try {
      while (todo.length && !opening) {
        const [file] = todo as [File];
        const own = generation;
        table.say(`inspecting ${++done} of ${done - 1 + todo.length}`);
        try {
          const bytes = await file.arrayBuffer();
          const result = await machine.predict(Comlink.transfer(bytes, [bytes]), file.name);
          // Another model judges it again, and other images have taken its place.
          if (own !== generation) continue;
          todo.shift();
          items.push({ name: file.name, file, result, label: undefined });
          drift.add(result.score);
          await choose(items.at(-1) as Item);
        } catch (error) {
          if (todo[0] === file) todo.shift();
          failed.push(advice(error));
        }
      }
    } finally {
      inspecting = false;
    }
    list();
    if (opening) table.say(`${todo.length} images wait for the model`);
    if (failed.length)
      showProblem(
        failed.length === 1
          ? failed[0]
          : `${failed.length} of ${done} images failed: ` +
              `${failed.slice(0, 5).join('; ')}${failed.length > 5 ? '; …' : ''}`,
      );
  };
  const attemptRest = () => attempt(() => (settings ? inspectRest() : Promise.resolve()));

  const mark = (label: Item['label']) => {
    if (!selected) return;
    selected.label = label;
    list();
  };

  /** A new threshold from what is known and what was marked. */
  const recalibrate = () => {
    if (!settings) return;
    const marked = items.filter(({ label }) => label);
    if (!marked.length) {
      corrections.textContent = 'Mark some images as good or bad first.';
      return;
    }
    const { found, scores, words } = recalibrated(settings, marked);
    const before = threshold?.threshold.toFixed(4) ?? 'none';
    const changed = items.filter(
      ({ result }) => isAnomalous(result.score, threshold) !== isAnomalous(result.score, found),
    ).length;
    settings = { ...settings, calibrationScores: scores };
    setThreshold({ ...found, rule: words });
    if (!tuned) drift.watch(settings);
    const moved = `Threshold ${before} → ${found.threshold.toFixed(4)}`;
    const rate = found.evidence ? ` ${falseAlarmText(found.evidence)}` : '';
    corrections.textContent = `${moved}; ${changed} of ${items.length} verdicts changed.${rate}`;
  };

  /** Lets the model learn the images that were marked as good, and shows their new scores. */
  const fineTune = () =>
    attempt(async () => {
      const marked = items.filter(({ label, file }) => label === 'good' && file);
      if (!settings || !marked.length) {
        corrections.textContent = 'Mark some images as good first: fine-tuning learns them.';
        return;
      }
      const files = await Promise.all(
        marked.map(async ({ name, file }) => ({ name, bytes: await (file as File).arrayBuffer() })),
      );
      const before = new Map(items.map(({ name, result }) => [name, result.score]));
      tune.disabled = true;
      try {
        const { images } = await machine.fineTune(
          files,
          { ...settings, image: threshold, pixel: pixel() },
          Comlink.proxy(({ epoch, epochs, remaining }: TrainingProgress) => {
            const left = `${Math.ceil(remaining)} s left`;
            corrections.textContent = `learning, epoch ${epoch + 1} of ${epochs}, ${left}`;
          }),
        );
        // The calibration's scores are of the model before it.
        tuned = true;
        drift.watch(undefined);
        for (const item of items) {
          if (!item.file) continue;
          const bytes = await item.file.arrayBuffer();
          item.result = await machine.predict(Comlink.transfer(bytes, [bytes]), item.name);
        }
        const changes = marked.map(
          ({ name, result }) =>
            `${name} ${(before.get(name) as number).toFixed(3)} → ${result.score.toFixed(3)}`,
        );
        corrections.textContent =
          `Learned from ${images} good images. Raw scores: ${changes.slice(0, 4).join(', ')}. ` +
          'Recalibrate, then save the model.';
        draw();
        list();
      } finally {
        tune.disabled = false;
      }
    });

  const downloadModel = () =>
    attempt(async () => {
      if (!settings) throw new Error('no model is open');
      const p = pixel();
      const pixelCalibration = threshold && p && { ...p, rule: threshold.rule };
      const bytes = await machine.modelFile({ ...settings, image: threshold, pixel: pixelCalibration });
      save('model.safetensors', bytes as Uint8Array<ArrayBuffer>, 'application/octet-stream');
    });

  const downloadPicture = () =>
    canvas.toBlob((blob) => blob && save(`${selected?.name ?? 'camera'}-heat.png`, blob, 'image/png'));

  const explain = (at: { readonly x: number; readonly y: number }) =>
    attempt(async () => {
      if (!selected?.file) return;
      spot.replaceChildren(
        ...(await explainSpot(selected.file, selected.result, at, scale(selected), colourMap())),
      );
    });

  canvas.addEventListener('click', (event) => {
    const box = canvas.getBoundingClientRect();
    const scale = Math.min(box.width / canvas.width, box.height / canvas.height);
    const x = (event.clientX - box.left - (box.width - canvas.width * scale) / 2) / (canvas.width * scale);
    const y = (event.clientY - box.top - (box.height - canvas.height * scale) / 2) / (canvas.height * scale);
    if (x >= 0 && y >= 0 && x < 1 && y < 1) explain({ x, y });
  });

  /** The same without a pointer. */
  const explainPeak = () => {
    if (!selected) return;
    const { map, width, height } = selected.result;
    const peak = map.reduce((best, value, i) => (value > (map[best] as number) ? i : best), 0);
    explain({ x: ((peak % width) + 0.5) / width, y: (Math.floor(peak / width) + 0.5) / height });
  };

  const tune = button('Fine-tune', fineTune);

  const receive = (files: File[]) => {
    if (!files.length) return;
    if (showingDemo) generation++;
    dropDemo();
    return attempt(() => inspectFiles(files));
  };
  /** Whatever was chosen as a model is tried as one, whatever its name. */
  const receiveModel = ([model]: File[]) => {
    if (!model) return;
    dropDemo();
    return attempt(async () => openModel(await model.arrayBuffer(), model.name));
  };
  const stage = element(
    'div',
    { className: 'stage' },
    canvas,
    element('div', { className: 'legend' }, legendCanvas, element('div', {}, ...legendTexts)),
  );
  const left = element(
    'div',
    { className: 'card' },
    stage,
    element('div', { className: 'row' }, verdict),
    details,
    element(
      'div',
      { className: 'row' },
      fileButton('Open images', 'image/*', true, receive),
      fileButton('Open model', '.safetensors', false, receiveModel),
      button('Explain the peak', explainPeak),
      button('Save picture', downloadPicture),
    ),
    spot,
  );
  acceptDrops(root, receive);
  opacity.addEventListener('input', () => draw());
  colours.addEventListener('change', () => draw());
  slider.addEventListener('input', () => {
    if (!threshold) return;
    const [low, high] = ends(threshold);
    // What was known of the old threshold's false alarms does not hold for this one.
    const { evidence: _, ...scale } = threshold;
    setThreshold({
      ...scale,
      threshold: low + (Number(slider.value) / 1000) * (high - low),
      rule: 'set by hand',
    });
  });
  root.append(
    element(
      'div',
      { className: 'columns' },
      left,
      element(
        'div',
        {},
        drift.card,
        element(
          'div',
          { className: 'card' },
          element('h2', {}, 'Model and view'),
          modelLine,
          field('Threshold', element('div', {}, slider, thresholdText)),
          field('Opacity of the heat map', opacity),
          field('Colours', colours),
        ),
        table.card,
        element(
          'div',
          { className: 'card' },
          element('h2', {}, 'Corrections'),
          element(
            'p',
            { className: 'quiet' },
            'Was the verdict of the shown image wrong? Mark it. Recalibrating draws the threshold anew ' +
              'from all scores that are known. Fine-tuning lets the model learn what was marked as good.',
          ),
          element(
            'div',
            { className: 'row' },
            button('This is good', () => mark('good')),
            button('This is bad', () => mark('bad')),
            button('Recalibrate', recalibrate, 'primary'),
            tune,
          ),
          corrections,
          element('div', { className: 'row' }, button('Save model', downloadModel)),
        ),
      ),
    ),
  );
  drawLegend(legendCanvas, 'jet');

  return {
    /** The open model with the threshold as it is set. */
    model(): LineModel | undefined {
      return settings && { settings, image: threshold, pixel: pixel() };
    },
    /** Takes over a picture that was judged elsewhere in the page, and shows it. */
    async takeJudged(file: File, result: MapResult): Promise<void> {
      dropDemo();
      const known = items.find((item) => item.file === file);
      const item = known ?? { name: file.name, file, result, label: undefined };
      if (!known) items.push(item);
      await choose(item);
    },
    async openModel(model: File): Promise<void> {
      dropDemo();
      await openModel(await model.arrayBuffer(), model.name);
    },
    /** The model that comes with the page, and its pictures: they go when the user opens others. */
    async openDemo(model: File, pictures: readonly File[]): Promise<void> {
      await openModel(await model.arrayBuffer(), 'demo model');
      showingDemo = true;
      await inspectFiles(pictures);
    },
  };
}
