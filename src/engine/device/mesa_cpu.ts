/**
 * Mesa's software driver (llvmpipe, as Vulkan driver lavapipe): LLVM compiles for vectors of 128 to 512 bits,
 * subgroups have 4 to 16 lanes. Its width and cache folder are set before it is loaded
 * (src/platform/node/mesa.ts).
 */
import { adapterText } from './adapter.ts';
import { commonToggles } from './common.ts';
import { convolutionByLanes, cpu, wideLanes } from './cpu.ts';
import { lane } from './matrix_products.ts';
import type { DeviceProfile } from './profile.ts';
import { winogradTiles } from './winograd.ts';

// Channels from which Winograd's form pays: with operands from textures multiplications are cheap.
const winogradChannels = { textures: 256, buffers: 32 };
// Pixels of an output from which Winograd's form pays in a compact program on vectors of 512 bits, where the
// direct form is nearly as fast: the transformed weights take two to four times the memory, and making them
// is most of a start.
const compactPixels = 1024;
const wideVector = 16;

export const mesaCpu: DeviceProfile = {
  ...cpu,
  name: 'mesa-cpu',
  title: "Mesa's software driver",
  recognises: (adapter) => adapterText(adapter).includes('llvmpipe'),
  kernels: {
    ...cpu.kernels,
    convolution: {
      ...cpu.kernels.convolution,
      choose(problem, target, { textures }) {
        if (!textures) return wideLanes(problem, target) ?? convolutionByLanes(problem, target);
        // With more rows a load of weights serves more of them; small grids would stay empty.
        if (target.subgroupSize === wideVector && !problem.batched && problem.rows >= 64)
          return lane('convolution', wideVector, 4, 64, 1);
        return convolutionByLanes(problem, target);
      },
    },
    winograd: {
      ...cpu.kernels.winograd,
      tiles(problem, { subgroupSize }, { textures }) {
        const small = problem.height * problem.width < compactPixels;
        if (problem.compact && textures && subgroupSize >= wideVector && small) return [];
        return winogradTiles(problem, textures ? winogradChannels.textures : winogradChannels.buffers);
      },
    },
  },
  rewrites: ({ storageTextures, subgroupSize }) => ({
    winograd: true,
    // A storage texture's quad is read three times as fast as a storage buffer's: bounds are checked per
    // texel instead of per float and lane (docs/performance-log.md).
    textures: storageTextures && subgroupSize > 0,
    weightTextures: false,
    statistics: false,
    rowLengths: false,
    totals: false,
  }),
  treatment: {
    ...cpu.treatment,
    // The driver's code checks every access itself, and every kernel writes what it then reads.
    toggles(use) {
      const { enabled, disabled } = commonToggles(use);
      return {
        enabled: use.shaderChecks ? enabled : ['disable_robustness', ...enabled],
        disabled: ['lazy_clear_resource_on_first_use', ...disabled],
      };
    },
    compilesAtDispatch: true,
  },
  faults: [
    ...cpu.faults,
    {
      fault: 'Storage buffers are checked per float and lane, storage textures per texel.',
      workaround: 'Matrix kernels read their operands from textures (rewrite `textures`).',
      evidence: 'docs/performance-log.md',
      until: 'the driver checks a vector of four floats once',
    },
    {
      fault: "The driver's code checks every access, and Dawn's shader checks do so once more.",
      workaround: "In Node Dawn's are left out (`disable_robustness`): a run takes a fifth less.",
      evidence: 'docs/performance-log.md; `EngineOptions.shaderChecks` turns them on',
      until: 'Dawn leaves them out by itself for drivers that check',
    },
    {
      fault: 'Filling new textures with zeros takes longer than what is then written to them.',
      workaround:
        'In Node new memory is not filled (lazy_clear_resource_on_first_use is off); ' +
        'test/support/poison.ts fills it with NaN.',
      evidence: 'docs/performance-log.md',
      until: 'Dawn fills memory only where it is read first',
    },
    {
      fault: 'A kernel is compiled at its first dispatch, in one thread of each device.',
      workaround:
        'A dispatch of no workgroups compiles it ahead, with a second device as helper ' +
        '(src/engine/runtime/warm_up.ts).',
      evidence: 'bench --first-run',
      until: 'the driver compiles when a pipeline is created',
    },
    {
      fault: 'Views of textures are made and destroyed only while the driver computes nothing.',
      workaround: 'They are made once and kept (src/engine/runtime/warm_up.ts, steps.ts).',
      evidence: 'docs/performance-log.md',
      until: 'making a view no longer waits',
    },
    {
      fault: 'New kernels are taken in only between submits.',
      workaround:
        'The prologue of a program is submitted eight steps at a time (src/engine/runtime/prologue.ts).',
      evidence: 'bench --first-run',
      until: 'a kernel can be compiled while another runs',
    },
    {
      fault: 'Vectors have 256 bits unless the environment says otherwise, however wide the processor is.',
      workaround: '`LP_NATIVE_VECTOR_WIDTH` is set before the driver is loaded (src/platform/node/mesa.ts).',
      evidence: 'docs/performance-log.md; 1.4 times the speed with 512 bits',
      until: 'the driver takes the width of the processor',
    },
    {
      fault:
        'The cache on disk does not tell vector widths apart: code of another width computes wrong values.',
      workaround: 'A cache folder for each width but 256 (src/platform/node/mesa.ts).',
      evidence: 'test/mesa.test.ts',
      until: 'the width is part of the key of the cache',
    },
  ],
};
