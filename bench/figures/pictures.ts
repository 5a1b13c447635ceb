/** The pictures of docs/tutorial.md: what good data looks like, and what spoils it. Drawn by the demo. */
import { join } from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { demoProducts, drawPart, productSide } from '../../src/synthetic/demo_products.ts';

const shown = 160;
const gap = 8;

/** A washer of the demo as a sharp image, in its full size. */
function washer(index: number, defect?: string) {
  const product = demoProducts.find(({ name }) => name === 'washer');
  if (!product) throw new Error('the demo has no washer');
  const { width, height, data } = drawPart(product, defect, 0, index).image;
  return sharp(data as Uint8Array, { raw: { width, height, channels: 3 } });
}

/** Images side by side, as WebP. */
async function row(path: string, images: readonly Sharp[]): Promise<void> {
  const tiles = await Promise.all(images.map((image) => image.resize(shown, shown).png().toBuffer()));
  await sharp({
    create: {
      width: tiles.length * (shown + gap) - gap,
      height: shown,
      channels: 3,
      background: '#ffffff',
    },
  })
    .composite(tiles.map((input, i) => ({ input, left: i * (shown + gap), top: 0 })))
    .webp({ quality: 85 })
    .toFile(path);
}

/** A part of an image, enlarged: the camera stood too near. */
async function near(image: Sharp): Promise<Sharp> {
  const side = productSide / 2;
  return sharp(await image.extract({ left: 0, top: 0, width: side, height: side }).png().toBuffer());
}

/**
 * Writes the pictures.
 * @param folder where they go
 */
export async function writePictures(folder: string): Promise<void> {
  await row(
    join(folder, 'good.webp'),
    [0, 1, 2, 3, 4].map((i) => washer(i)),
  );
  await row(join(folder, 'spoiled.webp'), [
    washer(0).blur(4),
    washer(1).modulate({ brightness: 0.3 }),
    await near(washer(2)),
    washer(3, 'rust'),
    washer(4).linear(1.9, 20),
  ]);
}
