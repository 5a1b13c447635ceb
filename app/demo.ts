/** The demo that comes with the page: a small model and photographs that it has not learned. */

import { element } from './dom.ts';

/** What the folder of the demo holds. */
export interface DemoContents {
  readonly model: string;
  /** Of the model's file. */
  readonly bytes: number;
  readonly pictures: readonly string[];
}

const folder = 'demo/';

/** Undefined where this copy of the page has no demo. */
export async function demoContents(): Promise<DemoContents | undefined> {
  try {
    const answer = await fetch(`${folder}demo.json`);
    return answer.ok ? ((await answer.json()) as DemoContents) : undefined;
  } catch {
    return undefined;
  }
}

/** A photograph of the demo, small; what it shows is said beside it. */
export function demoPicture(name: string): HTMLImageElement {
  return element('img', { src: folder + name, alt: '', width: 56, height: 56 });
}

/** @param onBytes told how much of the model has come */
async function read(name: string, onBytes: (bytes: number) => void): Promise<File> {
  const answer = await fetch(folder + name);
  if (!answer.ok || !answer.body)
    throw new Error(`${name} of the demo could not be loaded (${answer.status}): reload the page`);
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return new File(parts, name);
    parts.push(value);
    bytes += value.length;
    onBytes(bytes);
  }
}

/** The demo's files. @param onProgress told how much of them has come, from 0 to 1 */
export async function loadDemo(
  { model, bytes, pictures }: DemoContents,
  onProgress: (share: number) => void,
): Promise<{ readonly model: File; readonly pictures: readonly File[] }> {
  const [file, ...images] = await Promise.all([
    read(model, (read) => onProgress(Math.min(1, read / bytes))),
    ...pictures.map((name) => read(name, () => {})),
  ]);
  return { model: file as File, pictures: images };
}
