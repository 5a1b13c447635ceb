// Builds dist/: the command line, the library for Node and for browsers, the bench. One esbuild pass per
// platform; kernels are inlined as text, native packages stay external.
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, readFileSync, rmSync } from 'node:fs';
import { build } from 'esbuild';
import { copyDemo } from './copy_demo.mjs';
import { generateKernels } from './kernels.mjs';

await generateKernels();
// What makes the text of a kernel: kept texts of other builds are left alone (src/engine/kernels/cache.ts).
const kernels = createHash('sha256');
for (const file of [
  'kernels/generated.ts',
  'src/engine/kernels/link.ts',
  'src/engine/kernels/expand.ts',
  'node_modules/wesl/package.json',
])
  kernels.update(readFileSync(file));

const manifest = JSON.parse(readFileSync('package.json', 'utf8'));
const common = {
  bundle: true,
  format: 'esm',
  target: 'es2022',
  sourcemap: true,
  logLevel: 'warning',
  define: { KERNELS: JSON.stringify(kernels.digest('hex').slice(0, 16)) },
};
const external = [
  // The linker is bundled: loading its many files would cost every start.
  ...Object.keys(manifest.dependencies).filter((name) => name !== 'wesl'),
  ...Object.keys(manifest.peerDependencies),
  'benchmark',
  'puppeteer-core',
];

rmSync('dist', { recursive: true, force: true });
await build({
  ...common,
  platform: 'node',
  target: 'node20.9',
  external,
  outdir: 'dist',
  outbase: '.',
  splitting: true,
  entryNames: '[name]',
  chunkNames: 'chunks/[name]-[hash]',
  entryPoints: {
    cli: 'src/cli/main.ts',
    decoder_worker: 'src/platform/node/decoder_worker.ts',
    index: 'src/index.ts',
    bench: 'bench/main.ts',
    bench_peers: 'bench/peers_main.ts',
    bench_figures: 'bench/figures/main.ts',
    peer_ours: 'bench/peer_ours.ts',
  },
});
await build({
  ...common,
  platform: 'browser',
  conditions: ['browser'],
  minify: true,
  outdir: 'dist',
  entryPoints: { browser: 'src/browser.ts', peer_page: 'bench/peer_page.ts' },
});
// The page: a folder of static files for any host.
const page = {
  ...common,
  platform: 'browser',
  conditions: ['browser'],
  minify: true,
  sourcemap: false,
  outdir: 'dist/app',
};
const { metafile } = await build({
  ...page,
  entryPoints: { main: 'app/main.ts', machine: 'app/machine.ts' },
  metafile: true,
});
for (const file of ['index.html', 'style.css', 'icon.svg']) cpSync(`app/${file}`, `dist/app/${file}`);
cpSync('weights/teacher_resnet18.safetensors', 'dist/app/teacher_resnet18.safetensors');
copyDemo();
const hash = createHash('sha256');
for (const file of [...Object.keys(metafile.outputs), 'dist/app/index.html', 'dist/app/style.css'].sort())
  hash.update(readFileSync(file));
await build({
  ...page,
  entryPoints: { service_worker: 'app/service_worker.ts' },
  define: { BUILD: JSON.stringify(hash.digest('hex').slice(0, 12)) },
});
chmodSync('dist/cli.js', 0o755);
