/** A made-up family of teachers, as a user of the package would add one: four convolutions with ReLU. */

import { RandomStream } from '../../src/base/random.ts';
import type { Sample } from '../../src/data/dataset.ts';
import type { Image } from '../../src/image/image.ts';
import type { Teacher } from '../../src/model/teacher.ts';

export const tinyTeacher: Teacher = {
  name: 'tiny',
  levels: [
    { stride: 4, channels: 8 },
    { stride: 8, channels: 16 },
    { stride: 16, channels: 32 },
  ],
  student: { block: 'basic', expansion: 1, width: 1, bottleneckBlocks: 1, blocks: [1, 1, 1] },
  features(scope, images) {
    const half = (name: string, x: typeof images, channels: number) =>
      scope.norm(`${name}_norm`, scope.conv(name, x, channels, 3, { stride: 2, padding: 1 }), { relu: true });
    const fine = half('fine', half('stem', images, 8), 8);
    const middle = half('middle', fine, 16);
    return [fine, middle, half('coarse', middle, 32)];
  },
};

/** A grey picture of noise; a defective one has a white square. */
export function picture(index: number, side: number, defective = false): Image {
  const random = new RandomStream('picture', index);
  const data = Uint8Array.from({ length: side * side * 3 }, () => random.integer(90, 150));
  if (defective) for (let y = 8; y < 20; y++) data.fill(255, (y * side + 8) * 3, (y * side + 20) * 3);
  return { width: side, height: side, channels: 3, data };
}

export function sample(name: string, defect: string): Sample {
  return { path: `${name}.png`, stem: name, defect };
}
