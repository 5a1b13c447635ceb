/** What a training is asked for: its name, what differs between good parts, settings for experts. */
import * as Comlink from 'comlink';
import { foregroundHelp } from '../src/data/foreground.ts';
import { methodNamed } from '../src/model/methods.ts';
import { epochsFor, foldsFor, withCopies } from '../src/session/training_defaults.ts';
import { ask } from './ask.ts';
import { attempt, training } from './connection.ts';
import { element, field, fileButton } from './dom.ts';
import { copiesOf, differences, usual } from './train_choices.ts';
import { packagedTeachers, type TeacherFacts, type TrainingJob } from './types.ts';

/** How many photographs were chosen. */
export interface Chosen {
  readonly good: number;
  readonly bad: number;
}

const number = (value: string, min: string, step: string) =>
  element('input', { type: 'number', value, min, step });

const select = (options: readonly (readonly [value: string, text: string])[]) =>
  element('select', {}, ...options.map(([value, text]) => element('option', { value }, text)));

/** The choice of a teacher, and files that bring another. */
function createTeacherChoice(say: (text: string) => void) {
  let list: readonly TeacherFacts[] = packagedTeachers;
  const control = element('select');
  control.title =
    "What the student learns to imitate. torchvision's ImageNet weights (resnet18-f37072fd.pth, " +
    'wide_resnet50_2-95faca4d.pth) find more than the packaged ones on some products.';

  const show = (chosen?: TeacherFacts) => {
    control.replaceChildren(
      ...list.map(({ backbone, source }) => element('option', {}, `${backbone} (${source})`)),
    );
    control.selectedIndex = list.findIndex(
      (t) => t.backbone === chosen?.backbone && t.source === chosen.source,
    );
    if (control.selectedIndex < 0) control.selectedIndex = 0;
  };

  const load = (files: readonly File[]) =>
    attempt(async () => {
      const [file] = files;
      if (!file) return;
      say(`reading ${file.name}…`);
      const trainer = await training;
      const add = async (replace: boolean) => {
        const bytes = await file.arrayBuffer();
        return trainer.addTeacher(file.name, Comlink.transfer(bytes, [bytes]), replace);
      };
      try {
        let loaded = await add(false);
        if (loaded.replaces !== undefined) {
          say('');
          const text =
            `"${loaded.replaces}" is kept as the ${loaded.backbone} teacher of this page. ` +
            'A training that was begun with it cannot be resumed without it.';
          if ((await ask('Replace the teacher?', text, ['Replace it', 'Keep it'])) !== 'Replace it') return;
          loaded = await add(true);
        }
        list = await trainer.teachers();
        show(loaded);
        say(`${file.name} is a ${loaded.backbone} and stays on this device.`);
      } catch (error) {
        say('');
        throw error;
      }
    });

  show();
  return {
    control,
    loader: fileButton('Load teacher weights', '.pth,.pt,.safetensors', false, load),
    chosen: () => list[control.selectedIndex] ?? (packagedTeachers[0] as TeacherFacts),
    /** Those that are kept on this device, too. */
    async restore(): Promise<void> {
      list = await (await training).teachers();
      show();
    },
  };
}

/**
 * @param onChange told when something was chosen that changes what is said
 * @param say shows a sentence beside the form
 */
