/** Elements from code: small helpers instead of a framework. */

import { append } from '../src/base/lists.ts';
import { isHiddenName } from '../src/data/files.ts';

type Child = Node | string | undefined | false;
type Properties<T> = Partial<Omit<T, 'style' | 'children'>> & {
  readonly aria?: Readonly<Record<string, string>>;
};

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Properties<HTMLElementTagNameMap[K]> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  const { aria, ...rest } = properties;
  Object.assign(made, rest);
  for (const [name, value] of Object.entries(aria ?? {}))
    made.setAttribute(name === 'role' ? name : `aria-${name}`, value);
  made.append(...children.filter((child): child is Node | string => child !== undefined && child !== false));
  return made;
}

export function button(text: string, onclick: () => void, className = ''): HTMLButtonElement {
  return element('button', { type: 'button', className, onclick }, text);
}

/** Buttons of which one is pressed; `choose` presses one. */
export function choice<T extends string>(
  label: string,
  options: readonly { readonly value: T; readonly name: string }[],
  onChoice: (value: T) => void,
) {
  const buttons = options.map(({ value, name }) => ({ value, made: button(name, () => choose(value)) }));
  const choose = (chosen: T) => {
    for (const { value, made } of buttons) made.setAttribute('aria-pressed', String(value === chosen));
    onChoice(chosen);
  };
  const group = element(
    'div',
    { className: 'row pressed', aria: { role: 'group', label } },
    ...buttons.map(({ made }) => made),
  );
  return { group, choose };
}

/** A labelled control. */
export function field(label: string, control: HTMLElement, className = 'field'): HTMLLabelElement {
  return element('label', { className }, label, control);
}

/** A file chooser that looks like a button. */
export function fileButton(
  text: string,
  accept: string,
  multiple: boolean,
  onFiles: (files: File[]) => void,
): HTMLLabelElement {
  return chooserButton(text, element('input', { type: 'file', accept, multiple }), onFiles);
}

/** A chooser of a folder, with all that lies below it. */
export function folderButton(text: string, onFiles: (files: File[]) => void): HTMLLabelElement {
  return chooserButton(text, element('input', { type: 'file', webkitdirectory: true }), onFiles);
}

function chooserButton(
  text: string,
  input: HTMLInputElement,
  onFiles: (files: File[]) => void,
): HTMLLabelElement {
  input.addEventListener('change', () => {
    onFiles([...(input.files ?? [])]);
    input.value = '';
  });
  return element('label', { className: 'file' }, text, input);
}

/** A dropped file does not know its folder. */
const droppedPaths = new WeakMap<File, string>();

/** Where a file lies below what was chosen or dropped, such as `rust/000.png`; a single file's name. */
export function pathOf(file: File): string {
  return droppedPaths.get(file) ?? (file.webkitRelativePath || file.name);
}

async function entryFiles(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject),
    );
    droppedPaths.set(file, entry.fullPath.replace(/^\//, ''));
    return [file];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: File[] = [];
  // A reader gives its entries in portions.
  for (;;) {
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (!part.length) return files;
    for (const inner of part) if (!isHiddenName(inner.name)) append(files, await entryFiles(inner));
  }
}

/** Lets files and folders be dropped on an element. */
export function acceptDrops(target: HTMLElement, onFiles: (files: File[]) => void): void {
  target.addEventListener('dragover', (event) => {
    event.preventDefault();
    target.classList.add('over');
  });
  target.addEventListener('dragleave', () => target.classList.remove('over'));
  target.addEventListener('drop', async (event) => {
    event.preventDefault();
    target.classList.remove('over');
    const entries = [...(event.dataTransfer?.items ?? [])]
      .map((item) => item.webkitGetAsEntry())
      .filter((entry) => entry !== null);
    const files = entries.length
      ? (await Promise.all(entries.map(entryFiles))).flat()
      : [...(event.dataTransfer?.files ?? [])];
    onFiles(files);
  });
}

export function isImageFile(file: File): boolean {
  return /\.(png|jpe?g|bmp|webp)$/i.test(file.name) && !isHiddenName(file.name);
}

/** Offers bytes as a download. */
export function save(name: string, data: BlobPart, type: string): void {
  const link = element('a', { href: URL.createObjectURL(new Blob([data], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
