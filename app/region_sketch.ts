/**
 * The shape that is being drawn and not done yet: its tool, its corners, and the cross, which pointers and
 * keys move.
 */
import type { RegionPoint } from '../src/data/region.ts';
import { placeOnCanvas } from './region_paint.ts';
import { polygonShape, rectangleShape, type Shape, type ShapeKind, strokeShape } from './region_shapes.ts';
import type { Tool } from './region_tools.ts';

/** Pixels of the screen within which a click closes a polygon. */
const near = 14;
/** Steps of the cross, as shares of the picture: with Shift the longer one. */
const steps = { usual: 0.01, long: 0.05 };

const moves: Readonly<Record<string, RegionPoint>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

const within = (share: number) => Math.min(1, Math.max(0, share));

/** Where a sketch is drawn, and who hears of it. */
export interface SketchPorts {
  readonly canvas: HTMLCanvasElement;
  /** Of the brush, in pixels of the canvas. */
  radius(): number;
  /** Pixels of the canvas for one of the screen. */
  scale(): number;
  /** A shape is whole; undefined: it is too small to be one, or was given up. */
  done(shape: Shape | undefined): void;
  /** The cross or the outline has moved. */
  moved(): void;
  /** A polygon has a corner more or less. */
  corners(): void;
}

/** Listens to the pointer by itself; keys are given to {@link RegionSketch.key}. */
export class RegionSketch {
  kind: ShapeKind = 'inspect';
  readonly #ports: SketchPorts;
  #tool: Tool = 'rectangle';
  #draft: RegionPoint[] = [];
  #cross: RegionPoint | undefined;
  #pressed = false;

  constructor(ports: SketchPorts) {
    this.#ports = ports;
    const { canvas } = ports;
    canvas.addEventListener('pointerdown', (event) => this.#press(event));
    canvas.addEventListener('pointermove', (event) => this.#move(event));
    canvas.addEventListener('pointerup', (event) => {
      if (!this.#pressed) return;
      this.#pressed = false;
      this.#finish(this.#placeOf(event));
    });
    canvas.addEventListener('pointercancel', () => {
      this.#pressed = false;
      this.#commit(undefined);
    });
  }

  get tool(): Tool {
    return this.#tool;
  }

  /** Corners so far; shares of the picture. */
  get draft(): readonly RegionPoint[] {
    return this.#draft;
  }

  /** Where the next corner would be. */
  get cross(): RegionPoint | undefined {
    return this.#cross;
  }

  /** Takes another tool: what was begun with the last one is given up. */
  take(tool: Tool): void {
    this.#tool = tool;
    this.drop();
  }

  /** Gives up what was begun, and tells nobody. */
  drop(): void {
    this.#draft = [];
  }

  closePolygon(): void {
    this.#commit(polygonShape(this.kind, this.#draft));
  }

  /** Takes back the last corner, or a shape that has none yet; false where nothing was begun. */
  stepBack(): boolean {
    if (!this.#draft.length) return false;
    this.#draft = this.#tool === 'polygon' ? this.#draft.slice(0, -1) : [];
    this.#ports.corners();
    return true;
  }

  /** @returns whether the key does something here */
  key(name: string, shift: boolean): boolean {
    const at: RegionPoint = this.#cross ?? [0.5, 0.5];
    if (moves[name]) this.#moveCross(at, moves[name], shift ? steps.long : steps.usual);
    else if (name === 'Enter' && this.#tool === 'polygon' && this.#draft.length > 2) this.closePolygon();
    else if (name === ' ' || name === 'Enter') this.#pressAt(at);
    else if (name === 'Escape' && this.#draft.length) this.#commit(undefined);
    else return false;
    return true;
  }

  #moveCross([x, y]: RegionPoint, [right, down]: RegionPoint, step: number): void {
    this.#cross = [within(x + step * right), within(y + step * down)];
    if (this.#tool === 'stroke' && this.#draft.length) this.#draft.push(this.#cross);
    this.#ports.moved();
  }

  #pressAt(place: RegionPoint): void {
    this.#cross = place;
    if (this.#tool === 'polygon') this.#addCorner(place);
    else if (this.#draft.length) this.#finish(place);
    else {
      this.#draft = [place];
      this.#ports.moved();
    }
  }

  #commit(shape: Shape | undefined): void {
    this.drop();
    this.#ports.done(shape);
  }

  #addCorner(place: RegionPoint): void {
    const { canvas, scale, corners } = this.#ports;
    const [first] = this.#draft;
    if (first && this.#draft.length > 2) {
      const [[x0, y0], [x1, y1]] = [placeOnCanvas(first, canvas), placeOnCanvas(place, canvas)];
      if (Math.hypot(x1 - x0, y1 - y0) <= near * scale()) {
        this.closePolygon();
        return;
      }
    }
    this.#draft = [...this.#draft, place];
    corners();
  }

  #finish(place: RegionPoint): void {
    const [start] = this.#draft;
    if (!start) return;
    const { canvas, radius } = this.#ports;
    this.#commit(
      this.#tool === 'rectangle'
        ? rectangleShape(this.kind, start, place)
        : strokeShape(this.kind, [...this.#draft, place], radius(), canvas),
    );
  }

  #placeOf({ clientX, clientY }: PointerEvent): RegionPoint {
    const { left, top, width, height } = this.#ports.canvas.getBoundingClientRect();
    return [within((clientX - left) / width), within((clientY - top) / height)];
  }

  #press(event: PointerEvent): void {
    if (event.button) return;
    event.preventDefault();
    const { canvas } = this.#ports;
    canvas.focus({ preventScroll: true });
    const place = this.#placeOf(event);
    this.#cross = place;
    if (this.#tool === 'polygon') {
      this.#addCorner(place);
      return;
    }
    canvas.setPointerCapture(event.pointerId);
    this.#pressed = true;
    this.#draft = [place];
    this.#ports.moved();
  }

  #move(event: PointerEvent): void {
    if (!this.#pressed && this.#tool !== 'polygon') return;
    this.#cross = this.#placeOf(event);
    if (this.#pressed && this.#tool === 'stroke') this.#draft.push(this.#cross);
    if (this.#draft.length) this.#ports.moved();
  }
}
