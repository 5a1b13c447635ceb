/**
 * Entry of the tests of image sources in browsers: `readSources(png)` reads one picture in every form that a
 * page has, and says what of it is refused.
 */
import { takeImage } from '../../src/data/sources.ts';

interface Outcome {
  readonly name: string;
  /** RGB in base64, of what was read. */
  readonly rgb?: string;
  readonly error?: string;
}

const base64 = (bytes: Uint8Array) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));

async function outcome(name: string, source: unknown): Promise<Outcome> {
  try {
    return { name, rgb: base64((await takeImage(source, 'image 2 of 3').whole()).data) };
  } catch (error) {
    return { name, error: (error as Error).message };
  }
}

async function loaded(address: string): Promise<HTMLImageElement> {
  const element = Object.assign(new Image(), { src: address });
  await element.decode();
  return element;
}

function drawn<Canvas extends HTMLCanvasElement | OffscreenCanvas>(
  canvas: Canvas,
  picture: CanvasImageSource,
): Canvas {
  const context = canvas.getContext('2d') as CanvasRenderingContext2D;
  context.drawImage(picture, 0, 0);
  return canvas;
}

/** @param text a picture file in base64; @param opaque whether all of its pixels are */
async function readSources(text: string, width: number, height: number): Promise<string> {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const file = new File([bytes], 'a.png', { type: 'image/png' });
  const address = URL.createObjectURL(file);
  const bitmap = await createImageBitmap(file);
  const canvas = drawn(Object.assign(document.createElement('canvas'), { width, height }), bitmap);
  const context = canvas.getContext('2d') as CanvasRenderingContext2D;
  const sources: [string, unknown][] = [
    ['File', file],
    ['Uint8Array', bytes],
    ['ArrayBuffer', bytes.buffer],
    ['URL of a blob', address],
    ['data URL', `data:image/png;base64,${text}`],
    ['address beside the page', 'picture.png'],
    ['ImageBitmap', bitmap],
    ['HTMLImageElement', await loaded(address)],
    ['HTMLCanvasElement', canvas],
    ['OffscreenCanvas', drawn(new OffscreenCanvas(width, height), bitmap)],
    ['ImageData', context.getImageData(0, 0, width, height)],
    ...('VideoFrame' in globalThis
      ? [['VideoFrame', new VideoFrame(canvas, { timestamp: 0 })] as [string, unknown]]
      : []),
  ];
  const outcomes: Outcome[] = [];
  for (const [name, source] of sources) outcomes.push(await outcome(name, source));
  return JSON.stringify(outcomes);
}

/** What has no picture, or none that the page may read. */
async function refusedSources(otherSite: string): Promise<string> {
  const closed = await createImageBitmap(new ImageData(2, 2));
  closed.close();
  const foreign = Object.assign(new Image(), { src: otherSite });
  await foreign.decode();
  const wide = document.createElement('canvas').getContext('2d', { colorSpace: 'display-p3' });
  const list: [string, unknown][] = [
    ['closed bitmap', closed],
    ['image that is not loaded', new Image()],
    ['video without a picture', document.createElement('video')],
    ['canvas without pixels', Object.assign(document.createElement('canvas'), { width: 0 })],
    ['empty canvas', document.createElement('canvas')],
    ['image of another site', foreign],
    ['ImageData of another space', wide?.getImageData(0, 0, 1, 1)],
    ['another element', document.createElement('div')],
    ['missing address', 'nothing.png'],
  ];
  const outcomes: Outcome[] = [];
  for (const [name, source] of list) outcomes.push(await outcome(name, source));
  return JSON.stringify(outcomes);
}

/** A canvas is taken when the call is made: what is drawn afterwards does not count. */
async function takenAtOnce(): Promise<string> {
  const canvas = new OffscreenCanvas(1, 1);
  const context = canvas.getContext('2d') as OffscreenCanvasRenderingContext2D;
  const paint = (colour: string) => {
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
  };
  paint('rgb(1, 2, 3)');
  const taken = takeImage(canvas, 'a canvas');
  paint('rgb(9, 9, 9)');
  return (await taken.whole()).data.join();
}

Object.assign(globalThis, { readSources, refusedSources, takenAtOnce });
