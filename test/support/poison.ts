/** An engine whose new memory is full of NaN: a result that depends on what lay there before shows it. */

import { textureWidth } from '../../kernels/sizes.ts';
import { Engine, type EngineOptions } from '../../src/engine/runtime/engine.ts';

export async function openPoisoned(options: EngineOptions = {}): Promise<Engine> {
  const engine = await Engine.open(options);
  const { device } = engine;
  const createBuffer = engine.createBuffer.bind(engine);
  engine.createBuffer = (label, size, usage) => {
    const buffer = createBuffer(label, size, usage);
    if (buffer.usage & GPUBufferUsage.COPY_DST && !(buffer.usage & GPUBufferUsage.MAP_READ))
      engine.write(buffer, 0, new Uint32Array(buffer.size / 4).fill(0xffffffff));
    return buffer;
  };
  const createTexture = engine.createTexture.bind(engine);
  engine.createTexture = (label, height, half) => {
    const texture = createTexture(label, height, half);
    const bytesPerRow = textureWidth * (half ? 8 : 16);
    const values = new Uint32Array((bytesPerRow * height) / 4).fill(0xffffffff);
    device.queue.writeTexture({ texture }, values, { bytesPerRow }, [textureWidth, height]);
    return texture;
  };
  return engine;
}
