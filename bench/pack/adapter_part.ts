/** What the machine offers: the adapter, its features and limits, and its measured peaks. */
import { execFileSync } from 'node:child_process';
import { describeAdapter } from '../../src/engine/device/adapter.ts';
import type { Engine } from '../../src/engine/runtime/engine.ts';
import { measurePeaks } from '../../src/engine/runtime/peak.ts';
import { openGpu } from '../../src/platform/node/gpu.ts';
import { noToggles } from '../../src/platform/toggles.ts';
import type { Part, PartContext } from './part.ts';

export const peakRows = { fma: 'multiply-adds, f32', copy: 'copies' } as const;
export const peakColumns = { fma: 'GFLOP/s', copy: 'GB/s' } as const;

const limits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupsPerDimension',
] as const;

const advice =
  'The adapter is a software driver, not a GPU. Look whether the GPU has a Vulkan driver: `nvidia-smi` ' +
  "must list it, and a file such as /usr/share/vulkan/icd.d/nvidia_icd.json must name the driver's library " +
  '(libGLX_nvidia.so.0), which must be installed too: in containers the driver capability "graphics" or ' +
  '"all" (NVIDIA_DRIVER_CAPABILITIES). VK_DRIVER_FILES=FILE names another driver file. ' +
  '`./run --allow-software` goes on with the software driver, as a rehearsal.';

/** One line of the vendor's tool; empty where it is not installed. */
function vendorLine(): string {
  try {
    const columns = 'name,driver_version,memory.total,clocks.max.sm,clocks.max.memory,power.limit';
    return execFileSync('nvidia-smi', [`--query-gpu=${columns}`, '--format=csv,noheader'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return '';
  }
}

/** The features that only the toggles bring which the engine sets. */
async function featuresByToggles(engine: Engine): Promise<string> {
  const { gpu } = await openGpu(noToggles);
  const plain = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  const without = new Set(plain ? describeAdapter(plain).features : []);
  return engine.adapter.features.filter((name) => !without.has(name)).join(', ') || 'none';
}

async function describe(context: PartContext, engine: Engine): Promise<void> {
  const { adapter, device, profile, target } = engine;
  const say = (name: string, value: string | number) =>
    context.keep({ name, passed: null, figures: { value } });
  context.keep({
    name: 'the adapter is a GPU',
    passed: engine.isSoftware ? (context.settings.allowSoftware ? null : false) : true,
    figures: { value: `${adapter.vendor} ${adapter.architecture}`.trim() },
    ...(engine.isSoftware && { note: 'a software driver: no time below is one of a GPU' }),
  });
  say('driver', adapter.description);
  const vendor = vendorLine();
  if (vendor) say('nvidia-smi', vendor);
  say('profile', `${profile.name} (${profile.title})`);
  say('features', adapter.features.join(', '));
  const { enabled, disabled } = engine.toggles;
  say("Dawn's toggles", [...enabled, ...disabled.map((name) => `not ${name}`)].join(', ') || 'none');
  say('features that the toggles add', await featuresByToggles(engine));
  const { least, most } = adapter.subgroupSizes;
  say('subgroups', `${target.subgroupSize || 'none relied on'} (the adapter says ${least} to ${most})`);
  const units = (target.matrixUnits ?? []).map(
    ({ component, rows, columns, depth }) => `${component} ${rows}x${columns}x${depth}`,
  );
  say('matrix units that the kernels can use', units.join(', ') || 'none');
  for (const name of limits) say(name, device.limits[name]);
}

async function keepPeaks(context: PartContext, engine: Engine): Promise<void> {
  const { gflops, gbytesPerSecond } = await measurePeaks(engine);
  context.keep({ name: peakRows.fma, passed: null, figures: { [peakColumns.fma]: gflops } });
  context.keep({ name: peakRows.copy, passed: null, figures: { [peakColumns.copy]: gbytesPerSecond } });
}

export const adapterPart: Part = {
  name: 'adapter',
  title: 'Adapter',
  about:
    'Peaks are measured: multiply-adds in registers in f32, and copies between buffers (read and written ' +
    'bytes). Shares of the peak below refer to the first.',
  seconds: 15,
  async run(context) {
    await context.withEngine({ subgroupMatrices: true }, async (engine) => {
      await describe(context, engine);
      if (engine.isSoftware && !context.settings.allowSoftware) throw new Error(advice);
      await keepPeaks(context, engine);
    });
  },
};
