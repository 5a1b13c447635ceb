/** Small grey pictures of a video. */
import { stillnessSize } from './stillness.ts';

/** Reads grey values of what a video shows, as stillness.ts compares them. */
export function greyReader(video: HTMLVideoElement): () => Uint8Array {
  const { width, height } = stillnessSize;
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  return () => {
    const grey = new Uint8Array(width * height);
    if (!context) return grey;
    // The browser averages what it shrinks.
    context.imageSmoothingQuality = 'high';
    context.drawImage(video, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    for (let i = 0; i < grey.length; i++) {
      const [r, g, b] = [data[4 * i], data[4 * i + 1], data[4 * i + 2]] as [number, number, number];
      grey[i] = Math.round(0.299 * r + 0.587 * g + 0.114 * b);
    }
    return grey;
  };
}
