/** Inspects what a webcam sees; webcam.html loads the bundle of this file. */
import { Detector, Engine, type Image, jet, normalizeScore } from 'aand-webgpu';

const canvas = document.querySelector('canvas') as HTMLCanvasElement;
const output = document.querySelector('output') as HTMLOutputElement;
const chooser = document.querySelector('input') as HTMLInputElement;

function grab(video: HTMLVideoElement): Image {
  const { videoWidth: width, videoHeight: height } = video;
  const context = new OffscreenCanvas(width, height).getContext('2d') as OffscreenCanvasRenderingContext2D;
  context.drawImage(video, 0, 0);
  const rgba = context.getImageData(0, 0, width, height).data;
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) data.set(rgba.subarray(i * 4, i * 4 + 3), i * 3);
  return { width, height, channels: 3, data };
}

chooser.addEventListener('change', async () => {
  const model = new Uint8Array((await chooser.files?.[0]?.arrayBuffer()) ?? new ArrayBuffer(0));
  const engine = await Engine.open();
  const detector = await Detector.open(engine, model, 'the chosen file');
  const video = Object.assign(document.createElement('video'), { muted: true });
  video.srcObject = await navigator.mediaDevices.getUserMedia({ video: true });
  await video.play();
  const context = canvas.getContext('2d') as CanvasRenderingContext2D;
  for (;;) {
    const [seen] = await detector.predict([grab(video)]);
    if (!seen) continue;
    // Without a threshold the colours span the map's own range.
    const top = seen.map.reduce((a, b) => Math.max(a, b), 1e-6);
    const scale = detector.scale?.map ?? { threshold: top / 2, min: 0, max: top, rule: 'its own range' };
    const heat = context.createImageData(seen.width, seen.height);
    seen.map.forEach((value, i) => {
      heat.data.set([...jet(normalizeScore(value, scale)), 255], i * 4);
    });
    [canvas.width, canvas.height] = [seen.width, seen.height];
    context.putImageData(heat, 0, 0);
    const { anomalous, normalizedScore, score } = seen;
    output.value =
      normalizedScore === null
        ? `raw ${score.toFixed(3)}, no threshold`
        : `${anomalous ? 'anomalous' : 'good'} ${normalizedScore.toFixed(3)}`;
  }
});
