/** Photographs of good parts from the camera: as long as a button is held, pictures are taken. */
import { type CameraStream, openCameraStream } from './camera_stream.ts';
import { attempt, showProblem } from './connection.ts';
import { button, element } from './dom.ts';
import { greyReader } from './grey_reader.ts';
import { stampOf } from './judged.ts';
import { difference } from './stillness.ts';

const picturesPerSecond = 4;
/** A picture that differs less from the last one shows nothing new. */
const leastDifference = 4;
const lines = 720;

export interface RecorderPorts {
  add(files: readonly File[]): void;
  /** Takes back what was added. */
  remove(files: readonly File[]): void;
}

export function createRecorder({ add, remove }: RecorderPorts): HTMLElement {
  let stream: CameraStream | undefined;
  let read: () => Uint8Array = () => new Uint8Array();
  let last: Uint8Array | undefined;
  let clock: ReturnType<typeof setInterval> | undefined;
  // Pictures since the button was pressed.
  let series: File[] = [];
  let skipped = 0;
  const view = element('div', { className: 'camera' });
  const words = element('p', { className: 'quiet', aria: { role: 'status' } });

  const say = () => {
    const idle = skipped ? `, ${skipped} left out: they showed nothing new` : '';
    words.textContent = `${series.length} photographs taken${idle}. Turn or change the part meanwhile.`;
    undo.disabled = !series.length;
  };

  const take = () =>
    attempt(async () => {
      if (!stream) return;
      const grey = read();
      if (last && difference(grey, last) < leastDifference) {
        skipped++;
        return say();
      }
      last = grey;
      const name = `camera ${stampOf(new Date())}.png`;
      const data = await stream.capture().convertToBlob({ type: 'image/png' });
      const file = new File([data], name, { type: 'image/png' });
      series.push(file);
      add([file]);
      say();
    });

  const press = () => {
    if (clock !== undefined) return;
    series = [];
    skipped = 0;
    last = undefined;
    take();
    clock = setInterval(take, 1000 / picturesPerSecond);
  };
  const release = () => {
    clearInterval(clock);
    clock = undefined;
  };

  const hold = button('Hold to photograph', () => {}, 'primary');
  hold.addEventListener('pointerdown', (event) => {
    hold.setPointerCapture(event.pointerId);
    press();
  });
  for (const end of ['pointerup', 'pointercancel', 'blur'] as const) hold.addEventListener(end, release);
  hold.addEventListener('keydown', (event) => {
    if (event.key !== ' ' && event.key !== 'Enter') return;
    event.preventDefault();
    if (!event.repeat) press();
  });
  hold.addEventListener('keyup', release);
  const undo = button('Take these back', () => {
    remove(series);
    series = [];
    say();
  });

  const close = (reason?: string) => {
    release();
    stream = undefined;
    view.replaceChildren();
    root.open = false;
    if (reason) showProblem(reason);
  };
  const root = element(
    'details',
    {},
    element('summary', {}, 'Photograph good parts with the camera'),
    view,
    element('div', { className: 'row' }, hold, undo),
    words,
  );
  root.addEventListener('toggle', () => {
    if (!root.open) return stream?.stop();
    attempt(async () => {
      try {
        stream = await openCameraStream({ id: '', height: lines }, close);
      } catch (error) {
        close();
        throw error;
      }
      // It was closed again while the browser asked the user.
      if (!root.open) return stream.stop();
      read = greyReader(stream.video);
      view.replaceChildren(stream.video);
      words.textContent = 'Hold the button, or the space key on it, and show the part from all sides.';
    });
  });
  undo.disabled = true;
  return root;
}
