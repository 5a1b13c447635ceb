// Serves the page (dist/app) on localhost. With --demo it first trains the demo model that the page opens by
// default, once, into .demo/; the build copies it from there.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import sirv from 'sirv';
import { copyDemo } from './copy_demo.mjs';

const port = Number(process.env.PORT ?? 8080);
if (process.argv.includes('--demo') && !existsSync('.demo/demo.safetensors')) {
  console.log('training the demo model: some minutes without a GPU');
  execFileSync('node', ['dist/cli.js', 'demo', '--out', '.demo/run', '--product', 'washer'], {
    stdio: 'inherit',
  });
  mkdirSync('.demo', { recursive: true });
  // Half the size for the way to the page.
  const half = ['--to', 'safetensors-f16', '--out', '.demo/demo.safetensors'];
  execFileSync('node', ['dist/cli.js', 'export', '.demo/run/washer/model.safetensors', ...half], {
    stdio: 'inherit',
  });
  cpSync('.demo/run/data/washer/test/rust/000.png', '.demo/demo.png');
}
copyDemo();
createServer(sirv('dist/app', { dev: true })).listen(port, '127.0.0.1', () => {
  console.log(`the page is at http://127.0.0.1:${port}/  (Ctrl-C ends)`);
});
