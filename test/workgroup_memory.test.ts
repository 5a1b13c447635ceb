/**
 * Workgroup memory: WebGPU promises zeros, some drivers (Mali, Imagination) do not keep the promise, so no
 * kernel may rely on them. Kernels run with NaN in it and must give the same bits: this machine's here, those
 * of GPUs in full/.
 */
import { describe, expect, test } from 'vitest';
import { Engine } from '../src/engine/runtime/engine.ts';
import { poisonWorkgroups, withPoisonedWorkgroups } from './support/poison.ts';
import { openPair, sameDetector, sameOperations } from './support/workgroup_memory.ts';

const relying = `
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
var<workgroup> sums: array<f32, 4u>;
var<workgroup> unused: array<f32, 8000>;
fn add(i: u32) { sums[i % 4u] += 1.0; }
@compute @workgroup_size(2, 2) fn main(@builtin(workgroup_id) group: vec3u,) {
  if (group.x == 0u) { add(1u); }
  y[group.x] = sums[1];
}
@compute @workgroup_size(1) fn other() { y[0] = 1.0; }
@compute @workgroup_size(1) fn large() { unused[0] = 1.0; y[0] = unused[0]; }
`;

describe('what the other tests rely on', () => {
  test('only what an entry point uses is filled, before everything else', () => {
    const code = withPoisonedWorkgroups(relying) as string;
    expect(code).toMatch(/group: vec3u,@builtin\(local_invocation_index\) poison_index: u32\) \{\n\{ let/);
    const bodies = code.split('@compute');
    expect(bodies[1]).toContain('for (var at = poison_index; at < 4u; at += 2 * 2) { sums[at] =');
    expect(bodies[1]).not.toContain('unused[at]');
    expect(bodies[2]).not.toContain('poison');
    expect(bodies[3]).toContain('unused[at] = f32(poison)');
    const half =
      'alias Quad = vec4<f16>; var<workgroup> quads: array<Quad, max(4u, 8u)>;' +
      '@compute @workgroup_size(1) fn main() { quads[0] = Quad(); }';
    expect(withPoisonedWorkgroups(half)).toMatch(/at < max\(4u, 8u\);.*quads\[at\] = Quad\(f16\(poison\)\)/);
    expect(withPoisonedWorkgroups('@compute @workgroup_size(1) fn main() { }')).toBeUndefined();
  });

  test('a kernel that relies on zeros is found', async () => {
    await using engine = await Engine.open();
    const modules = poisonWorkgroups(engine);
    const module = engine.device.createShaderModule({ label: 'relying.main', code: relying });
    expect([...modules]).toEqual(['relying']);
    const pipeline = engine.device.createComputePipeline({
      layout: 'auto',
      compute: { module, entryPoint: 'main' },
    });
    const buffer = engine.createBuffer('y', 16);
    const encoder = engine.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(
      0,
      engine.device.createBindGroup({
        layout: pipeline.getBindGroupLayout(0),
        entries: [{ binding: 0, resource: { buffer } }],
      }),
    );
    pass.dispatchWorkgroups(2);
    pass.end();
    engine.device.queue.submit([encoder.finish()]);
    expect((await engine.read(buffer, 0, 8)).every(Number.isNaN)).toBe(true);
  });
});

test('NaN in workgroup memory changes no bit of operations, a detector and training steps', async () => {
  await using pair = await openPair();
  await sameOperations(pair, {});
  await sameDetector(pair, {});
});
