/** A question in a dialog of the page's own. */
import { button, element } from './dom.ts';

/**
 * @param answers what the buttons say; the last one changes nothing, and has the focus
 * @returns the answer; undefined where the dialog was closed without one
 */
export function ask<T extends string>(
  title: string,
  text: string,
  answers: readonly T[],
): Promise<T | undefined> {
  return new Promise((resolve) => {
    let chosen: T | undefined;
    const buttons = answers.map((answer) =>
      button(answer, () => {
        chosen = answer;
        dialog.close();
      }),
    );
    const heading = element('h2', { id: 'question' }, title);
    const dialog = element(
      'dialog',
      { aria: { labelledby: heading.id } },
      heading,
      element('p', {}, text),
      element('div', { className: 'row' }, ...buttons),
    );
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(chosen);
    });
    document.body.append(dialog);
    dialog.showModal();
    buttons.at(-1)?.focus();
  });
}
