/**
 * Draws the region of interest on a photograph: rectangles, polygons and a brush, inspected or ignored, by
 * mouse, finger or keys. What is shown dark is what a training leaves out, pixel by pixel, by the same rule.
 */
import { type RegionOfInterest, regionPixels } from '../src/data/region.ts';
import { regionFromImage, regionFromText } from '../src/data/region_file.ts';
import { regionText } from '../src/data/region_json.ts';
import { button, choice, element, field, fileButton, save } from './dom.ts';
import { paintDraft, paintRegion } from './region_paint.ts';
import { checkDrawing, type Drawing, drawingOf, regionOf } from './region_shapes.ts';
import { RegionSketch } from './region_sketch.ts';
import { effects, type Tool, tools } from './region_tools.ts';

/** Longer side of the drawn picture, in pixels. */
const longest = 900;

/** A drawing area with its tools. */
export interface RegionEditor {
  readonly element: HTMLElement;
  /** What is drawn; undefined where nothing is: all of the picture is inspected. */
  region(): RegionOfInterest | undefined;
  /** Shows a photograph to draw on; what is drawn stays. */
  show(picture: ImageBitmap): void;
  /** Takes over a region in the place of what is drawn. */
  open(region: RegionOfInterest | undefined): void;
}

let editors = 0;

/**
 * @param onChange told after every change of what is drawn
 * @param onProblem told why a file is no region, or what is drawn cannot be kept
 */
