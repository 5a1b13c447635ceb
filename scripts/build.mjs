// Builds dist/: the command line, the library for Node and for browsers, the page, the bench. Packages of
// plain JavaScript are bundled, so that nothing else is installed with this one; their licences stand in
// dist/THIRD_PARTY_NOTICES.txt.
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';
import { rolldown } from 'rolldown';
import { copyDemo } from './copy_demo.mjs';
import { kernelsDefine } from './kernels.mjs';
import { notices, packagesOf } from './notices.mjs';

const manifest = JSON.parse(readFileSync('package.json', 'utf8'));
const define = await kernelsDefine();
const common = {
  bundle: true,
  format: 'esm',
  target: 'es2022',
  sourcemap: true,
  logLevel: 'warning',
  define,
  metafile: true,
  // Paths in the outputs do not depend on where node_modules really is.
  preserveSymlinks: true,
};
const node = {
  ...common,
  platform: 'node',
  target: 'node20.9',
  external: [...Object.keys(manifest.peerDependencies), 'puppeteer-core'],
  outdir: 'dist',
  outbase: '.',
  // Maps say file and line of an error; the texts of the sources would double the package.
  sourcesContent: false,
  splitting: true,
  entryNames: '[dir]/[name]',
  // Some of the bundled packages are CommonJS and ask for Node's modules with `require`.
  banner: {
    js:
      "import { createRequire as __createRequire } from 'node:module'; " +
      'const require = __createRequire(import.meta.url);',
  },
};
/** The packaged teachers, seen from built files whose way to the package's folder is `up`. */
const teachers = (up) => ({
  TEACHER_RESNET18: JSON.stringify(`${up}weights/teacher_resnet18.safetensors`),
  TEACHER_RESNET18_HALF: JSON.stringify(`${up}weights/teacher_resnet18_half.safetensors`),
});
const browser = {
  ...common,
  platform: 'browser',
  conditions: ['browser'],
  minify: true,
  define: { ...define, ...teachers('../') },
};

rmSync('dist', { recursive: true, force: true });
const shipped = [];
/** Builds for Node into dist, with what the entry points share in a folder. */
async function buildNode(entryPoints, chunks) {
  const { metafile } = await build({
    ...node,
    chunkNames: `${chunks}/[name]-[hash]`,
    // Tinypool looks for its thread's file in the folder `entry` beside its own code.
    entryPoints: { ...entryPoints, [`${chunks}/entry/worker`]: 'node_modules/tinypool/dist/entry/worker.js' },
  });
  for (const [path, { inputs }] of Object.entries(metafile.outputs))
    if ('node_modules/tinypool/dist/index.js' in inputs && !path.startsWith(`dist/${chunks}/`))
      throw new Error(`${path} has Tinypool, which must lie in dist/${chunks} beside its thread`);
  return metafile;
}
// The public faces and the command; one build, so that they share their modules and classes.
const library = await buildNode(
  {
    cli: 'src/cli/main.ts',
    decoder_worker: 'src/platform/node/decoder_worker.ts',
    index: 'src/index.ts',
    engine: 'src/engine/index.ts',
  },
  'chunks',
);
shipped.push(...packagesOf(library));
// Not shipped.
await buildNode(
  {
    bench: 'bench/main.ts',
    bench_peers: 'bench/peers_main.ts',
    bench_figures: 'bench/figures/main.ts',
    bench_learning: 'bench/learning/main.ts',
    bench_load: 'bench/load_main.ts',
    bench_walk: 'bench/walk.ts',
    peer_ours: 'bench/peer_ours.ts',
    static_child: 'bench/static/compile_child.ts',
    static_host: 'bench/static/host_child.ts',
    check_gpu: 'bench/static/main.ts',
  },
  'bench_chunks',
);

// For pages without a bundler: one file.
const single = await build({
  ...browser,
  outdir: 'dist',
  sourcesContent: false,
  entryPoints: { browser: 'src/browser.ts' },
});
shipped.push(...packagesOf(single.metafile));
await build({ ...browser, outdir: 'dist', entryPoints: { peer_page: 'bench/peer_page.ts' } });

// For bundlers: one file per module, so that they take what is used and nothing else (package.json says that
// no module has side effects).
const modules = await rolldown({
  input: { browser: 'src/browser.ts', engine: 'src/engine/index.ts' },
  platform: 'browser',
  resolve: { symlinks: false, conditionNames: ['browser', 'import', 'module', 'default'] },
  // Modules lie as deep in dist/browser as in src.
  transform: { define: { ...define, ...teachers('../../../../') }, target: 'es2022' },
  treeshake: { moduleSideEffects: false },
  logLevel: 'warn',
});
const { output } = await modules.write({
  dir: 'dist/browser',
  format: 'es',
  preserveModules: true,
  preserveModulesRoot: 'src',
  // npm leaves every folder of this name out of a package.
  entryFileNames: ({ name }) => `${name.replaceAll('node_modules', 'packages')}.js`,
});
await modules.close();
shipped.push(...packagesOf(output));

// The page: a folder of static files for any host.
const page = {
  ...browser,
  sourcemap: false,
  outdir: 'dist/app',
  define: { ...define, PAGE_VERSION: JSON.stringify(`version ${manifest.version}`) },
};
const app = await build({
  ...page,
  entryPoints: { main: 'app/main.ts', machine: 'app/machine.ts', live: 'app/live.ts' },
});
shipped.push(...packagesOf(app.metafile));
for (const file of ['index.html', 'live.html', 'style.css', 'icon.svg'])
  cpSync(`app/${file}`, `dist/app/${file}`);
for (const file of readdirSync('weights'))
  if (/^teacher_.*\.safetensors$/.test(file)) cpSync(`weights/${file}`, `dist/app/${file}`);
copyDemo();
const hash = createHash('sha256');
for (const file of [...Object.keys(app.metafile.outputs), 'dist/app/index.html', 'dist/app/style.css'].sort())
  hash.update(readFileSync(file));
await build({
  ...page,
  entryPoints: { service_worker: 'app/service_worker.ts' },
  define: { BUILD: JSON.stringify(hash.digest('hex').slice(0, 12)) },
});

// The reports draw with it: its text goes into their pages.
cpSync('node_modules/chart.js/dist/chart.umd.min.js', 'dist/chart.umd.min.js');
writeFileSync('dist/THIRD_PARTY_NOTICES.txt', notices([...shipped, 'node_modules/chart.js']));
chmodSync('dist/cli.js', 0o755);
