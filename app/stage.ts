/** The inspected image on its stage: layers that are switched, zoom and pan, the clicked spot, colour bar. */

import { drawLegend } from '../src/eval/canvas.ts';
import { type ColourMapName, colourMapNames } from '../src/eval/colour_maps.ts';
import { coloursOf } from '../src/eval/heat_map.ts';
import type { Scale } from '../src/eval/marks.ts';
import { button, element, field } from './dom.ts';
import { type Layers, makePainting, type Painting, paint, paintSpot } from './paint.ts';
import type { MapResult } from './types.ts';
import { type Point, panned, placeAt, placed, type View, wholeImage, zoomedAt } from './zoom.ts';

const zoomStep = 1.25;
// A pointer that moved less has clicked, in CSS pixels.
const clickReach = 5;

const isColour = (name: unknown): name is ColourMapName => colourMapNames.some((known) => known === name);

/** A button that is on or off. */
function toggle(text: string, title: string, onChange: () => void) {
  const made = button(text, () => {
    set(!isOn());
    onChange();
  });
  made.title = title;
  const isOn = () => made.getAttribute('aria-pressed') === 'true';
  const set = (on: boolean) => made.setAttribute('aria-pressed', String(on));
  set(true);
  return { button: made, isOn, set };
}

/** @param onSpot told the place of the image that was clicked, 0 to 1 */
export function createStage(onSpot: (at: Point) => void, onLayers: () => void) {
  let shown: { readonly picture: ImageBitmap; readonly result: MapResult } | undefined;
  let scale: Scale | null = null;
  let painting: Painting | undefined;
  let view: View = wholeImage;
  let spot: Point | undefined;
  let drawing = false;

  const canvas = element('canvas', {
    tabIndex: 0,
    aria: { role: 'img', label: 'image with heat map' },
  });
  const legendCanvas = element('canvas', { aria: { role: 'img', label: 'colours from 0 to 1' } });
  const legendTexts = [element('span'), element('span'), element('span')] as const;
  const opacity = element('input', { type: 'range', min: '0', max: '100', value: '50', id: 'opacity' });
  const colours = element(
    'select',
    { id: 'colours' },
    ...colourMapNames.map((name) => element('option', { value: name }, name)),
  );
  const heat = toggle('Heat map', 'Show or hide the heat map (H)', () => changed());
  const outline = toggle('Outline', 'Show or hide the outline of what is marked (O)', () => changed());
  const original = toggle('Original', 'The photograph as it is (P)', () => {
    for (const layer of [heat, outline]) layer.set(!original.isOn());
    changed();
  });
  original.set(false);
  const zoomText = element('output', { className: 'zoom' }, '100 %');

  const layers = (): Layers => ({
    heat: heat.isOn(),
    outline: outline.isOn(),
    opacity: Number(opacity.value) / 100,
    colours: isColour(colours.value) ? colours.value : 'jet',
  });
  const box = () => ({ width: canvas.clientWidth || 1, height: canvas.clientHeight || 1 });

  const draw = () => {
    drawing = false;
    if (!shown || !painting) return;
    const dense = window.devicePixelRatio || 1;
    const { width, height } = box();
    canvas.width = Math.round(width * dense);
    canvas.height = Math.round(height * dense);
    const context = canvas.getContext('2d') as CanvasRenderingContext2D;
    const place = placed(view, box(), shown.picture);
    const dots = { scale: place.scale * dense, left: place.left * dense, top: place.top * dense };
    paint(context, painting, layers(), dots, dense);
    if (spot) paintSpot(context, spot, shown.picture, dots, dense);
    zoomText.textContent = `${Math.round(100 * view.zoom)} %`;
    canvas.classList.toggle('zoomed', view.zoom > 1);
  };
  const redraw = () => {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(draw);
  };

  const drawBar = () => {
    drawLegend(legendCanvas, layers().colours);
    const by = shown && coloursOf(shown.result, scale);
    const texts = [1, 0.5, 0].map((value) => {
      if (!by || scale) return value === 0.5 ? '0.5 limit' : String(value);
      return `${(by.threshold + (value - 0.5) * (by.max - by.min)).toFixed(2)} raw`;
    });
    for (const [i, span] of legendTexts.entries()) span.textContent = texts[i] ?? '';
  };

  /** Everything but the view has changed. */
  const repaint = () => {
    drawBar();
    painting = shown && makePainting(shown.picture, shown.result, scale, layers().colours);
    redraw();
  };

  const changed = () => {
    original.set(!heat.isOn() && !outline.isOn());
    redraw();
    onLayers();
  };
  opacity.addEventListener('input', changed);
  colours.addEventListener('change', () => {
    repaint();
    onLayers();
  });

  const zoom = (factor: number, at: Point = { x: box().width / 2, y: box().height / 2 }) => {
    if (!shown) return;
    view = zoomedAt(view, factor, at, box(), shown.picture);
    redraw();
  };
  const pan = (by: Point) => {
    if (!shown) return;
    view = panned(view, by, box(), shown.picture);
    redraw();
  };
  const whole = () => {
    view = wholeImage;
    redraw();
  };

  const within = (event: MouseEvent): Point => {
    const { left, top } = canvas.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };
  canvas.addEventListener(
    'wheel',
    (event) => {
      // The whole image cannot get smaller: the page scrolls.
      if (!shown || (view.zoom <= 1 && event.deltaY > 0)) return;
      event.preventDefault();
      const pixels = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? event.deltaY : 30 * event.deltaY;
      // A pinch on a touch pad comes as a wheel with the control key, in small steps.
      zoom(Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.0015)), within(event));
    },
    { passive: false },
  );

  const pointers = new Map<number, Point>();
  let moved = 0;
  canvas.addEventListener('pointerdown', (event) => {
    if (event.button > 0) return;
    if (!pointers.size) moved = 0;
    pointers.set(event.pointerId, within(event));
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = within(event);
    const by = { x: now.x - before.x, y: now.y - before.y };
    const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    moved += Math.hypot(by.x, by.y);
    pointers.set(event.pointerId, now);
    if (other) {
      const distance = (at: Point) => Math.max(1, Math.hypot(at.x - other.x, at.y - other.y));
      zoom(distance(now) / distance(before), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
      pan({ x: by.x / 2, y: by.y / 2 });
    } else if (view.zoom > 1) pan(by);
  });
  canvas.addEventListener('pointerup', (event) => {
    const single = pointers.size === 1;
    if (!pointers.delete(event.pointerId) || !single || moved > clickReach || !shown) return;
    const at = placeAt(view, within(event), box(), shown.picture);
    if (at) onSpot(at);
  });
  canvas.addEventListener('pointercancel', (event) => pointers.delete(event.pointerId));
  new ResizeObserver(redraw).observe(canvas);

  const part = 40;
  const keys: Readonly<Record<string, () => void>> = {
    '+': () => zoom(zoomStep),
    '=': () => zoom(zoomStep),
    '-': () => zoom(1 / zoomStep),
    '0': whole,
    h: () => heat.button.click(),
    o: () => outline.button.click(),
    p: () => original.button.click(),
    'shift ArrowLeft': () => pan({ x: part, y: 0 }),
    'shift ArrowRight': () => pan({ x: -part, y: 0 }),
    'shift ArrowUp': () => pan({ x: 0, y: part }),
    'shift ArrowDown': () => pan({ x: 0, y: -part }),
  };

  const zoomButton = (text: string, label: string, onclick: () => void) => {
    const made = button(text, onclick);
    made.title = label;
    made.setAttribute('aria-label', label);
    return made;
  };
  drawBar();

  return {
    stage: element(
      'div',
      { className: 'stage' },
      canvas,
      element('div', { className: 'legend' }, legendCanvas, element('div', {}, ...legendTexts)),
    ),
    toolbar: element(
      'div',
      { className: 'row toolbar', aria: { role: 'toolbar', label: 'What is shown' } },
      element('div', { className: 'group' }, original.button, heat.button, outline.button),
      element(
        'div',
        { className: 'group' },
        zoomButton('−', 'Zoom out (-)', () => zoom(1 / zoomStep)),
        zoomText,
        zoomButton('+', 'Zoom in (+)', () => zoom(zoomStep)),
        zoomButton('Fit', 'Fit the whole image (0)', whole),
      ),
    ),
    fields: [field('Opacity of the heat map', opacity), field('Colours', colours)],
    canvas,
    /** Shows an image, by the scale of its model. The zoom stays, so that images can be compared. */
    show(picture: ImageBitmap, result: MapResult, by: Scale | null): void {
      const { width, height } = picture;
      if (shown?.picture.width !== width || shown.picture.height !== height) view = wholeImage;
      shown = { picture, result };
      scale = by;
      canvas.style.aspectRatio = `${width} / ${height}`;
      repaint();
    },
    /** The limit or the model's scale has changed. */
    rescale(by: Scale | null): void {
      scale = by;
      repaint();
    },
    clear(): void {
      shown = undefined;
      painting = undefined;
      spot = undefined;
      canvas.getContext('2d')?.clearRect(0, 0, canvas.width, canvas.height);
      drawBar();
    },
    /** Marks a place of the shown image; undefined takes the mark away. */
    markSpot(at: Point | undefined): void {
      spot = at;
      redraw();
    },
    layers,
    /** Layers as they were kept. */
    setLayers(kept: Partial<Layers>): void {
      if (kept.heat !== undefined) heat.set(kept.heat);
      if (kept.outline !== undefined) outline.set(kept.outline);
      if (typeof kept.opacity === 'number') opacity.value = String(Math.round(100 * kept.opacity));
      if (isColour(kept.colours)) colours.value = kept.colours;
      original.set(!heat.isOn() && !outline.isOn());
      repaint();
    },
    get painting(): Painting | undefined {
      return painting;
    },
    /** @returns whether the key was one of the stage's */
    onKey({ key, shiftKey }: Pick<KeyboardEvent, 'key' | 'shiftKey'>): boolean {
      const work = keys[shiftKey && key.startsWith('Arrow') ? `shift ${key}` : key.toLowerCase()];
      if (key.startsWith('Arrow') && !shiftKey) return false;
      work?.();
      return work !== undefined;
    },
  };
}
