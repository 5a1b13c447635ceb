/** The worker of worker_page.ts: it has the engine, so that the page stays free. */
import { Detector, Engine, heatPixels } from 'aand-webgpu';

/** What the page sends: a model first, then images by number. */
export type Request = { readonly model: File } | { readonly id: number; readonly image: File };

/** What the page hears. */
export type Answer =
  | { readonly ready: number }
  | {
      readonly id: number;
      readonly anomalous: boolean | null;
      readonly score: number;
      readonly pixels: ImageData;
    }
  | { readonly id?: number; readonly error: string };

const engine = Engine.open();
let detector: Promise<Detector> | undefined;
// The types of pages know `self` as a window.
const send = (answer: Answer) => self.postMessage(answer);

async function judge(id: number, image: File): Promise<void> {
  if (!detector) throw new Error('send a model first');
  const { scale } = await detector;
  const prediction = await (await detector).predict(image);
  const { anomalous, normalizedScore, score, width, height } = prediction;
  const pixels = new ImageData(heatPixels(prediction, scale).data, width, height);
  send({ id, anomalous, score: normalizedScore ?? score, pixels });
}

self.addEventListener('message', async ({ data }: MessageEvent<Request>) => {
  try {
    if ('image' in data) return await judge(data.id, data.image);
    detector = engine.then((opened) => Detector.open(opened, data.model));
    await (await detector).warmup(({ fraction }) => send({ ready: fraction }), [1]);
  } catch (error) {
    send({ ...('id' in data && { id: data.id }), error: (error as Error).message });
  }
});
