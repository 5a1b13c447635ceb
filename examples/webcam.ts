/** Inspects what a webcam sees; webcam.html loads the bundle of this file. */
import { Detector, drawOverlay, Engine } from 'aand-webgpu';

const canvas = document.querySelector('canvas') as HTMLCanvasElement;
const output = document.querySelector('output') as HTMLOutputElement;
const chooser = document.querySelector('input') as HTMLInputElement;
const video = Object.assign(document.createElement('video'), { muted: true, playsInline: true });

chooser.addEventListener('change', async () => {
  const [model] = chooser.files ?? [];
  if (!model) return;
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: true });
    await video.play();
    const engine = await Engine.open();
    const detector = await Detector.open(engine, model);
    await detector.warmup(
      ({ fraction }) => {
        output.value = `compiling ${Math.round(100 * fraction)} %`;
      },
      [1],
    );
    // The next frame is taken when the last one is judged.
    for (;;) {
      const frame = await createImageBitmap(video);
      const prediction = await detector.predict(frame);
      drawOverlay(canvas, frame, prediction, { scale: detector.scale, mask: prediction.mask });
      frame.close();
      const { anomalous, normalizedScore, score } = prediction;
      output.value =
        normalizedScore === null
          ? `raw ${score.toFixed(3)}, no threshold`
          : `${anomalous ? 'anomalous' : 'good'} ${normalizedScore.toFixed(3)}`;
    }
  } catch (error) {
    output.value = (error as Error).message;
  }
});