export function createRegionEditor(
  onChange: (region: RegionOfInterest | undefined) => void,
  onProblem: (error: unknown) => void,
): RegionEditor {
  let drawing: Drawing = { shapes: [] };
  let before: Drawing[] = [];
  let picture: ImageBitmap | undefined;

  const hint = element('p', { className: 'quiet', id: `region-hint-${++editors}` });
  const canvas = element('canvas', {
    className: 'drawing',
    width: longest,
    height: (longest * 3) / 4,
    tabIndex: 0,
    aria: { role: 'application', label: 'Part of the picture that is inspected', describedby: hint.id },
  });
  const said = element('p', { aria: { role: 'status' } });
  const list = element('ul', { className: 'shapes' });
  const brush = element('input', { type: 'range', min: '1', max: '15', value: '4' });
  const brushField = field('Width of the brush', brush, 'field brush');
  const context = canvas.getContext('2d') as CanvasRenderingContext2D;

  /** In pixels of the canvas. */
  const radius = () => (Number(brush.value) / 100) * Math.min(canvas.width, canvas.height);
  /** Pixels of the canvas for one of the screen. */
  const scale = () => canvas.width / (canvas.getBoundingClientRect().width || canvas.width);
  const sketch = new RegionSketch({
    canvas,
    radius,
    scale,
    done: (shape) => (shape ? change({ ...drawing, shapes: [...drawing.shapes, shape] }) : show()),
    moved: () => draw(),
    corners() {
      showList();
      draw();
    },
  });

  const drawDraft = () => {
    const { tool, kind, draft, cross } = sketch;
    const focused = document.activeElement === canvas;
    paintDraft(context, { tool, kind, draft, cross, focused, radius: radius(), scale: scale() });
  };

  // What is drawn already changes seldom; a draft changes with every move.
  const settled = new OffscreenCanvas(1, 1);
  const settle = () => {
    settled.width = canvas.width;
    settled.height = canvas.height;
    if (picture) context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    else {
      context.fillStyle = '#39424c';
      context.fillRect(0, 0, canvas.width, canvas.height);
    }
    const region = regionOf(drawing);
    if (region) paintRegion(context, region);
    settled.getContext('2d')?.drawImage(canvas, 0, 0);
    drawDraft();
  };
  const draw = () => {
    context.drawImage(settled, 0, 0);
    drawDraft();
  };

  const describe = () => {
    const region = regionOf(drawing);
    const { width, height } = canvas;
    const share = region ? regionPixels(region, width, height).reduce((sum, on) => sum + on, 0) : 0;
    const percent = (100 * share) / (width * height);
    said.className = region && !share ? 'bad-text' : '';
    said.textContent = !region
      ? 'All of the picture is inspected.'
      : share
        ? `${percent < 1 ? percent.toFixed(1) : percent.toFixed(0)} % of the picture is inspected.`
        : 'Nothing is left to inspect: undo, or ignore less.';
  };

  const names: Readonly<Record<Tool, string>> = {
    rectangle: 'rectangle',
    polygon: 'polygon',
    stroke: 'brush stroke',
  };
  const showList = () => {
    const entry = (text: string, remove: Drawing) =>
      element(
        'li',
        {},
        text,
        element(
          'button',
          { type: 'button', onclick: () => change(remove), aria: { label: `Remove: ${text}` } },
          'Remove',
        ),
      );
    list.replaceChildren(
      ...(drawing.mask ? [entry('Mask from a file', { shapes: drawing.shapes })] : []),
      ...drawing.shapes.map((shape, i) =>
        entry(`${shape.kind === 'inspect' ? 'Inspected' : 'Ignored'} ${names[shape.form]} ${i + 1}`, {
          ...drawing,
          shapes: drawing.shapes.filter((_, other) => other !== i),
        }),
      ),
    );
    const { tool, draft } = sketch;
    undo.disabled = !before.length && !draft.length;
    clear.disabled = !drawing.shapes.length && !drawing.mask;
    keep.disabled = clear.disabled;
    close.hidden = tool !== 'polygon' || draft.length < 3;
  };

  const show = () => {
    settle();
    describe();
    showList();
  };

  const change = (next: Drawing, remember = true) => {
    try {
      checkDrawing(next);
    } catch (error) {
      sketch.drop();
      show();
      return onProblem(error);
    }
    if (remember) before = [...before.slice(-100), drawing];
    drawing = next;
    sketch.drop();
    show();
    onChange(regionOf(drawing));
  };

  const stepBack = () => {
    if (sketch.stepBack()) return;
    const last = before.pop();
    if (last) change(last, false);
  };

  canvas.addEventListener('blur', draw);
  canvas.addEventListener('keydown', (event) => {
    const back = event.key === 'Backspace' || (event.key === 'z' && (event.ctrlKey || event.metaKey));
    if (back) stepBack();
    if (back || sketch.key(event.key, event.shiftKey)) event.preventDefault();
  });

  const load = async ([file]: File[]) => {
    if (!file) return;
    try {
      const bytes = new Uint8Array(await file.arrayBuffer());
      const isText = file.type === 'application/json' || /\.json$/i.test(file.name);
      change(drawingOf(isText ? regionFromText(bytes, file.name) : await regionFromImage(bytes, file.name)));
    } catch (error) {
      onProblem(error);
    }
  };
  const saveRegion = () => {
    const region = regionOf(drawing);
    if (region) save('region.json', new TextEncoder().encode(regionText(region)), 'application/json');
  };

  const undo = button('Undo', stepBack);
  const clear = button('Clear all', () => change({ shapes: [] }));
  const close = button('Close the polygon', () => sketch.closePolygon(), 'primary');
  const keep = button('Save region', saveRegion);
  const toolChoice = choice(
    'Tool',
    tools.map(({ tool: value, name }) => ({ value, name })),
    (chosen) => {
      sketch.take(chosen);
      hint.textContent = tools.find((one) => one.tool === chosen)?.hint ?? '';
      brushField.hidden = chosen !== 'stroke';
      show();
    },
  );
  const kindChoice = choice(
    'Effect',
    effects.map(({ kind: value, name }) => ({ value, name })),
    (chosen) => {
      sketch.kind = chosen;
      draw();
    },
  );
  const whole = element(
    'div',
    { className: 'region' },
    kindChoice.group,
    toolChoice.group,
    brushField,
    canvas,
    hint,
    said,
    element(
      'div',
      { className: 'row' },
      close,
      undo,
      clear,
      fileButton('Load region', '.json,image/*', false, load),
      keep,
    ),
    list,
  );
  toolChoice.choose(sketch.tool);
  kindChoice.choose(sketch.kind);

  return {
    element: whole,
    region: () => regionOf(drawing),
    show(bitmap) {
      picture?.close();
      picture = bitmap;
      // Small pictures too: lines are drawn in pixels of the canvas.
      const enlarged = longest / Math.max(bitmap.width, bitmap.height);
      canvas.width = Math.max(1, Math.round(bitmap.width * enlarged));
      canvas.height = Math.max(1, Math.round(bitmap.height * enlarged));
      show();
    },
    open(region) {
      before = [];
      drawing = drawingOf(region);
      show();
    },
  };
}
