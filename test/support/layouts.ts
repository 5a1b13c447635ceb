/** Small data sets written as the real ones ship: names, CSV columns, class numbers in masks, grey PNGs. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import type { Image } from '../../src/image/image.ts';
import { encodePng } from '../../src/platform/node.ts';
import { demoProducts, drawPart } from '../../src/synthetic/demo_products.ts';

export interface Part {
  readonly image: Image;
  readonly mask: Image | undefined;
}

/** Part of a demo product; 0 is the washer, 1 the fabric. */
export function part(product: number, index: number, defect?: string): Part {
  return drawPart(demoProducts[product] as (typeof demoProducts)[number], defect, 5, index) as Part;
}

export async function writeImage(
  path: string,
  image: Image,
  format: 'png' | 'jpeg' | 'grey' = 'png',
): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const { width, height, channels, data } = image;
  const pixels = sharp(data, { raw: { width, height, channels } });
  if (format === 'png') writeFileSync(path, await encodePng(image));
  else if (format === 'jpeg') writeFileSync(path, await pixels.jpeg({ quality: 95 }).toBuffer());
  else writeFileSync(path, await pixels.greyscale().toColourspace('b-w').png().toBuffer());
}

const defects = [
  ['rust', 'chip'],
  ['hole', 'loose_thread'],
];

/** MVTec AD; grey PNGs as grid, screw and zipper have. */
export async function writeMvtec(root: string, category: string, product = 0, count = 6): Promise<void> {
  const folder = join(root, category);
  for (let i = 0; i < count; i++)
    await writeImage(
      join(folder, `train/good/${String(i).padStart(3, '0')}.png`),
      part(product, i).image,
      'grey',
    );
  for (let i = 0; i < 2; i++)
    await writeImage(join(folder, `test/good/00${i}.png`), part(product, count + i).image, 'grey');
  for (const defect of defects[product] as string[]) {
    const { image, mask } = part(product, 0, defect);
    await writeImage(join(folder, `test/${defect}/000.png`), image, 'grey');
    await writeImage(join(folder, `ground_truth/${defect}/000_mask.png`), mask as Image, 'grey');
  }
}

/** The mask with the class number 2 where the defect is, as VisA's. */
function classMask(mask: Image): Image {
  const data = new Uint8Array(mask.width * mask.height);
  for (let i = 0; i < data.length; i++) data[i] = mask.data[i * mask.channels] ? 2 : 0;
  return { width: mask.width, height: mask.height, channels: 1, data };
}

/** VisA as it ships: image_anno.csv in the category, split_csv/1cls.csv beside it. */
export async function writeVisa(root: string, category: string): Promise<void> {
  const images = `${category}/Data/Images`;
  const rows: string[] = [];
  const kinds: string[] = ['image,label,mask'];
  for (let i = 0; i < 8; i++) {
    const path = `${images}/Normal/${String(i).padStart(4, '0')}.JPG`;
    await writeImage(join(root, path), part(0, i).image, 'jpeg');
    rows.push(`${category},${i < 6 ? 'train' : 'test'},normal,${path},`);
    kinds.push(`${path},normal,`);
  }
  for (const [i, defect] of (defects[0] as string[]).entries()) {
    const path = `${images}/Anomaly/00${i}.JPG`;
    const mask = `${category}/Data/Masks/Anomaly/00${i}.png`;
    const drawn = part(0, 0, defect);
    await writeImage(join(root, path), drawn.image, 'jpeg');
    await writeImage(join(root, mask), classMask(drawn.mask as Image), 'grey');
    rows.push(`${category},test,anomaly,${path},${mask}`);
    kinds.push(`${path},${i ? `"${defect},scratch"` : defect},${mask}`);
  }
  mkdirSync(join(root, 'split_csv'), { recursive: true });
  writeFileSync(join(root, 'split_csv/1cls.csv'), `object,split,label,image,mask\n${rows.join('\n')}\n`);
  writeFileSync(join(root, category, 'image_anno.csv'), `${kinds.join('\n')}\n`);
}

/** MVTec 3D-AD: photographs beside depth maps that need not be there. */
export async function writeMvtec3d(root: string, category: string): Promise<void> {
  const folder = join(root, category);
  for (let i = 0; i < 6; i++) await writeImage(join(folder, `train/good/rgb/00${i}.png`), part(0, i).image);
  await writeImage(join(folder, 'validation/good/rgb/000.png'), part(0, 9).image);
  for (let i = 0; i < 2; i++) {
    const { image } = part(0, 6 + i);
    await writeImage(join(folder, `test/good/rgb/00${i}.png`), image);
    await writeImage(join(folder, `test/good/gt/00${i}.png`), {
      width: image.width,
      height: image.height,
      channels: 1,
      data: new Uint8Array(image.width * image.height),
    });
  }
  for (const defect of defects[0] as string[]) {
    const { image, mask } = part(0, 0, defect);
    await writeImage(join(folder, `test/${defect}/rgb/000.png`), image);
    await writeImage(join(folder, `test/${defect}/gt/000.png`), mask as Image, 'grey');
  }
}

/** meta.json as VAND's scripts write it, over VisA's files. */
export function writeMeta(root: string, category: string): void {
  const normal = (i: number) => ({
    img_path: `${category}/Data/Images/Normal/${String(i).padStart(4, '0')}.JPG`,
    mask_path: '',
    cls_name: category,
    specie_name: '',
    anomaly: 0,
  });
  const bad = {
    img_path: `${category}/Data/Images/Anomaly/000.JPG`,
    mask_path: `${category}/Data/Masks/Anomaly/000.png`,
    cls_name: category,
    specie_name: '',
    anomaly: 1,
  };
  const meta = { train: { [category]: [0, 1, 2, 3].map(normal) }, test: { [category]: [normal(4), bad] } };
  writeFileSync(join(root, 'meta.json'), JSON.stringify(meta));
}
