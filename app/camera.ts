/** The camera's pictures, one after the other as fast as the detector takes them; never in the background. */
import * as Comlink from 'comlink';
import { machine } from './connection.ts';
import { element } from './dom.ts';
import type { MapResult } from './types.ts';

const averagedFrames = 10;
const hiddenReason = 'The camera was stopped because the page went into the background.';

export interface Camera {
  stop(): void;
}

/**
 * Inspects the camera until it is stopped.
 *
 * @param onFrame takes over the picture
 * @param onEnd called once; with a reason, unless the user stopped it
 * @throws DOMException where there is no camera or it is not allowed, Error where the page is in the
 *   background
 */
export async function openCamera(
  onFrame: (picture: ImageBitmap, result: MapResult, framesPerSecond: number) => void,
  onEnd: (reason: string | Error | undefined) => void,
): Promise<Camera> {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
  if (document.hidden) {
    for (const track of stream.getTracks()) track.stop();
    throw new Error(hiddenReason);
  }
  const video = element('video', { muted: true, playsInline: true, srcObject: stream });
  let running = true;
  const end = (reason?: string | Error) => {
    if (!running) return;
    running = false;
    document.removeEventListener('visibilitychange', onHidden);
    for (const track of stream.getTracks()) track.stop();
    onEnd(reason);
  };
  const onHidden = () => {
    if (document.hidden) end(hiddenReason);
  };
  document.addEventListener('visibilitychange', onHidden);
  for (const track of stream.getTracks())
    track.addEventListener('ended', () => end('The camera was taken away.'));

  const loop = async () => {
    await video.play();
    const times: number[] = [];
    while (running) {
      const picture = await createImageBitmap(video);
      const frame = await createImageBitmap(picture);
      const result = await machine.predict(Comlink.transfer(frame, [frame]), 'camera');
      if (!running) return picture.close();
      times.push(performance.now());
      if (times.length > averagedFrames + 1) times.shift();
      const seconds = ((times.at(-1) as number) - (times[0] as number)) / 1000;
      onFrame(picture, result, times.length > 1 ? (times.length - 1) / seconds : 0);
    }
  };
  loop().catch((error: Error) => end(error));
  return { stop: () => end() };
}
