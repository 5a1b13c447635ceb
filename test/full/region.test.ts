/** A region of interest on a trained detector: a defect outside of it does not count, one inside does. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Image } from '../../src/image/image.ts';
import { useCommand, useFolder } from '../support/command.ts';
import { part, writeImage } from '../support/layouts.ts';

const folder = useFolder();
const command = useCommand();

/** A fabric with a red spot whose centre is at these shares of the picture. */
function spotted({ width, height, channels, data }: Image, x: number, y: number): Image {
  const pixels = new Uint8Array(data);
  const radius = 0.06 * width;
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++)
      if ((column - x * width) ** 2 + (row - y * height) ** 2 < radius ** 2)
        pixels.set([230, 60, 40], 3 * (row * width + column));
  return { width, height, channels, data: pixels };
}

test('verdicts go by the inspected half; with all of it inspected the other half counts again', async () => {
  const aand = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await command.run(args, { cwd: folder });
    expect(code, stderr).toBe(0);
    return stdout;
  };
  for (let i = 0; i < 16; i++) await writeImage(join(folder, `train/${i + 10}.png`), part(1, i).image);
  for (let i = 16; i < 20; i++) {
    const { image } = part(1, i);
    await writeImage(join(folder, `good/${i}.png`), image);
    await writeImage(join(folder, `new/good-${i}.png`), image);
    await writeImage(join(folder, `new/left-${i}.png`), spotted(image, 0.15, 0.5));
    await writeImage(join(folder, `new/right-${i}.png`), spotted(image, 0.8, 0.5));
  }
  writeFileSync(join(folder, 'right.json'), '{"inspect": [[[0.5, 0], [1, 0], [1, 1], [0.5, 1]]]}');
  const small = ['--backbone', 'resnet18_half', '--image-size', '64', '--batch', '8', '--epochs', '10,20'];
  await aand('train', 'train', '--out', 'out', '--foreground', 'none', '--region', 'right.json', ...small);
  const verdicts = async (out: string) => {
    const rows = JSON.parse(await aand('predict', 'out/model.safetensors', 'new', '--json', '--out', out));
    const labels = (kind: string) =>
      rows.flatMap((row: { path: string; pred_label: string }) =>
        row.path.includes(kind) ? [row.pred_label] : [],
      );
    return { good: labels('good-'), left: labels('left-'), right: labels('right-') };
  };
  const [good, anomalous] = [Array(4).fill('good'), Array(4).fill('anomalous')];
  expect(await verdicts('half')).toEqual({ good, left: good, right: anomalous });
  await aand('calibrate', 'out/model.safetensors', 'good', '--region', 'none');
  expect(await verdicts('whole')).toEqual({ good, left: anomalous, right: anomalous });
}, 600_000);
