/** Inspect: a model, images or the camera, heat maps with a threshold that moves, corrections. */
import * as Comlink from 'comlink';
import type { DetectorSettings } from '../src/detector/file.ts';
import { type Calibration, isAnomalous, normalizeScore } from '../src/eval/thresholds.ts';
import type { ColourMapName } from './colour_maps.ts';
import { attempt, machine, showProblem } from './connection.ts';
import { acceptDrops, button, element, field, fileButton, isImageFile, save } from './dom.ts';
import { drawLegend, drawOverlay } from './heat_map.ts';
import { recalibrated } from './recalibrate.ts';
import { explainSpot } from './spot.ts';
import type { MapResult, TrainingProgress } from './types.ts';

interface Item {
  readonly name: string;
  readonly file: File | undefined;
  readonly bitmap: ImageBitmap;
  result: MapResult;
  label: 'good' | 'bad' | undefined;
}

type SortKey = 'name' | 'score' | 'verdict';

export function createInspectView(root: HTMLElement) {
  let settings: DetectorSettings | undefined;
  let threshold: Calibration = { threshold: 1, min: 0, max: 2, rule: '' };
  let items: Item[] = [];
  let selected: Item | undefined;
  // What was begun with another model, or before newer files came, stops where it is.
  let generation = 0;
  // The sample of the demo model makes room for the user's own images.
  let showingDemo = false;
  let camera: MediaStream | undefined;
  let sort: { key: SortKey; down: boolean } = { key: 'score', down: true };

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
  const table = element('tbody');
  const corrections = element('p', { className: 'quiet', aria: { role: 'status' } });

  const colourMap = () => colours.value as ColourMapName;
  /** The pixels' scale moves with the threshold, so that its middle colour stays at the line. */
  const pixel = (): Calibration => ({ ...(settings?.pixel ?? threshold), threshold: pixelThreshold() });
  const pixelThreshold = () =>
    (settings?.pixel.threshold ?? 0) + threshold.threshold - (settings?.image.threshold ?? 0);

  const draw = (item = selected) => {
    drawLegend(legendCanvas, colourMap());
    const p = pixel();
    const range = p.max - p.min;
    [1, 0.5, 0].forEach((value, i) => {
      (legendTexts[i] as HTMLElement).textContent = (p.threshold + (value - 0.5) * range).toFixed(2);
    });
    if (!item) return;
    const { result, bitmap } = item;
    const map = { values: result.map, width: result.width, height: result.height };
    drawOverlay(canvas, bitmap, bitmap, map, { pixel: p, colours: colourMap(), opacity: Number(opacity.value) / 100 });
    const bad = isAnomalous(result.score, threshold);
    verdict.textContent = bad ? 'Anomalous' : 'Good';
    verdict.className = `verdict ${bad ? 'bad' : 'good'}`;
    const { decode, detect } = result.milliseconds;
    details.textContent = `${item.name}: score ${normalizeScore(result.score, threshold).toFixed(3)} (raw ${result.score.toFixed(4)}); decoding ${decode.toFixed(0)} ms, detecting ${detect.toFixed(0)} ms`;
  };

  const sorted = () => {
    const by: Record<SortKey, (a: Item, b: Item) => number> = {
      name: (a, b) => a.name.localeCompare(b.name),
      score: (a, b) => a.result.score - b.result.score,
      verdict: (a, b) =>
        Number(isAnomalous(a.result.score, threshold)) - Number(isAnomalous(b.result.score, threshold)),
    };
    return [...items].sort((a, b) => by[sort.key](a, b) * (sort.down ? -1 : 1));
  };

  const list = () => {
    table.replaceChildren(
      ...sorted().map((item) => {
        const bad = isAnomalous(item.result.score, threshold);
        const row = element(
          'tr',
          { className: item === selected ? 'selected' : '' },
          element(
            'td',
            { className: 'name' },
            button(item.name, () => choose(item)),
          ),
          element('td', {}, normalizeScore(item.result.score, threshold).toFixed(3)),
          element('td', { className: bad ? 'bad-text' : 'good-text' }, bad ? 'anomalous' : 'good'),
          element('td', {}, item.label ? `marked ${item.label}` : ''),
        );
        return row;
      }),
    );
    const bad = items.filter(({ result }) => isAnomalous(result.score, threshold)).length;
    count.textContent = items.length ? `${items.length} images, ${bad} anomalous` : 'no images';
  };

  const choose = (item: Item) => {
    selected = item;
    spot.replaceChildren();
    draw();
    list();
  };

  const setThreshold = (value: number, rule: string) => {
    threshold = { ...threshold, threshold: value, rule };
    slider.value = String(Math.round((1000 * (value - low())) / (high() - low())));
    thresholdText.textContent = `${value.toFixed(4)} (${rule})`;
    draw();
    list();
  };
  // The slider reaches beyond the calibration's scores on both sides.
  const low = () => threshold.min - 0.25 * (threshold.max - threshold.min || 1);
  const high = () => threshold.max + 0.25 * (threshold.max - threshold.min || 1);

  const dropDemo = () => {
    if (!showingDemo) return;
    showingDemo = false;
    items = [];
    selected = undefined;
  };

  const openModel = async (bytes: ArrayBuffer, name: string) => {
    generation++;
    settings = await machine.openModel(Comlink.transfer(bytes, [bytes]), name);
    const { backbone, mode, imageSize, training } = settings;
    threshold = settings.image;
    modelLine.textContent = `${name}: ${String(training.category ?? training.name ?? '')} ${backbone}, ${mode}, ${imageSize} pixels`;
    setThreshold(threshold.threshold, threshold.rule);
    const files = items.map(({ file }) => file).filter((file) => file !== undefined);
    items = [];
    selected = undefined;
    await inspectFiles(files);
  };

  const inspectFiles = async (files: readonly File[]) => {
    const model = files.find(({ name }) => name.endsWith('.safetensors'));
    if (model) await openModel(await model.arrayBuffer(), model.name);
    const images = files.filter(isImageFile);
    if (!images.length) {
      if (!model && files.length)
        showProblem('None of these files is an image (png, jpg, bmp, webp) or a model (.safetensors).');
      return;
    }
    const own = generation;
    if (!settings) throw new Error('Open a model first: drop a .safetensors file of aand train or of the Train view.');
    for (const [i, file] of images.entries()) {
      count.textContent = `inspecting ${i + 1} of ${images.length}`;
      try {
        const bytes = await file.arrayBuffer();
        const bitmap = await createImageBitmap(file);
        const result = await machine.predict(Comlink.transfer(bytes, [bytes]), file.name);
        if (own !== generation) return;
        items.push({ name: file.name, file, bitmap, result, label: undefined });
        choose(items.at(-1) as Item);
      } catch (error) {
        showProblem(error);
      }
    }
    list();
  };

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
    const before = threshold.threshold;
    const changed = items.filter(
      ({ result }) => isAnomalous(result.score, threshold) !== isAnomalous(result.score, found),
    ).length;
    settings = { ...settings, calibrationScores: scores };
    threshold = found;
    setThreshold(found.threshold, words);
    corrections.textContent = `Threshold ${before.toFixed(4)} → ${found.threshold.toFixed(4)}; ${changed} of ${items.length} verdicts changed.`;
  };

  /** Lets the model learn the images that were marked as good; what it thinks of them now is shown. */
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
            corrections.textContent = `learning, epoch ${epoch + 1} of ${epochs}, ${Math.ceil(remaining)} s left`;
          }),
        );
        for (const item of items) {
          if (!item.file) continue;
          const bytes = await item.file.arrayBuffer();
          item.result = await machine.predict(Comlink.transfer(bytes, [bytes]), item.name);
        }
        const changes = marked.map(
          ({ name, result }) => `${name} ${(before.get(name) as number).toFixed(3)} → ${result.score.toFixed(3)}`,
        );
        corrections.textContent = `Learned from ${images} good images. Raw scores: ${changes.slice(0, 4).join(', ')}. Recalibrate, then save the model.`;
        draw();
        list();
      } finally {
        tune.disabled = false;
      }
    });

  const downloadModel = () =>
    attempt(async () => {
      if (!settings) throw new Error('no model is open');
      const pixelCalibration = { ...pixel(), rule: threshold.rule };
      const bytes = await machine.modelFile({ ...settings, image: threshold, pixel: pixelCalibration });
      save('model.safetensors', bytes as Uint8Array<ArrayBuffer>, 'application/octet-stream');
    });

  const downloadCsv = () => {
    const rows = items.map(({ name, result, label }) =>
      [
        `"${name.replaceAll('"', '""')}"`,
        result.score,
        normalizeScore(result.score, threshold),
        isAnomalous(result.score, threshold) ? 'anomalous' : 'good',
        label ?? '',
      ].join(','),
    );
    save('scores.csv', `${['name,raw_score,pred_score,pred_label,marked', ...rows].join('\n')}\n`, 'text/csv');
  };

  const downloadPicture = () =>
    canvas.toBlob((blob) => blob && save(`${selected?.name ?? 'camera'}-heat.png`, blob, 'image/png'));

  canvas.addEventListener('click', (event) =>
    attempt(async () => {
      if (!selected?.file) return;
      const box = canvas.getBoundingClientRect();
      const scale = Math.min(box.width / canvas.width, box.height / canvas.height);
      const x = (event.clientX - box.left - (box.width - canvas.width * scale) / 2) / (canvas.width * scale);
      const y = (event.clientY - box.top - (box.height - canvas.height * scale) / 2) / (canvas.height * scale);
      if (x < 0 || y < 0 || x >= 1 || y >= 1) return;
      spot.replaceChildren(...(await explainSpot(selected.file, selected.result, { x, y }, pixel(), colourMap())));
    }),
  );

  const stopCamera = () => {
    for (const track of camera?.getTracks() ?? []) track.stop();
    camera = undefined;
    cameraButton.textContent = 'Camera';
  };

  const toggleCamera = () =>
    attempt(async () => {
      if (camera) return stopCamera();
      if (!settings) throw new Error('Open a model first.');
      camera = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
      cameraButton.textContent = 'Stop camera';
      const video = element('video', { muted: true, playsInline: true, srcObject: camera });
      await video.play();
      let frames = 0;
      const started = performance.now();
      while (camera) {
        const bitmap = await createImageBitmap(video);
        const frame = await createImageBitmap(bitmap);
        const result = await machine.predict(Comlink.transfer(frame, [frame]), 'camera');
        frames++;
        selected?.file ?? selected?.bitmap.close();
        selected = { name: 'camera', file: undefined, bitmap, result, label: undefined };
        draw();
        const fps = frames / ((performance.now() - started) / 1000);
        details.textContent = `${fps.toFixed(1)} frames per second; ${details.textContent ?? ''}`;
      }
    }).finally(stopCamera);

  const tune = button('Fine-tune', fineTune);
  const cameraButton = button('Camera', toggleCamera);
  const count = element('p', { className: 'quiet', aria: { role: 'status' } }, 'no images');
  const heading = (text: string, key: SortKey) => {
    const cell = element('th', { scope: 'col' });
    const update = () =>
      cell.setAttribute('aria-sort', sort.key !== key ? 'none' : sort.down ? 'descending' : 'ascending');
    cell.append(
      button(text, () => {
        sort = { key, down: sort.key === key ? !sort.down : key === 'score' };
        for (const other of headings) other.update();
        list();
      }),
    );
    return { cell, update };
  };
  const headings = [heading('image', 'name'), heading('score', 'score'), heading('verdict', 'verdict')];

  const receive = (files: File[]) => {
    if (!files.length) return;
    if (showingDemo) generation++;
    dropDemo();
    return attempt(() => inspectFiles(files));
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
      fileButton('Open model', '.safetensors', false, receive),
      cameraButton,
      button('Save picture', downloadPicture),
    ),
    spot,
  );
  acceptDrops(root, receive);
  opacity.addEventListener('input', () => draw());
  colours.addEventListener('change', () => draw());
  slider.addEventListener('input', () =>
    setThreshold(low() + (Number(slider.value) / 1000) * (high() - low()), 'set by hand'),
  );
  root.append(
    element(
      'div',
      { className: 'columns' },
      left,
      element(
        'div',
        {},
        element(
          'div',
          { className: 'card' },
          element('h2', {}, 'Model and view'),
          modelLine,
          field('Threshold', element('div', {}, slider, thresholdText)),
          field('Opacity of the heat map', opacity),
          field('Colours', colours),
        ),
        element(
          'div',
          { className: 'card' },
          element('h2', {}, 'Images'),
          count,
          element(
            'div',
            { className: 'scroll', tabIndex: 0, aria: { role: 'region', label: 'Inspected images' } },
            element(
              'table',
              {},
              element(
                'thead',
                {},
                element('tr', {}, ...headings.map(({ cell }) => cell), element('th', { scope: 'col' }, 'marked')),
              ),
              table,
            ),
          ),
          element('div', { className: 'row' }, button('Save table (CSV)', downloadCsv)),
        ),
        element(
          'div',
          { className: 'card' },
          element('h2', {}, 'Corrections'),
          element(
            'p',
            { className: 'quiet' },
            'Was the verdict of the shown image wrong? Mark it. Recalibrating draws the threshold anew from all scores that are known; fine-tuning lets the model learn what was marked as good.',
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
  for (const { update } of headings) update();
  drawLegend(legendCanvas, 'jet');

  return {
    async openModel(bytes: ArrayBuffer, name: string): Promise<void> {
      dropDemo();
      await openModel(bytes, name);
    },
    /** The model that comes with the page, where it was built with one. */
    async openDemo(): Promise<void> {
      const contents = await fetch('contents.json').then(
        (answer) => (answer.ok ? (answer.json() as Promise<{ demo: boolean }>) : { demo: false }),
        () => ({ demo: false }),
      );
      if (!contents.demo) {
        modelLine.textContent = 'No model yet: open one of aand train, or learn a product in the Train view.';
        return;
      }
      const own = generation;
      const answer = await fetch('demo.safetensors');
      const bytes = await answer.arrayBuffer();
      // The user was faster.
      if (own !== generation || settings) return;
      showingDemo = true;
      await attempt(() => openModel(bytes, 'demo model'));
      await attempt(async () => {
        if (!showingDemo) return;
        const sample = await fetch('demo.png');
        await inspectFiles([new File([await sample.blob()], 'demo.png')]);
      });
    },
  };
}
