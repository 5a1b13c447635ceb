/** The card of the camera: which one, how large its picture is, what it sees. */
import { type CameraStream, cameras, openCameraStream } from './camera_stream.ts';
import { attempt, showProblem } from './connection.ts';
import { button, element, field } from './dom.ts';

const heights = [480, 720, 1080, 2160];
const usualHeight = 720;

export function createLineCamera({
  allowed,
  changed,
}: {
  /** @throws Error that says why no camera is opened */
  readonly allowed: () => void;
  /** A camera was opened, or closed. */
  readonly changed: () => void;
}) {
  let stream: CameraStream | undefined;
  // The screen stays on while a camera is open.
  let awake: WakeLockSentinel | undefined;
  const view = element(
    'div',
    { className: 'camera' },
    element('p', { className: 'quiet' }, 'No camera yet.'),
  );
  const empty = [...view.childNodes];
  const size = element('p', { className: 'quiet', aria: { role: 'status' } });
  const which = element('select', {}, element('option', { value: '' }, 'the usual one'));
  const height = element(
    'select',
    {},
    ...heights.map((lines) => element('option', { value: String(lines) }, `${lines} lines`)),
  );
  height.value = String(usualHeight);

  const listCameras = async () => {
    const chosen = which.value;
    const found = await cameras();
    which.replaceChildren(
      element('option', { value: '' }, 'the usual one'),
      ...found.filter(({ id }) => id).map(({ id, label }) => element('option', { value: id }, label)),
    );
    which.value = found.some(({ id }) => id === chosen) ? chosen : '';
  };

  const closed = (reason?: string) => {
    stream = undefined;
    awake?.release().catch(() => {});
    awake = undefined;
    view.replaceChildren(...empty);
    size.textContent = '';
    toggle.textContent = 'Start camera';
    changed();
    if (reason) showProblem(reason);
  };

  const keepAwake = async (opened: CameraStream) => {
    const lock = await navigator.wakeLock?.request('screen').catch(() => undefined);
    if (stream === opened) awake = lock;
    else lock?.release().catch(() => {});
  };

  const open = () =>
    attempt(async () => {
      allowed();
      toggle.disabled = true;
      try {
        const choice = { id: which.value, height: Number(height.value) };
        const opened = await openCameraStream(choice, closed);
        stream = opened;
        view.replaceChildren(opened.video);
        size.textContent = `${opened.width} x ${opened.height} pixels`;
        toggle.textContent = 'Stop camera';
        changed();
        // The camera judges, and can be stopped, while the browser thinks about the rest.
        void keepAwake(opened);
      } finally {
        toggle.disabled = false;
      }
      await listCameras();
    });

  const reopen = () => {
    if (!stream) return;
    stream.stop();
    open();
  };

  const toggle = button('Start camera', () => (stream ? stream.stop() : open()));
  which.addEventListener('change', reopen);
  height.addEventListener('change', reopen);
  listCameras().catch(() => {});
  navigator.mediaDevices?.addEventListener('devicechange', () => listCameras().catch(() => {}));

  return {
    card: element(
      'div',
      { className: 'card' },
      element('h2', {}, 'Camera'),
      view,
      size,
      element('div', { className: 'fields' }, field('Camera', which, 'field wide'), field('Picture', height)),
      element('div', { className: 'row' }, toggle),
    ),
    stream: () => stream,
    stop: () => stream?.stop(),
  };
}
