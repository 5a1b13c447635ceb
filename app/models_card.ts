/** The open model, and the choice among those that are kept on this device. */
import { ask } from './ask.ts';
import { attempt, showProblem } from './connection.ts';
import { button, element, field } from './dom.ts';
import { forgetModel, type KeptModel, keptModels, modelsChannel } from './kept_models.ts';

const nameOf = ({ name, product, backbone, imageSize }: KeptModel) =>
  `${name.replace(/\.safetensors$/, '')}: ${product ? `${product}, ` : ''}${backbone}, ${imageSize} pixels`;

/**
 * @param onChoose opens a kept model
 * @param onClose closes the open one
 */
export function createModelsCard(
  onChoose: (model: KeptModel) => Promise<void>,
  onClose: () => Promise<void>,
) {
  let models: readonly KeptModel[] = [];
  let open: string | undefined;
  /** The user's choice while it is being opened: the list may be drawn anew meanwhile. */
  let choosing: string | undefined;
  const line = element('p', { className: 'quiet', id: 'model' }, 'no model');
  const list = element('select', { id: 'models' });
  const forget = button('Delete from this device', () =>
    attempt(async () => {
      const model = models.find(({ id }) => id === list.value);
      if (!model) return;
      const text =
        `"${model.name}" is deleted from this device. ` +
        (model.id === open ? 'It stays open until the page is closed. ' : '') +
        'Save it first where you have no other copy.';
      if ((await ask('Delete the model?', text, ['Delete', 'Keep it'])) !== 'Delete') return;
      await forgetModel(model.id);
      await refresh();
    }),
  );
  const choice = element('div', { hidden: true }, field('Models on this device', list));
  const close = button('Close the model', () => attempt(onClose));

  const draw = () => {
    choice.hidden = forget.hidden = !models.length;
    const shown = choosing ?? open;
    const known = models.some(({ id }) => id === shown);
    list.replaceChildren(
      ...(known ? [] : [element('option', { value: '' }, 'choose a model')]),
      ...models.map((model) => element('option', { value: model.id }, nameOf(model))),
    );
    list.value = known && shown ? shown : '';
    forget.disabled = !list.value;
  };
  /** Without storage there are none. */
  const refresh = async () => {
    models = await keptModels().catch(() => []);
    draw();
  };
  list.addEventListener('change', () => {
    const model = models.find(({ id }) => id === list.value);
    forget.disabled = !model;
    if (!model) return;
    choosing = model.id;
    attempt(() => onChoose(model)).then(() => {
      choosing = undefined;
      draw();
    });
  });
  // Other tabs, and the worker that trains, add to the list.
  new BroadcastChannel(modelsChannel).addEventListener('message', () => refresh().catch(showProblem));
  refresh().catch(showProblem);

  return {
    parts: [line, choice, element('div', { className: 'row' }, close, forget)] as const,
    line,
    /** A model was opened; undefined: it is not on the list. */
    async opened(id: string | undefined): Promise<void> {
      open = id;
      await refresh();
    },
  };
}
