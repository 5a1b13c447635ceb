/** A page whose inspections run in a worker (worker.ts); worker.html loads the bundle of this file. */
import type { Answer, Request } from './worker.ts';

const worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' });
const send = (request: Request) => worker.postMessage(request);
const [model, images] = document.querySelectorAll('input');
const output = document.querySelector('output') as HTMLOutputElement;
const list = document.querySelector('ol') as HTMLOListElement;
const items = new Map<number, HTMLLIElement>();

model?.addEventListener('change', () => {
  const [file] = model.files ?? [];
  if (file) send({ model: file });
});
images?.addEventListener('change', () => {
  for (const image of images.files ?? []) {
    const item = list.appendChild(document.createElement('li'));
    item.textContent = `${image.name}: waiting`;
    item.title = image.name;
    const id = items.size;
    items.set(id, item);
    send({ id, image });
  }
});

worker.addEventListener('message', ({ data }: MessageEvent<Answer>) => {
  if ('ready' in data)
    output.value = data.ready < 1 ? `compiling ${Math.round(100 * data.ready)} %` : 'ready';
  const item = 'id' in data && data.id !== undefined ? items.get(data.id) : undefined;
  if ('error' in data) (item ?? output).textContent = data.error;
  if (!item || !('pixels' in data)) return;
  const verdict = data.anomalous === null ? 'no threshold' : data.anomalous ? 'anomalous' : 'good';
  item.textContent = `${item.title}: ${verdict} ${data.score.toFixed(3)}`;
  const { width, height } = data.pixels;
  const canvas = item.appendChild(Object.assign(document.createElement('canvas'), { width, height }));
  canvas.getContext('2d')?.putImageData(data.pixels, 0, 0);
});
