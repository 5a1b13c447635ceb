/**
 * The first screen: try the demo, open a model, or learn a product. It goes when a model is open, and tells
 * until then what is loaded and compiled.
 */
import { attempt, training } from './connection.ts';
import { type DemoContents, demoContents, demoPicture, loadDemo } from './demo.ts';
import { button, element, fileButton } from './dom.ts';

/** What the first screen asks of the other views. */
export interface StartActions {
  openModel(model: File): Promise<void>;
  openDemo(model: File, pictures: readonly File[]): Promise<void>;
  learn(): void;
}

/** The first screen, as the page's other parts see it. */
export interface StartView {
  /** The device is there, or there is none. */
  ready(device: boolean): Promise<void>;
  /** What is being done until a model is open; a share from 0 to 1 where it is known. */
  say(text: string, share?: number): void;
  /** Images came before a model. */
  waiting(count: number): void;
  /** A model is open. */
  leave(): void;
  /** It was closed. */
  enter(): void;
}

const shownPictures = 4;
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

/** @param root the panel of the Inspect view, which holds the first screen until a model is open */
export function createStartView(root: HTMLElement, actions: StartActions): StartView {
  let contents: DemoContents | undefined;
  let busy = false;
  let device: boolean | undefined;

  const status = element('p', { aria: { role: 'status' } });
  const bar = element('progress', { max: 1, hidden: true, aria: { label: 'progress of opening' } });
  const waits = element('p', { className: 'waits', hidden: true, aria: { role: 'status' } });
  const kept = element('p', { className: 'quiet', hidden: true });

  const refresh = () => {
    tryDemo.disabled = busy || !contents || !device;
    chooser.classList.toggle('disabled', busy || !device);
    for (const input of chooser.querySelectorAll('input')) input.disabled = busy || !device;
    learn.disabled = busy || !device;
  };

  const say = (text: string, share?: number) => {
    status.textContent = text;
    bar.hidden = !text;
    if (share === undefined) bar.removeAttribute('value');
    else bar.value = share;
  };

  /** Opens what was chosen; nothing else can be chosen meanwhile. */
  const open = (work: () => Promise<void>) =>
    attempt(async () => {
      busy = true;
      refresh();
      try {
        await work();
      } finally {
        busy = false;
        say('');
        refresh();
      }
    });

  const openDemo = () =>
    open(async () => {
      if (!contents) return;
      const { bytes } = contents;
      say(`Loading the demo (${megabytes(bytes)})…`, 0);
      const { model, pictures } = await loadDemo(contents, (share) =>
        say(`Loading the demo: ${megabytes(share * bytes)} of ${megabytes(bytes)}`, share),
      );
      await actions.openDemo(model, pictures);
    });

  const openModel = ([model]: File[]) => {
    if (model) open(() => actions.openModel(model));
  };

  const tryDemo = button('Try the demo', openDemo, 'primary');
  const chooser = fileButton('Choose a model file', '.safetensors', false, openModel);
  const learn = button('Choose photographs', () => actions.learn());
  const shown = element('div', { className: 'shown' });
  const demoText = element(
    'p',
    {},
    'A small model of metal washers inspects photographs of good and bad ones.',
  );

  const way = (title: string, ...content: readonly HTMLElement[]) =>
    element('section', { className: 'way' }, element('h3', {}, title), ...content);
  const screen = element(
    'div',
    { className: 'start' },
    element('h2', {}, 'Finds what is wrong with a part'),
    element(
      'p',
      { className: 'lead' },
      'It learns a product from photographs of good parts, then shows where a new one is defective. ' +
        'Photographs never leave this device.',
    ),
    element(
      'div',
      { className: 'ways' },
      way('Try the demo', demoText, shown, tryDemo),
      way(
        'Open a model',
        element('p', {}, 'You have a model file (.safetensors). Drop it anywhere here, or choose it.'),
        chooser,
      ),
      way(
        'Learn my product',
        element('p', {}, 'You have photographs of good parts. Twenty are a start, fifty or more are better.'),
        learn,
      ),
    ),
    bar,
    status,
    waits,
    kept,
  );
  root.prepend(screen);
  root.classList.add('starting');
  refresh();

  const showKept = async () => {
    const { training: begun, model } = await (await training).kept();
    const unfinished = begun && !begun.finished ? `The training of "${begun.job.name}" is not finished` : '';
    const finished = model ? `The model of "${model.name}" is kept on this device` : '';
    const text = unfinished || finished;
    if (!text) return;
    kept.replaceChildren(
      `${text}. `,
      button('Go on with it', () => actions.learn()),
    );
    kept.hidden = false;
  };

  return {
    async ready(found) {
      device = found;
      contents = found ? await demoContents() : undefined;
      if (found && !contents) {
        demoText.textContent = 'This copy of the page comes without the demo.';
        tryDemo.className = '';
      } else if (contents) {
        const { pictures, bytes } = contents;
        demoText.append(` ${pictures.length} photographs, ${megabytes(bytes)}.`);
        const bad = pictures.filter((name) => !name.startsWith('good'));
        shown.append(...bad.slice(0, shownPictures).map((name) => demoPicture(name)));
      }
      refresh();
      // Without storage nothing is kept.
      if (found) await showKept().catch(() => {});
    },
    say,
    waiting(count) {
      waits.textContent =
        `${count} photograph${count === 1 ? ' waits' : 's wait'} to be inspected: open a model, or try the ` +
        'demo.';
      waits.hidden = !count;
    },
    leave() {
      screen.hidden = true;
      root.classList.remove('starting');
    },
    enter() {
      waits.hidden = true;
      screen.hidden = false;
      root.classList.add('starting');
    },
  };
}
