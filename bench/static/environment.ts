/** Where the compilers lie, whether they are there, and what a process needs that is to run on one. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { packagedFile } from '../../src/cli/package.ts';
import { cacheFolder } from '../../src/platform/node/cache.ts';
import type { Family } from './families.ts';

/** The compilers that scripts/setup-gpu-compilers.sh built, and the layer. */
export function compilerFolder(environment: NodeJS.ProcessEnv = process.env): string {
  return join(cacheFolder(environment), 'gpu-compilers');
}

const systemDrivers = '/usr/share/vulkan/icd.d';

/** The file of one of the distribution's drivers; its name may end with the processor's. */
function systemDriver(name: string, folder = systemDrivers): string | undefined {
  if (!existsSync(folder)) return undefined;
  const file = readdirSync(folder).find((each) => new RegExp(`^${name}_icd(\\..+)?\\.json$`).test(each));
  return file && join(folder, file);
}

/** The file of a family's driver; undefined where it is not set up. */
function driverOf({ vendor }: Family): string | undefined {
  const own = (name: string) => join(compilerFolder(), 'mesa', `${name}.json`);
  if (vendor === 'amd') return systemDriver('radeon');
  if (vendor === 'intel') return systemDriver('intel');
  if (vendor === 'adreno') return own('freedreno');
  if (vendor === 'mali') return own('panfrost');
  if (vendor === 'apple') return own('asahi');
  return join(debianFolder(), systemDrivers, 'nouveau_icd.json');
}

/** The small system of its own that NVIDIA's driver runs in. */
export function debianFolder(): string {
  return join(compilerFolder(), 'debian13');
}

/** What is missing for a family, as words that say what to do; undefined where it is set up. */
export function missingFor(family: Family): string | undefined {
  if (process.platform !== 'linux') return 'it runs on Linux only';
  const packages: string[] = [];
  try {
    execFileSync('gcc', ['--version'], { stdio: 'ignore' });
  } catch {
    packages.push('gcc');
  }
  if (!existsSync('/usr/include/vulkan/vk_layer.h')) packages.push('libvulkan-dev');
  const ready = {
    system: [],
    mesa: [join(compilerFolder(), 'mesa/ready')],
    apple: [join(compilerFolder(), 'mesa/ready-apple')],
    nvidia: [join(debianFolder(), 'ready')],
  }[family.setUp];
  const option = { system: '', mesa: '', apple: ' --apple', nvidia: ' --nvidia' }[family.setUp];
  if (!ready.every((path) => existsSync(path)))
    return `its compiler is not set up: bash scripts/setup-gpu-compilers.sh${option}`;
  const driver = driverOf(family);
  if (!driver || !existsSync(driver)) packages.push('mesa-vulkan-drivers');
  if (!packages.length) return undefined;
  return `missing ${packages.join(', ')}: bash scripts/setup-system.sh --tests`;
}

/**
 * Builds the layer once per version of its source.
 *
 * @returns its folder
 */
export function buildLayer(): string {
  const sources = ['bench/static/null_gpu.c', 'bench/static/null_gpu.json'].map(packagedFile);
  const digest = createHash('sha256');
  for (const path of sources) digest.update(readFileSync(path));
  const folder = join(compilerFolder(), `layer-${digest.digest('hex').slice(0, 12)}`);
  const library = join(folder, 'libnull_gpu.so');
  if (existsSync(library)) return folder;
  mkdirSync(folder, { recursive: true });
  const [source = '', manifest = ''] = sources;
  const temporary = `${library}.${process.pid}`;
  const options = ['-O2', '-Wall', '-Wno-unused-parameter', '-shared', '-fPIC'];
  execFileSync('gcc', [...options, '-o', temporary, source, '-lpthread'], { stdio: 'inherit' });
  copyFileSync(manifest, join(folder, 'null_gpu.json'));
  // In one step: another process may build it at the same time.
  renameSync(temporary, library);
  return folder;
}

/** What the driver of a family is told; all is unset in the caller's environment before. */
function driverVariables(family: Family): Record<string, string> {
  const preload = (name: string) => join(compilerFolder(), 'mesa', `lib${name}_noop_drm_shim.so`);
  switch (family.vendor) {
    case 'amd':
      return { RADV_FORCE_FAMILY: family.model };
    case 'intel':
      return { INTEL_STUB_GPU_PLATFORM: family.model, LD_PRELOAD: preload('intel') };
    case 'adreno':
      return { FD_GPU_ID: family.model, LD_PRELOAD: preload('freedreno') };
    case 'mali':
      // Its statistics go to the standard error.
      return {
        PAN_GPU_ID: family.model,
        PAN_I_WANT_A_BROKEN_VULKAN_DRIVER: '1',
        BIFROST_MESA_DEBUG: 'shaderdb',
        LD_PRELOAD: preload('panfrost'),
      };
    case 'apple':
      return { AGX_MESA_DEBUG: 'shaderdb', LD_PRELOAD: preload('asahi') };
    case 'nvidia':
      return {
        NOUVEAU_CHIPSET: family.model,
        LD_PRELOAD: '/usr/lib/x86_64-linux-gnu/libnouveau_noop_drm_shim.so',
      };
  }
}

/**
 * The environment of a process on a family's compiler.
 *
 * @param record where the layer leaves what the compiler says; nothing is recorded where it is absent
 */
export function compilerEnvironment(
  family: Family,
  layer: string,
  record?: { readonly path: string; readonly assembly: boolean },
): Record<string, string> {
  return {
    VK_LAYER_PATH: layer,
    VK_INSTANCE_LAYERS: 'VK_LAYER_null_gpu',
    VK_DRIVER_FILES:
      family.vendor === 'nvidia' ? `${systemDrivers}/nouveau_icd.json` : (driverOf(family) as string),
    // What another run compiled has no statistics.
    MESA_SHADER_CACHE_DISABLE: 'true',
    ...driverVariables(family),
    ...(record && { NULL_GPU_OUT: record.path }),
    ...(record?.assembly && { NULL_GPU_ASSEMBLY: '1' }),
  };
}
