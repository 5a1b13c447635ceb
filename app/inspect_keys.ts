/** The Inspect view by keyboard. Keys of one letter work where nobody types. */
import { element } from './dom.ts';
import type { Item, Label } from './inspection.ts';

export interface KeyTargets {
  readonly stage: { onKey(event: Pick<KeyboardEvent, 'key' | 'shiftKey'>): boolean };
  readonly table: {
    neighbour(step: number): Item | undefined;
    end(which: 'first' | 'last'): Item | undefined;
  };
  choose(item: Item | undefined): void;
  mark(label: Label): void;
  undo(): void;
  explain(): void;
}

const help: readonly (readonly [keys: string, what: string])[] = [
  ['← →', 'the image before, the next one'],
  ['Home End', 'the first, the last image of the table'],
  ['+ − 0', 'zoom in, out, the whole image; also the wheel, or two fingers'],
  ['Shift and arrows', 'move a zoomed image; also by dragging'],
  ['P H O', 'the photograph alone, heat map, outline'],
  ['G B', 'mark the shown image as good, as bad'],
  ['U or Ctrl Z', 'take the last mark back'],
  ['E', 'explain the place with the highest value'],
];

/** The keys, as a list that opens. */
export function keysHelp(): HTMLElement {
  return element(
    'details',
    { className: 'keys' },
    element('summary', {}, 'Keys'),
    element('dl', {}, ...help.flatMap(([keys, what]) => [element('dt', {}, keys), element('dd', {}, what)])),
  );
}

export function listenToKeys(root: HTMLElement, to: KeyTargets): void {
  const step = (by: number) => () => to.choose(to.table.neighbour(by));
  const keys: Readonly<Record<string, () => void>> = {
    ArrowRight: step(1),
    ArrowLeft: step(-1),
    g: () => to.mark('good'),
    b: () => to.mark('bad'),
    u: to.undo,
    e: to.explain,
  };
  // Elsewhere these scroll the page.
  const inTable: Readonly<Record<string, () => void>> = {
    ArrowDown: step(1),
    ArrowUp: step(-1),
    PageDown: step(10),
    PageUp: step(-10),
    Home: () => to.choose(to.table.end('first')),
    End: () => to.choose(to.table.end('last')),
  };
  document.addEventListener('keydown', (event) => {
    const { target, key, altKey, ctrlKey, metaKey, shiftKey } = event;
    if (root.hidden || altKey || event.defaultPrevented || !(target instanceof HTMLElement)) return;
    if (target !== document.body && !root.contains(target)) return;
    if (document.querySelector('dialog[open]')) return;
    if (target.closest('input, select, textarea')) return;
    if (ctrlKey || metaKey) {
      if (key.toLowerCase() !== 'z' || shiftKey) return;
      event.preventDefault();
      to.undo();
      return;
    }
    const table = target.closest('.scroll') && !shiftKey ? inTable[key] : undefined;
    const work =
      table ?? (shiftKey && key.startsWith('Arrow') ? undefined : (keys[key] ?? keys[key.toLowerCase()]));
    if (work) work();
    else if (!to.stage.onKey(event)) return;
    event.preventDefault();
  });
}