export function createTrainForm(onChange: () => void, say: (text: string) => void) {
  const name = element('input', { type: 'text', value: 'my product' });
  const imageSize = number('128', '32', '32');
  const batch = number(String(usual.batch), '1', '1');
  const epochs = usual.epochs.map((count) => number(String(count), '1', '1'));
  // Numbers that a person has typed stay as they are.
  const typed = new Set<HTMLInputElement>();
  const kinds = differences.map((difference) => ({
    ...difference,
    box: element('input', { type: 'checkbox' }),
  }));
  const robust = element('input', { type: 'checkbox' });
  const foreground = select(
    ['none', 'otsu-bright', 'otsu-dark', 'disc', 'rectangle'].map((rule) => [rule, rule]),
  );
  foreground.title = foregroundHelp;
  const mode = select([
    ['aand', 'AAND, both stages'],
    ['rd', 'RD4AD, faster'],
    ['patchcore', 'PatchCore, compares: ready soon'],
  ]);
  mode.title =
    'AAND and RD4AD learn to rebuild good parts, epoch by epoch. PatchCore learns nothing: it remembers ' +
    'how patches of good parts look, and compares. Its model cannot be fine-tuned.';
  const teacher = createTeacherChoice(say);
  const copies = element('p', { className: 'quiet', aria: { role: 'status' } });

  const augment = () => kinds.flatMap(({ kind, box }) => (box.checked ? [kind] : []));
  // Where there are bad images too, the threshold comes from both; a robust one from good images alone.
  const folds = ({ good, bad }: Chosen) => (bad && !robust.checked ? 0 : foldsFor(good));
  // A method that keeps features has no epochs, in which photographs could change.
  const adaptToMethod = () => {
    const keeps = methodNamed(mode.value as TrainingJob['mode']).learns === 'memory';
    if (keeps) robust.checked = false;
    for (const input of [...epochs, batch, robust]) input.disabled = keeps;
  };
  const choice = (box: HTMLInputElement, text: string, hint: string) =>
    element('label', {}, box, element('span', {}, text, element('small', {}, hint)));

  for (const input of epochs) {
    input.addEventListener('input', () => (input.value ? typed.add(input) : typed.delete(input)));
    input.addEventListener('change', onChange);
  }
  batch.addEventListener('input', onChange);
  mode.addEventListener('change', () => {
    adaptToMethod();
    onChange();
  });
  for (const box of [...kinds.map(({ box }) => box), robust]) box.addEventListener('change', onChange);

  return {
    name: field('Name', name),
    choices: element(
      'fieldset',
      { className: 'choices' },
      element('legend', {}, 'What differs between good parts?'),
      ...kinds.map(({ box, text, hint }) => choice(box, text, hint)),
      choice(
        robust,
        'Light and camera will change later',
        'every photograph is learned under other light and a little moved: takes longer',
      ),
      copies,
    ),
    experts: element(
      'details',
      {},
      element('summary', {}, 'Settings for experts'),
      element(
        'div',
        { className: 'fields' },
        field('Teacher', teacher.control, 'field wide'),
        field('Image size', imageSize),
        field('Batch', batch),
        ...epochs.map((input, i) => field(`Epochs, stage ${'I'.repeat(i + 1)}`, input)),
        field('Foreground', foreground),
        field('Method', mode, 'field wide'),
      ),
      element('div', { className: 'row' }, teacher.loader),
    ),
    folds,
    restoreTeachers: () => teacher.restore(),
    job(chosen: Chosen): TrainingJob {
      const { backbone, source } = teacher.chosen();
      return {
        name: name.value,
        backbone,
        teacher: source,
        imageSize: Number(imageSize.value),
        batch: Number(batch.value),
        epochs: epochs.map((input) => Number(input.value)) as [number, number],
        foreground: foreground.value,
        mode: mode.value as TrainingJob['mode'],
        seed: 0,
        augment: augment(),
        ...(robust.checked && { robust: true }),
        folds: folds(chosen),
      };
    },
    /** Adapts the epochs, and what is said of copies, to the number of photographs. */
    adapt({ good }: Chosen): void {
      copies.textContent = copiesOf(good, augment());
      const learned = augment().length ? withCopies(Math.max(1, good)) : Math.max(1, good);
      const wanted = good
        ? epochsFor(learned, { epochs: usual.epochs, batch: Math.max(1, Number(batch.value)) })
        : usual.epochs;
      for (const [i, input] of epochs.entries()) if (!typed.has(input)) input.value = String(wanted[i]);
    },
  };
}
