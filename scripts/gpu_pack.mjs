// Makes the folder that runs on a bare GPU machine: `npm run gpu:pack [-- --out FOLDER]`. It holds Node,
// Dawn, Vulkan's loader, one script with everything inside, the goldens, and `./run`: bench/pack/README.md.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { kernelsDefine } from './kernels.mjs';

const { out } = parseArgs({ options: { out: { type: 'string', default: '.gpu/pack' } } }).values;
if (process.platform !== 'linux' || process.arch !== 'x64') {
  console.error("error: the pack is made on Linux on x86-64, for it takes this machine's Node and libraries");
  process.exit(1);
}

// The loader, and the libraries that NVIDIA's driver is linked with; each is used only where it is missing.
const libraries = {
  'libvulkan.so.1': true,
  'libGLdispatch.so.0': false,
  'libGLX.so.0': false,
  'libEGL.so.1': false,
  'libX11.so.6': false,
  'libXext.so.6': false,
  'libxcb.so.1': false,
  'libXau.so.6': false,
  'libXdmcp.so.6': false,
  'libbsd.so.0': false,
  'libmd.so.0': false,
  'libstdc++.so.6': false,
};

/** Path of a shared library of this machine; undefined where it is not installed. */
function libraryPath(name) {
  const listed = execFileSync('/sbin/ldconfig', ['-p'], { encoding: 'utf8' });
  const line = listed.split('\n').find((text) => text.trim().startsWith(`${name} (libc6,x86-64)`));
  return line && realpathSync(line.split('=> ')[1]);
}

function commit() {
  try {
    const git = (...args) =>
      execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    const changed = git('status', '--porcelain', '--untracked-files=no').trim() !== '';
    return git('rev-parse', '--short=7', 'HEAD').trim() + (changed ? '+' : '');
  } catch {
    return 'unknown';
  }
}

rmSync(out, { recursive: true, force: true });
for (const folder of ['files/lib', 'data']) mkdirSync(join(out, folder), { recursive: true });
const { outputs } = (
  await build({
    entryPoints: ['bench/pack/main.ts'],
    outfile: join(out, 'files/pack.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.9',
    // Packages that parts of the library need which do not run there.
    external: ['sharp', 'bullmq', 'ioredis'],
    define: await kernelsDefine(),
    // Some of the bundled packages are CommonJS and ask for Node's modules with `require`.
    banner: {
      js:
        "import { createRequire as __createRequire } from 'node:module'; " +
        'const require = __createRequire(import.meta.url);',
    },
    metafile: true,
    logLevel: 'error',
  })
).metafile;
const wanted = Object.values(outputs).flatMap(({ imports }) => imports.map(({ path }) => path));
const missing = wanted.filter((path) => !isBuiltin(path));
if (missing.length) {
  console.error(`error: the script would need ${missing.join(', ')} on the GPU machine`);
  process.exit(1);
}

const compress = (from, to) => writeFileSync(join(out, to), gzipSync(readFileSync(from), { level: 9 }));
compress(realpathSync(process.execPath), 'files/node.gz');
compress('node_modules/webgpu/dist/linux-x64/dawn.node', 'files/dawn.node.gz');
for (const [name, needed] of Object.entries(libraries)) {
  const path = libraryPath(name);
  if (path) copyFileSync(path, join(out, 'files/lib', name));
  else if (needed) {
    console.error(`error: ${name} is not installed: bash scripts/setup-system.sh`);
    process.exit(1);
  } else console.error(`note: ${name} is not installed here, so the pack does not hold it`);
}
for (const name of ['ops', 'models'])
  cpSync(`test/golden/${name}.safetensors`, join(out, 'data', `${name}.safetensors`));
cpSync('bench/pack/torch_peers.py', join(out, 'data/torch_peers.py'));
cpSync('bench/pack/README.md', join(out, 'README.md'));
cpSync('bench/pack/run.sh', join(out, 'run'));
chmodSync(join(out, 'run'), 0o755);
const { name, version } = JSON.parse(readFileSync('package.json', 'utf8'));
writeFileSync(
  join(out, 'package.json'),
  `${JSON.stringify({ name, version, type: 'module', commit: commit() })}\n`,
);
const size = readdirSync(out, { recursive: true })
  .map((file) => statSync(join(out, file)))
  .reduce((sum, stat) => sum + (stat.isFile() ? stat.size : 0), 0);
console.log(`${out}: ${(size / 1e6).toFixed(1)} MB; copy it to the GPU machine and call ./run there`);
