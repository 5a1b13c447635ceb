/** Small pictures in the rows of a table, drawn when their row comes into sight. */
import { element } from './dom.ts';
import type { Item } from './inspection.ts';

const side = 40;

/** @param region scrolls the rows */
export function createThumbnails(region: HTMLElement) {
  const waiting = new WeakMap<Element, Item>();

  const draw = async (canvas: HTMLCanvasElement, file: File) => {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(canvas.width / bitmap.width, canvas.height / bitmap.height);
    const [width, height] = [bitmap.width * scale, bitmap.height * scale];
    const context = canvas.getContext('2d') as CanvasRenderingContext2D;
    context.imageSmoothingQuality = 'high';
    context.drawImage(bitmap, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
    bitmap.close();
  };

  // One after the other: a folder of photographs is not decoded at once.
  let queue = Promise.resolve();
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        const item = waiting.get(target);
        if (!isIntersecting || !item) continue;
        const { file } = item;
        observer.unobserve(target);
        // A file that is gone has no picture; choosing its row says so.
        queue = queue.then(() => draw(target as HTMLCanvasElement, file)).catch(() => {});
      }
    },
    { root: region, rootMargin: '100px' },
  );

  return {
    of(item: Item): HTMLCanvasElement {
      const dense = Math.min(2, window.devicePixelRatio || 1);
      const canvas = element('canvas', {
        width: side * dense,
        height: side * dense,
        className: 'thumbnail',
        aria: { hidden: 'true' },
      });
      waiting.set(canvas, item);
      observer.observe(canvas);
      return canvas;
    },
  };
}
